"""Run once when an image is built: starts each of its tools and writes down what it is, for the health check."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

INVENTORY = "/usr/local/lib/agent/inventory.json"


def _answer(path: Path, question: str) -> str:
    # What a tool writes when it starts (npm compiles itself into a cache) would be in the image for ever.
    with tempfile.TemporaryDirectory() as home:
        ended = subprocess.run(
            [path, question],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "HOME": home, "TMPDIR": home},
        )
    if ended.returncode:
        raise SystemExit(f"{path} {question}: exit code {ended.returncode}: {ended.stderr.strip()}")
    return (ended.stdout or ended.stderr).strip()


def described(path: Path) -> dict[str, object]:
    """Return a tool's place, size and version; ends with an error where it does not start.

    The version is empty where the tool says none: ggen 5.1.3 answers `--version` with success and no word.
    """
    version = _answer(path, "--version")
    if not version and not _answer(path, "--help"):
        raise SystemExit(f"{path} says nothing, asked for --version and for --help")
    return {"path": str(path), "bytes": path.stat().st_size, "version": version.partition("\n")[0]}


def main(toolchain: str, names: list[str]) -> None:
    """Describe the named tools; a pattern stands for all programs that it matches."""
    tools: dict[str, dict[str, object]] = {}
    for name in names:
        pattern = Path(name)
        for path in sorted(pattern.parent.glob(pattern.name)) if "*" in name else [Path(shutil.which(name) or name)]:
            tools.setdefault(path.name, described(path))
    content = {"toolchain": toolchain, "tools": dict(sorted(tools.items()))}
    Path(INVENTORY).write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.utime(INVENTORY, (1_767_225_600, 1_767_225_600))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
