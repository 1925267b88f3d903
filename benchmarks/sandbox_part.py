"""The figures of sandboxd alone, from its own program, for each runtime that is here."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

import docker

from benchmarks.figures import FOLDER, Figure

_ENDS_SECONDS = 120.0


def sandbox(image: str, jobs: int, seconds: float, backends: Sequence[str]) -> Iterator[Figure]:
    """Measure runc, and gVisor where Docker knows it."""
    yield from _runtime("runc", image, jobs, seconds, backends)
    client = docker.from_env()
    known = "runsc" in client.info()["Runtimes"]
    client.close()
    if known:
        able = [each for each in backends if each == "docker" or shutil.which("runsc")]
        yield from _runtime("runsc", image, jobs, seconds, able)


def _runtime(runtime: str, image: str, jobs: int, seconds: float, backends: Sequence[str]) -> Iterator[Figure]:
    words = ["benchmarks/sandbox.py", "--image", image, "--jobs", str(jobs), "--seconds", str(seconds)]
    words += ["--runtime", runtime, "--backends", ",".join(backends)]
    process = subprocess.Popen([sys.executable, *words], cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            yield _figure(json.loads(line), f"python {' '.join(words)}".replace(image, "IMAGE"), jobs)
        if process.wait():
            raise SystemExit(f"benchmarks/sandbox.py --runtime {runtime} failed with {process.returncode}")
    finally:
        # It takes its sandboxes along when it is asked to end, not when it is killed.
        process.terminate()
        process.wait(_ENDS_SECONDS)


def _figure(found: dict[str, object], command: str, jobs: int) -> Figure:
    other = found["compared_with"]
    name = f"{found['figure']}, against {str(other).partition(',')[0]}" if other else str(found["figure"])
    return Figure(
        name,
        _number(found["value"]) or 0.0,
        str(found["unit"]),
        command,
        None if other is None else str(other),
        _number(found["compared_value"]),
        _number(found["bar"]),
        more_is_better=bool(found["more_is_better"]),
        samples=jobs,
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
