"""Builds the Pulumi engine from its Go module.

go/go.mod and go/go.sum pin every module by hash, and Go checks them against its sum database. Downloads and compiled
packages stay in Go's own caches, so an interrupted build goes on where it stopped.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from engine.build_progress import BuildProgress
from engine.errors import UserFacingError
from engine.paths import CHECKOUT
from engine.report import Report
from engine.versions import ENGINE

MODULE = CHECKOUT / "engine" / "go"
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK = "github.com/pulumi/pulumi/sdk/v3"
_FREE_BYTES = 4 * 1024**3  # modules 1.2 GB, compiled packages 1.6 GB, while linking 0.3 GB
_EVERY_SECONDS = 15.0


class EngineBuild:
    """One build with `go`; `private_caches` is set when Go came with us and the user has no Go caches to share."""

    def __init__(self, go: Path, report: Report, log: Path, private_caches: Path | None = None) -> None:
        """Everything that Go says goes to `log`."""
        self._go = str(go)
        self._report = report
        self._log = log
        self._environment = dict(os.environ, GOTOOLCHAIN="local", GOWORK="off", CGO_ENABLED="0")
        self._environment["GOFLAGS"] = f"{os.environ.get('GOFLAGS', '')} -mod=readonly -modcacherw".strip()
        if private_caches is not None:
            self._environment.setdefault("GOPATH", str(private_caches / "path"))
            self._environment.setdefault("GOCACHE", str(private_caches / "build"))

    def into(self, folder: Path) -> None:
        """Write the engine and the Python SDK's scripts into `folder`."""
        self._check_space()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_text("")
        self._report("Downloading the engine's Go modules (about 150 MB; what is there already is not loaded again).")
        self._run("mod", "download")
        sizes = self._sizes()
        minutes = "a few seconds" if len(sizes) < 20 else "3 to 8 minutes on two cores"
        self._report(f"Building the Pulumi engine v{ENGINE}: {len(sizes)} packages to compile, {minutes}.")
        self._compile(folder / "pulumi", sizes)
        sdk = Path(self._run("list", "-m", "-f", "{{.Dir}}", SDK).strip())
        for script in (
            "cmd/pulumi-language-python-exec",
            "dist/pulumi-analyzer-policy-python",
            "dist/pulumi-resource-pulumi-python",
        ):
            target = folder / Path(script).name
            shutil.copyfile(sdk / "python" / script, target)
            target.chmod(0o755)

    def _check_space(self) -> None:
        for name in ("GOCACHE", "GOMODCACHE"):
            folder = Path(self._run("env", name, logged=False).strip() or "/")
            while not folder.exists():
                folder = folder.parent
            free = shutil.disk_usage(folder).free
            if free < _FREE_BYTES:
                raise UserFacingError(
                    f"Building the engine needs {_FREE_BYTES / 1024**3:.0f} GB free on the disk of {folder}; "
                    f"{free / 1024**3:.1f} GB are.",
                    f"Free space there, or set {name} to a folder on another disk, and run the command again.",
                )

    def _run(self, *arguments: str, logged: bool = True) -> str:
        run = subprocess.run(
            [self._go, *arguments], cwd=MODULE, env=self._environment, capture_output=True, text=True, check=False
        )
        if logged:
            with self._log.open("a") as log:
                log.write(f"$ go {' '.join(arguments)}\n{run.stderr}")
        if run.returncode:
            raise self._failed(run.stderr)
        return run.stdout

    def _failed(self, output: str) -> UserFacingError:
        lines = [line for line in output.strip().splitlines() if line.strip()] or ["no output"]
        wanting = ("dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake", "proxyconnect")
        if any(sign in output for sign in wanting):
            line = next(line for line in lines if any(sign in line for sign in wanting))
            return UserFacingError(
                f"The engine's Go modules could not be downloaded: {line.strip()}",
                "Check the network and, behind a company proxy, GOPROXY and the certificates of this machine; "
                "what has been downloaded is kept, so run the command again. An official pulumi on PATH is used "
                "instead if there is one.",
            )
        if "no space left" in output:
            return UserFacingError(
                "The disk filled up while the engine was built.",
                "Free 4 GB, and run the command again: it goes on where it stopped.",
            )
        if "checksum mismatch" in output or "SECURITY ERROR" in output:
            return UserFacingError(
                f"A Go module is not what go.sum says it should be: {lines[0]}",
                "Something between this machine and the Go module proxy changes downloads. Nothing was built of it.",
            )
        return UserFacingError(
            f"The engine's build failed: {lines[-1].strip()}", f"The whole output is in {self._log}."
        )

    def _sizes(self) -> dict[str, int]:
        """Source bytes of every package that Go has to compile, by import path."""
        form = "{{if .Stale}}{{.ImportPath}}\t{{.Dir}}\t{{range .GoFiles}}{{.}} {{end}}{{end}}"
        sizes: dict[str, int] = {}
        for line in self._run("list", "-deps", "-trimpath", "-f", form, PACKAGE).splitlines():
            if not line:
                continue
            package, directory, files = line.split("\t")
            sizes[package] = sum(_size(Path(directory) / name) for name in files.split())
        return sizes

    def _compile(self, target: Path, sizes: dict[str, int]) -> None:
        version = (
            f"-X {SDK}/go/common/version.Version=v{ENGINE} -X github.com/pulumi/pulumi/pkg/v3/version.Version=v{ENGINE}"
        )
        command = [self._go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {version}"]
        output: list[str] = []
        progress = BuildProgress(sizes)
        # A session of its own: Ctrl-C reaches this process only, which then ends the whole group.
        build = subprocess.Popen(
            [*command, "-o", str(target), PACKAGE],
            cwd=MODULE,
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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
