"""Makes the Pulumi engine available: the official one where there is one, else built from its Go module.

The engine is kept per user under the cache, `engine/v<version>/`, and appears there whole or not at all.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from engine import go_toolchain, launchers, official_engine
from engine.engine_build import EngineBuild
from engine.file_lock import held
from engine.paths import Paths, cache_directory
from engine.report import Report
from engine.versions import ENGINE


@dataclass(frozen=True)
class Engine:
    """An engine's program, and whether it is Pulumi's own release."""

    program: Path
    official: bool


def _cached(cache: Path) -> Engine | None:
    folder = cache / "engine" / f"v{ENGINE}"
    origin = folder / "origin"
    if not origin.exists():
        return None
    return Engine(folder / "pulumi", official=origin.read_text().strip() == "official")


def uv_program() -> Path:
    """The uv of this environment, else the one on PATH."""
    beside = Path(sys.executable).parent / "uv"
    return beside if beside.exists() else Path(shutil.which("uv") or "uv")


def _make(cache: Path, logs: Path, report: Report) -> Engine:
    """Download or build into a folder of its own, then give it its name."""
    final = cache / "engine" / f"v{ENGINE}"
    part = final.with_name(f"{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        report("Looking for the official Pulumi engine.")
        official_engine.download(part, report)
        origin = "official"
    except official_engine.NotToBeHadError as error:
        report(f"The official download cannot be had here ({error}): building the engine from its Go module instead.")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        go = go_toolchain.ensure_go(cache, uv_program(), report)
        private = None if go_toolchain.on_path() else cache / "go" / "caches"
        EngineBuild(go, report, logs / "engine-build.log", private).into(part)
        origin = "built"
    (part / "origin").write_text(f"{origin}\n")
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    report(f"The engine is ready in {final}; other checkouts of this user share it.")
    return Engine(final / "pulumi", official=origin == "official")


def ensure_toolchain(report: Report, paths: Paths | None = None) -> Engine:
    """Make `.fleet/engine/bin` complete and say which engine it holds. Quick when it is complete already."""
    paths = paths or Paths()
    cache = cache_directory()
    engine: Engine | None = None
    if (program := official_engine.on_path(os.environ, paths.engine_programs)) is not None:
        engine = Engine(program, official=True)
    engine = engine or _cached(cache)
    if engine is None:
        with held(
            cache / "engine" / ".lock",
            waiting=lambda: report("Another run is making the engine ready: waiting for it."),
        ):
            engine = _cached(cache) or _make(cache, paths.logs, report)
    launchers.write(paths, engine.program, official=engine.official)
    return engine
