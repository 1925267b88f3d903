"""Installs Debian's or Ubuntu's docker.io and starts the daemon. Only as root, and only after saying so."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import UserFacingError
from engine.report import Report

PACKAGES = ("docker.io", "iptables", "ca-certificates")
DAEMON_PID_FILE = Path("/var/run/docker.pid")  # dockerd's own default


def _logged(command: Sequence[str], log: Path, seconds: float) -> int:
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    with log.open("a") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                check=False,
                timeout=seconds,
            ).returncode
        except subprocess.TimeoutExpired:
            return -1


def last_lines(log: Path, count: int = 3) -> str:
    """The end of a log, for an error message."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return "\n".join(f"  {line[:300]}" for line in lines[-count:])


def install_packages(packages: Sequence[str], log: Path, what: str) -> None:
    """Install packages with apt-get; what an earlier interruption left half done is put right first.

    `what` names them in the error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    # What an interrupted installation left half configured would make the next one fail.
    _logged(["dpkg", "--configure", "-a"], log, 300)
    _logged(["apt-get", "-o", "DPkg::Lock::Timeout=120", "update"], log, 300)
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends", *packages]
    if _logged(command, log, 900) != 0:
        raise UserFacingError(
            f"apt-get could not install {what}:\n{last_lines(log)}",
            f"The whole output is in {log}. Install {', '.join(packages)} yourself and run the command again.",
        )


def install(report: Report, log: Path) -> None:
    """Install Docker."""
    report(f"There is no Docker on this machine: installing {', '.join(PACKAGES)} with apt-get (you are root).")
    install_packages(PACKAGES, log, "Docker")


def runs_systemd() -> bool:
    """Whether systemd is this machine's init, as sd_booted(3) finds out."""
    return Path("/run/systemd/system").is_dir()


def _forget_stale_pid(path: Path) -> None:
    """Remove the pid file that a killed daemon left, if its number belongs to another program by now."""
    try:
        name = Path(f"/proc/{int(path.read_text())}/comm").read_text().strip()
    except (OSError, ValueError):
        name = ""
    if name != "dockerd":
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def start(report: Report, log: Path, answers: Callable[[], bool], seconds: float) -> None:
    """Start the daemon under systemd, else as a background process of its own, and wait until it answers.

    The daemon outlives the command; `make down` leaves it running.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    daemon: subprocess.Popen[bytes] | None = None
    if runs_systemd():
        report("Starting Docker: systemctl enable --now docker (you are root).")
        log.write_text("")
        _logged(["systemctl", "enable", "--now", "docker"], log, seconds)
    elif not answers():
        report(f"Starting Docker's daemon in the background (you are root): dockerd, its log is {log}.")
        _forget_stale_pid(DAEMON_PID_FILE)
        with log.open("w") as file:
            daemon = subprocess.Popen(
                ["dockerd"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
    deadline = time.monotonic() + seconds
    while not answers():
        ended = daemon is not None and daemon.poll() is not None
        if ended or time.monotonic() > deadline:
            happened = "ended at once" if ended else f"did not answer within {seconds:.0f} s"
            raise UserFacingError(
                f"Docker's daemon {happened}:\n{last_lines(log)}",
                f"The whole log is {log}. Start the daemon yourself (dockerd, or systemctl start docker) and run the "
                "command again.",
            )
        time.sleep(0.2)
