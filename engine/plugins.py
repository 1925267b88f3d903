"""Chooses each provider's plugin: the official one where it is to be had, else the stand-in; and remembers.

The choice is kept in `.fleet/engine/plugins.json`: a stack must not change hands between two runs. To choose anew,
`make down`, delete the file, and `make up`.
"""

import json
import os
import platform
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

from engine import launchers, versions
from engine.file_lock import held
from engine.paths import Paths
from engine.report import Report

Plugins = Literal["fleet", "stand-ins"]
DOWNLOADS = "https://get.pulumi.com/releases/plugins"
DOCKER_PROVIDERS = ("docker", "docker-build", "random")
_CONNECT_SECONDS = 5.0
_INSTALL_SECONDS = 600.0


class Choice(StrEnum):
    """Whose plugin it is."""

    OFFICIAL = "official"
    STAND_IN = "stand-in"


def aws_credentials_given(environment: Mapping[str, str]) -> bool:
    """Whether the AWS SDK would find credentials without asking the network."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if any(environment.get(name) for name in names):
        return True
    default = Path(environment.get("HOME", "/")) / ".aws" / "credentials"
    return Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or default).exists()


def _folder(home: Path, provider: str) -> Path:
    return home / "plugins" / f"resource-{provider}-v{versions.provider(provider)}"


def _stand_in(paths: Paths, home: Path, provider: str) -> None:
    folder = _folder(home, provider)
    launcher = paths.engine_programs / f"pulumi-resource-{provider}"
    target = folder / launcher.name
    if target.is_symlink() and target.readlink() == launcher:
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".part-{os.getpid()}"
    part.unlink(missing_ok=True)
    part.symlink_to(launcher)
    part.replace(target)


def _answers(provider: str) -> bool:
    """Whether the official download of this plugin answers; a few seconds at most."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"pulumi-resource-{provider}-v{versions.provider(provider)}-{platform.system().lower()}-{machine}.tar.gz"
    request = urllib.request.Request(f"{DOWNLOADS}/{name}", method="HEAD")  # noqa: S310 - https, from a constant
    try:
        with urllib.request.urlopen(request, timeout=_CONNECT_SECONDS) as answer:  # noqa: S310
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def _install(paths: Paths, home: Path, provider: str) -> bool:
    """Have the official plugin in `home`: the user's own installation of it, or the engine's download."""
    folder = _folder(home, provider)
    if (folder / f"pulumi-resource-{provider}").exists() and not (folder / f"pulumi-resource-{provider}").is_symlink():
        return True
    users = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins" / folder.name
    if users != folder and (users / f"pulumi-resource-{provider}").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(users)
        return True
    if not _answers(provider):
        return False
    command = ["plugin", "install", "resource", provider, versions.provider(provider)]
    try:
        run = subprocess.run(
            [paths.engine_programs / "pulumi", *command],
            env=dict(os.environ, PULUMI_HOME=str(home), PULUMI_SKIP_UPDATE_CHECK="true"),
            capture_output=True,
            check=False,
            timeout=_INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    return run.returncode == 0


def provide(paths: Paths, kind: Plugins, report: Report, wanted: Iterable[str] = DOCKER_PROVIDERS) -> dict[str, Choice]:
    """Fill the plugin home of `kind` and return whose plugin each of the `wanted` providers is.

    Providers that are not wanted are stand-ins too, so that a program which only imports them starts.
    """
    home = paths.plugin_home(kind)
    home.mkdir(parents=True, exist_ok=True)
    record = paths.fleet / "engine" / "plugins.json"
    with held(paths.fleet / "engine" / ".plugins.lock"):
        remembered: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
        chosen: dict[str, Choice] = {}
        answering = True
        for provider in versions.PROVIDERS:
            choice = Choice.STAND_IN
            if kind == "fleet" and provider in wanted:
                if provider in remembered:
                    choice = Choice(remembered[provider])
                elif answering:
                    report(f"Looking for the official {provider} plugin {versions.provider(provider)}.")
                    answering = _install(paths, home, provider)
                    choice = Choice.OFFICIAL if answering else Choice.STAND_IN
                remembered[provider] = choice
                chosen[provider] = choice
            if choice is Choice.STAND_IN and launchers.has_standin(provider):
                _stand_in(paths, home, provider)
            if kind == "stand-ins" and provider in wanted:
                chosen[provider] = choice
        if kind == "fleet":
            part = record.with_name(f".{record.name}.part-{os.getpid()}")
            part.write_text(json.dumps(remembered, indent=2) + "\n")
            part.replace(record)
    return chosen


def describe(chosen: Mapping[str, Choice]) -> str | None:
    """The line that names the stand-ins, on every run that has any."""
    names = [
        provider for provider, choice in chosen.items() if choice is Choice.STAND_IN and launchers.has_standin(provider)
    ]
    if not names:
        return None
    return f"Stand-ins, not Pulumi's own plugins, serve: {', '.join(names)} (docs/engine.md says what that means)."
