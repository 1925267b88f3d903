"""The `docker build` command for the inputs of `docker_build.Image`, on whichever Docker CLI can use BuildKit."""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.standins import build_context
from engine.standins.standin import OperationError
from engine.standins.values import Secret, reveal

_BUILTIN_BUILDKIT = ((18, 9), (23, 0))
"""Docker's own CLI speaks to BuildKit from 18.09 until 23.0, which leaves it to the buildx plugin."""

_OWN_NAMES = re.compile(r"(PATH|HOME|TMPDIR|USER|LD_.*|DOCKER_.*|BUILDX_.*|BUILDKIT_.*|SSL_.*|GO.*)", re.IGNORECASE)
"""Variables that the CLI itself obeys: a build argument of such a name must not come to it through them."""


@dataclass(frozen=True)
class Builder:
    """A Docker CLI and whether it builds by its buildx plugin."""

    program: str
    buildx: bool

    @property
    def command(self) -> list[str]:
        """The words before the options."""
        return [self.program, "buildx", "build"] if self.buildx else [self.program, "build"]


@dataclass(frozen=True)
class BuildCommand:
    """A command line without secrets, what its environment adds, its input, and secrets to hand over by file."""

    words: list[str]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    input: bytes = b""
    secrets: dict[str, bytes] = field(default_factory=dict[str, bytes])


@functools.cache
def find_builder() -> Builder:
    """The first Docker CLI on PATH that can use BuildKit."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    programs = dict.fromkeys(path for folder in folders if (path := shutil.which("docker", path=folder)))
    for program in programs:
        if _succeeds([program, "buildx", "version"]):
            return Builder(program, buildx=True)
        version = re.search(r"version (\d+)\.(\d+)", _output([program, "--version"]))
        if version and _BUILTIN_BUILDKIT[0] <= (int(version[1]), int(version[2])) < _BUILTIN_BUILDKIT[1]:
            return Builder(program, buildx=False)
    raise OperationError(
        "No Docker CLI here can build with BuildKit"
        + (f" (looked at {', '.join(programs)})." if programs else ": there is none on PATH.")
        + " Install Docker's buildx plugin, or Debian's docker.io package."
    )


def refuse_unserved(inputs: Mapping[str, Any], builder: Builder) -> None:
    """Raise OperationError for what this stand-in, or this machine's Docker CLI, does not do."""
    plain = reveal(inputs)
    exports = [item for item in plain.get("exports") or [] if not item.get("disabled")]
    if any(_pushes(item) for item in exports):
        raise OperationError("exports: the docker-build stand-in pushes no exports: give `push=True` and `tags`.")
    if plain.get("push") and not plain.get("tags"):
        raise OperationError("tags: is required with `push=True`: the names under which the image goes to a registry.")
    loads = plain.get("load") or plain.get("push") or any(_loads(item) for item in exports)
    if not loads or len(exports) > 1:
        raise OperationError(
            "exports: the docker-build stand-in builds for the Docker daemon, and pushes from there: "
            "give `load=True`, `push=True`, or exactly one export, `docker` without options."
        )
    if plain.get("ssh"):
        raise OperationError("ssh: is not served by the docker-build stand-in. Use a secret, or the official plugin.")
    named = (plain.get("context") or {}).get("named")
    wants = {
        "builder": (plain.get("builder") or {}).get("name"),
        "cacheFrom": [item for item in plain.get("cacheFrom") or [] if not item.get("disabled")],
        "cacheTo": [item for item in plain.get("cacheTo") or [] if not item.get("disabled")],
        "context.named": named,
        "platforms": len(plain.get("platforms") or []) > 1,
    }
    if not builder.buildx and (missing := [name for name, wanted in wants.items() if wanted]):
        raise OperationError(f"{', '.join(missing)}: needs Docker's buildx plugin, which {builder.program} lacks.")


