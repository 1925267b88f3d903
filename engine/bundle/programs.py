"""The programs of a bundle: the Pulumi engine, official plugins where they are used, and the one-node cluster's."""

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import plugins, versions
from engine.bundle.writing import Staging
from engine.cluster.programs import ensure_programs
from engine.errors import UserFacingError
from engine.file_lock import held
from engine.paths import Paths, cache_directory
from engine.report import Report
from engine.toolchain import ensure_toolchain

KIND = "program"
KUBERNETES = "kubernetes"
_PLUGINS = "plugins"


def add(staging: Staging, paths: Paths, report: Report, *, cluster: bool) -> None:
    """The engine with its scripts, plugins that are Pulumi's own, and with `cluster` what `make cluster` starts."""
    engine = ensure_toolchain(report, paths)
    folder = engine.program.parent
    staging.described["engine"] = {"version": versions.ENGINE, "official": engine.official}
    for file in sorted(folder.iterdir()):
        if file.is_file() and (engine.official or file.name != "origin"):
            staging.add_file(f"engine/v{versions.ENGINE}/{file.name}", KIND, file)
    # Last in the cache too: without it the folder counts as half made.
    staging.add_text(f"engine/v{versions.ENGINE}/origin", KIND, "official\n" if engine.official else "built\n")
    chosen = plugins.provide(paths, "fleet", report)
    staging.described["plugins"] = {name: str(choice) for name, choice in chosen.items()}
    home = paths.plugin_home("fleet")
    for name, choice in chosen.items():
        if choice is plugins.Choice.OFFICIAL:
            plugin = home / _PLUGINS / f"resource-{name}-v{versions.provider(name)}"
            for file in sorted(each for each in plugin.rglob("*") if each.is_file()):
                staging.add_file(f"{_PLUGINS}/{plugin.name}/{file.relative_to(plugin)}", KIND, file)
    if cluster:
        programs = ensure_programs(report, paths)
        for place in (programs.kubernetes, programs.pods, programs.services):
            for file in sorted(place.iterdir()):
                staging.add_file(f"{KUBERNETES}/{place.name}/{file.name}", KIND, file)
    staging.described["machine"] = machine()


def machine() -> str:
    """What the programs run on."""
    return f"{platform.system()} {platform.machine()}"


def install(folder: Path, manifest: Mapping[str, Any], paths: Paths, report: Report) -> None:
    """Put programs that are missing into the user's cache and the checkout, each folder whole or not at all."""
    if manifest["machine"] != machine():
        raise UserFacingError(
            f"The bundle is for {manifest['machine']}, and this machine is {machine()}.",
            "Make a bundle on a machine like this one.",
        )
    for kind in ("engine", KUBERNETES):
        with held(cache_directory() / kind / ".lock", waiting=lambda: report("Another run installs: waiting for it.")):
            for source in sorted((folder / kind).glob("*")):
                _copy(source, cache_directory() / kind / source.name, report)
    for source in sorted((folder / _PLUGINS).glob("*")):
        _copy(source, paths.plugin_home("fleet") / _PLUGINS / source.name, report)


def _copy(source: Path, target: Path, report: Report) -> None:
    if all((target / each.name).exists() for each in source.iterdir()):
        return
    report(f"Installing {target.name} from the bundle into {target.parent}.")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part)
    shutil.rmtree(target, ignore_errors=True)  # half made, by an older version or by hand
    part.rename(target)
