"""The real cosign: the one on PATH, else one built from its Go module, which takes three minutes on two free cores."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from engine import go_toolchain
from engine.file_lock import held
from engine.go_build import GoBuild, Product
from engine.paths import CHECKOUT, cache_directory
from engine.toolchain import uv_program

_MODULE = CHECKOUT / "engine" / "go" / "cosign"
_PACKAGE = "github.com/sigstore/cosign/v3/cmd/cosign"
_GO_MINIMUM = (1, 26, 4)  # the `go` line of its go.mod


def ensure_cosign(logs: Path) -> str:
    """The program's path; builds it into the user's cache first where there is none."""
    found = shutil.which("cosign")
    if found is not None:
        return found
    cache = cache_directory()
    fingerprint = hashlib.sha256((_MODULE / "go.sum").read_bytes()).hexdigest()[:16]
    program = cache / "cosign" / fingerprint / "cosign"
    with held(cache / "cosign" / ".lock"):
        if not program.exists():
            lines: list[str] = []
            go = go_toolchain.ensure_go(cache, uv_program(), lines.append, _GO_MINIMUM)
            private = None if go_toolchain.on_path(_GO_MINIMUM) else cache / "go" / "caches"
            build = GoBuild(
                go, _MODULE, Product("Cosign", 4 * 1024**3), lines.append, logs / "cosign-build.log", private
            )
            build.begin()
            build.run("mod", "download")
            program.parent.mkdir(parents=True, exist_ok=True)
            part = program.with_name(".cosign")
            build.compile(part, [_PACKAGE], build.sizes([_PACKAGE]))
            part.rename(program)
    return str(program)


def cosign(program: str, *words: str) -> str:
    """Run it without any network but the registry it is given; what it says, whether it succeeds or not."""
    command = [program, *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return f"exit {ended.returncode}\n{ended.stdout}{ended.stderr}"