def build_command(inputs: Mapping[str, Any], folder: Path, builder: Builder, image_id_file: Path) -> BuildCommand:
    """The command that builds `inputs`; relative paths are relative to `folder`."""
    refuse_unserved(inputs, builder)
    plain = reveal(inputs)
    words = [*builder.command, "--progress", "plain", "--iidfile", str(image_id_file)]
    environment = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
    if builder.buildx:
        words.append("--load")
    for name, option in (("target", "--target"), ("network", "--network")):
        if plain.get(name):
            words += [option, plain[name]]
    for name, option in (("noCache", "--no-cache"), ("pull", "--pull")):
        if plain.get(name):
            words.append(option)
    if plain.get("platforms"):
        words += ["--platform", ",".join(plain["platforms"])]
    for name, option in (("tags", "--tag"), ("addHosts", "--add-host")):
        for value in plain.get(name) or []:
            words += [option, value]
    for name, value in sorted((plain.get("labels") or {}).items()):
        words += ["--label", f"{name}={value}"]
    words += _build_arguments(inputs, environment)
    words += _buildx_options(plain)
    file = build_context.dockerfile(inputs)
    words += ["--file", _place(folder, file) if file else "-", _place(folder, build_context.location(inputs))]
    inline = (plain.get("dockerfile") or {}).get("inline") or ""
    secrets = {name: value.encode() for name, value in (plain.get("secrets") or {}).items()}
    return BuildCommand(words, environment, inline.encode(), secrets)


def _build_arguments(inputs: Mapping[str, Any], environment: dict[str, str]) -> list[str]:
    given = inputs.get("buildArgs") or {}
    all_secret = isinstance(given, Secret)
    words: list[str] = []
    for name, value in sorted((given.value if isinstance(given, Secret) else given).items()):
        text = str(reveal(value))
        if not _OWN_NAMES.fullmatch(name):
            # Named only: the CLI takes the value from its environment, which `ps` does not show to others.
            environment[name] = text
            words += ["--build-arg", name]
        elif all_secret or isinstance(value, Secret):
            raise OperationError(
                f'buildArgs["{name}"]: cannot be secret under a name that the Docker CLI obeys itself.'
            )
        else:
            words += ["--build-arg", f"{name}={text}"]
    return words


def _buildx_options(plain: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    if (plain.get("builder") or {}).get("name"):
        words += ["--builder", plain["builder"]["name"]]
    for name, item in sorted(((plain.get("context") or {}).get("named") or {}).items()):
        words += ["--build-context", f"{name}={item['location']}"]
    for property_name, option in (("cacheFrom", "--cache-from"), ("cacheTo", "--cache-to")):
        for item in plain.get(property_name) or []:
            if not item.get("disabled"):
                words += [option, _cache(property_name, item)]
    return words


def _cache(property_name: str, item: Mapping[str, Any]) -> str:
    if item.get("raw"):
        return str(item["raw"])
    for kind in ("registry", "local", "inline"):
        if item.get(kind) is not None:
            options = {
                key: str(value).lower() if value is True or value is False else value
                for key, value in item[kind].items()
            }
            dashed = {re.sub("([A-Z])", r"-\1", key).lower(): value for key, value in options.items()}
            return ",".join([f"type={kind}", *(f"{key}={value}" for key, value in dashed.items())])
    raise OperationError(
        f"{property_name}: the docker-build stand-in serves registry, local, inline and raw caches only. "
        "Use the official provider plugin for others."
    )


def _pushes(export: Mapping[str, Any]) -> bool:
    raw = str(export.get("raw") or "")
    return (
        export.get("registry") is not None
        or bool((export.get("image") or {}).get("push"))
        or "type=registry" in raw
        or "push=true" in raw
    )


def _loads(export: Mapping[str, Any]) -> bool:
    options = {key: value for key, value in (export.get("docker") or {}).items() if value not in (None, False)}
    return (export.get("docker") is not None and not options) or export.get("raw") == "type=docker"


def _place(folder: Path, place: str) -> str:
    return place if build_context.is_remote(place) else str(folder / place)


def _succeeds(words: list[str]) -> bool:
    return subprocess.run(words, capture_output=True, timeout=20, check=False).returncode == 0


def _output(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=False).stdout
