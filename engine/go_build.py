"""Builds programs from a Go module of ours whose go.mod and go.sum pin everything by hash.

Go checks the modules against its sum database. Downloads and compiled packages stay in Go's own caches, so an
interrupted build goes on where it stopped.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.build_progress import BuildProgress
from engine.errors import UserFacingError
from engine.report import Report

_EVERY_SECONDS = 15.0


@dataclass(frozen=True)
class Product:
    """What is built, as errors name it: `The engine`; `alternative` is a sentence on what can be had instead."""

    name: str
    free_bytes: int
    alternative: str = ""


class GoBuild:
    """Builds with `go` in the folder `module`; `private_caches` is set when the user has no Go caches to share."""

    def __init__(
        self, go: Path, module: Path, product: Product, report: Report, log: Path, private_caches: Path | None = None
    ) -> None:
        """Everything that Go says goes to `log`."""
        self._go = str(go)
        self._module = module
        self._product = product
        self._report = report
        self._log = log
        self._environment = dict(os.environ, GOTOOLCHAIN="local", GOWORK="off", CGO_ENABLED="0")
        self._environment["GOFLAGS"] = f"{os.environ.get('GOFLAGS', '')} -mod=readonly -modcacherw".strip()
        if private_caches is not None:
            self._environment.setdefault("GOPATH", str(private_caches / "path"))
            self._environment.setdefault("GOCACHE", str(private_caches / "build"))

    def begin(self) -> None:
        """Check that there is space, and begin the log anew."""
        for name in ("GOCACHE", "GOMODCACHE"):
            folder = Path(self.run("env", name, logged=False).strip() or "/")
            while not folder.exists():
                folder = folder.parent
            free = shutil.disk_usage(folder).free
            if free < self._product.free_bytes:
                raise UserFacingError(
                    f"Building {_inner(self._product.name)} needs {self._product.free_bytes / 1024**3:.0f} GB free on "
                    f"the disk of {folder}; {free / 1024**3:.1f} GB are.",
                    f"Free space there, or set {name} to a folder on another disk, and run the command again.",
                )
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_text("")

    def run(self, *arguments: str, logged: bool = True) -> str:
        """What `go` with these arguments prints."""
        run = subprocess.run(
            [self._go, *arguments], cwd=self._module, env=self._environment, capture_output=True, text=True, check=False
        )
        if logged:
            with self._log.open("a") as log:
                log.write(f"$ go {' '.join(arguments)}\n{run.stderr}")
        if run.returncode:
            raise self._failed(run.stderr)
        return run.stdout

    def _failed(self, output: str) -> UserFacingError:
        lines = [line for line in output.strip().splitlines() if line.strip()] or ["no output"]
        name = self._product.name
        wanting = ("dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake", "proxyconnect")
        if any(sign in output for sign in wanting):
            line = next(line for line in lines if any(sign in line for sign in wanting))
            return UserFacingError(
                f"{name}'s Go modules could not be downloaded: {line.strip()}",
                "Check the network and, behind a company proxy, GOPROXY and the certificates of this machine; "
                f"what has been downloaded is kept, so run the command again. {self._product.alternative}".rstrip(),
            )
        if "no space left" in output:
            return UserFacingError(
                f"The disk filled up while {_inner(name)} was built.",
                f"Free {self._product.free_bytes / 1024**3:.0f} GB, and run the command again: it goes on where it "
                "stopped.",
            )
        if "checksum mismatch" in output or "SECURITY ERROR" in output:
            return UserFacingError(
                f"A Go module is not what go.sum says it should be: {lines[0]}",
                "Something between this machine and the Go module proxy changes downloads. Nothing was built of it.",
            )
        return UserFacingError(f"{name}'s build failed: {lines[-1].strip()}", f"The whole output is in {self._log}.")

    def sizes(self, packages: Sequence[str]) -> dict[str, int]:
        """Source bytes of every package that Go has to compile for `packages`, by import path."""
        form = "{{if .Stale}}{{.ImportPath}}\t{{.Dir}}\t{{range .GoFiles}}{{.}} {{end}}{{end}}"
        sizes: dict[str, int] = {}
        for line in self.run("list", "-deps", "-trimpath", "-f", form, *packages).splitlines():
            if not line:
                continue
            package, directory, files = line.split("\t")
            sizes[package] = sum(_size(Path(directory) / name) for name in files.split())
        return sizes

    def compile(
        self, target: Path, packages: Sequence[str], sizes: dict[str, int], variables: Sequence[str] = ()
    ) -> None:
        """Build one package into the file `target`, or several into the folder; `variables` are set by the linker."""
        settings = " ".join(["-s -w", *(f"-X {variable}" for variable in variables)])
        command = [self._go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", settings]
        output: list[str] = []
        progress = BuildProgress(sizes)
        # A session of its own: Ctrl-C reaches this process only, which then ends the whole group.
        build = subprocess.Popen(
            [*command, "-o", str(target), *packages],
            cwd=self._module,
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        stderr = build.stderr
        assert stderr is not None  # noqa: S101 - asked for above

        def read() -> None:
            with self._log.open("a") as log:
                for line in stderr:
                    log.write(line)
                    output.append(line)
                    progress.compiled(line.strip())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        said = time.monotonic()
        try:
            while True:
                try:
                    build.wait(1)
                    break
                except subprocess.TimeoutExpired:
                    if time.monotonic() - said >= _EVERY_SECONDS:
                        said = time.monotonic()
                        self._report(progress.line())
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(build.pid, signal.SIGTERM)
            build.wait()
            raise
        reader.join()
        if build.returncode:
            raise self._failed("".join(line for line in output if line.strip() not in sizes))


def _inner(name: str) -> str:
    return f"{name[0].lower()}{name[1:]}" if name.startswith("The ") else name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
