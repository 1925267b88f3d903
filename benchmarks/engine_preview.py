"""Whole previews on the real engine for 5, 50 and 500 pools, against a flat program with the same resources.

python -m benchmarks.engine_preview [--pools 5,50,500] [--runs 3]: a figure in each line, as JSON. The flat one
declares, by the SDK's classes, what ours was seen to declare, with values that are known already. Both run as `pulumi
preview` with the stand-in providers and a cluster that cannot be reached, and both end as __main__.py does. What is
compared is the processor time of all processes of a preview (engine, program, providers), which a busy machine changes
less than the wall clock.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from architectures import cluster
from benchmarks.preview import FLEET, settings, timed
from engine import plugins
from engine.environment import engine_environment
from engine.paths import CHECKOUT, Paths
from engine.toolchain import ensure_toolchain

_LIMIT_SECONDS = 900
_PROJECT = f"""name: preview-benchmark
runtime:
  name: python
  options: {{toolchain: pip, virtualenv: {CHECKOUT}/.venv}}
"""
_ENDING = """
import asyncio
import pulumi
async def begin_registering():
    await asyncio.sleep(0)
pulumi.run(begin_registering)
"""
_OURS = """
from architectures import cluster
from benchmarks.preview import FLEET, settings
cluster.deploy(FLEET, settings({pools}))
"""
_FLAT = """
import importlib
import json
import re
from pathlib import Path
import pulumi
import pulumi_kubernetes
import pulumi_random
options = None
declared = json.loads(Path("declared.json").read_text())
for kind, name, inputs in sorted(declared, key=lambda each: each[0] != "pulumi:providers:kubernetes"):
    given = {re.sub("([A-Z])", lambda found: "_" + found[0].lower(), key): value for key, value in inputs.items()}
    package, place, noun = kind.split(":")
    if package == "pulumi":
        options = pulumi.ResourceOptions(provider=pulumi_kubernetes.Provider(name, **given))
    elif package == "random":
        getattr(pulumi_random, noun)(name, **given)
    else:
        given = {key: value for key, value in given.items() if key not in ("api_version", "kind")}
        group, version = place.split("/")
        module = importlib.import_module(f"pulumi_kubernetes.{group.partition('.')[0]}.{version}")
        getattr(module, noun)(name, opts=options, **given)
"""
_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {"token": "none"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "current-context": "none",
}


class Program:
    """A program in a folder of its own with a stack of its own."""

    def __init__(self, folder: Path, source: str, paths: Paths) -> None:
        """Write it, and make its stack."""
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text(_PROJECT)
        (folder / "__main__.py").write_text(source)
        (folder / "kubeconfig").write_text(json.dumps(_KUBECONFIG))
        self.folder = folder
        self._environment = engine_environment(
            paths, state=folder / "state", passphrase=folder / "passphrase", plugins="stand-ins"
        ) | {"KUBECONFIG": str(folder / "kubeconfig"), "PYTHONPATH": str(CHECKOUT)}
        self._run("stack", "init", "test")

    def _run(self, *arguments: str) -> str:
        command = ["pulumi", *arguments, "--non-interactive"]
        run = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
        )
        if run.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}")
        return run.stdout

    def preview(self) -> tuple[float, float]:
        """Seconds of processor time and of the clock that one preview takes."""
        before, begin = _children_seconds(), time.monotonic()
        self._run("preview", "--suppress-outputs")
        return _children_seconds() - before, time.monotonic() - begin


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(pools: int, runs: int, folder: Path, paths: Paths) -> dict[str, Any]:
    """The figure of so many pools: medians of both programs, run in turns."""
    chosen = settings(pools)
    os.environ.setdefault("KUBECONFIG", str(folder / "none"))
    # As in an update, where nothing is unknown.
    _, declared = timed(lambda: cluster.deploy(FLEET, chosen), preview=False)
    ours = Program(folder / f"ours-{pools}", _OURS.format(pools=pools) + _ENDING, paths)
    flat = Program(folder / f"flat-{pools}", _FLAT + _ENDING, paths)
    (flat.folder / "declared.json").write_text(json.dumps(declared))
    pairs = [(ours.preview(), flat.preview()) for _ in range(runs)]
    mine, theirs = median(pair[0][0] for pair in pairs), median(pair[1][0] for pair in pairs)
    return {
        "figure": f"whole preview of {pools} pools, processor time",
        "value": round(mine, 2),
        "unit": "s",
        "compared_with": f"a flat program with the same {len(declared)} resources",
        "compared_value": round(theirs, 2),
        "more_than_flat": round(mine / theirs - 1, 3),
        "bar": 0.3,
        "clock_seconds": round(median(pair[0][1] for pair in pairs), 1),
        "flat_clock_seconds": round(median(pair[1][1] for pair in pairs), 1),
        "seconds_per_pool": round(mine / pools, 4),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a figure in each line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", default="5,50,500", help="numbers of pools, multiples of five (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each program (%(default)s)")
    options = parser.parse_args(arguments)
    paths = Paths()
    ensure_toolchain(print, paths)
    plugins.provide(paths, "stand-ins", print)
    with tempfile.TemporaryDirectory() as folder:
        for pools in (int(each) for each in options.pools.split(",")):
            print(json.dumps(compare(pools, options.runs, Path(folder), paths)), flush=True)


if __name__ == "__main__":
    main()
