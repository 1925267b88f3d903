"""Pushes an image from the Docker daemon to registries, and asks a registry whether it still has an image."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from engine.standins.build_command import BuildCommand
from engine.standins.build_run import BuildRunner
from engine.standins.docker_api import DockerEngine, DockerError, part
from engine.standins.engine_log import StatusLine
from engine.standins.standin import OperationError

_PUSH_SECONDS = 1800.0
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")


class ImagePush:
    """Pushes by the Docker CLI, which has the user's own logins, or with the logins that the program gives."""

    def __init__(self, engine: DockerEngine, runner: BuildRunner, program: str) -> None:
        """`program` is the Docker CLI that built."""
        self._engine = engine
        self._runner = runner
        self._program = program

    def push(self, inputs: Mapping[str, Any], status: StatusLine) -> str:
        """Push every tag of the image; the digest of its manifest, as the registry answered. `inputs` are plain."""
        digest = ""
        for tag in inputs["tags"]:
            login = login_for(tag, inputs)
            digest = self._with_login(tag, login) if login else self._with_cli(tag, status)
        return digest

    def _with_cli(self, tag: str, status: StatusLine) -> str:
        command = BuildCommand([self._program, "push", tag], {"DOCKER_HOST": self._engine.host})
        lines = self._runner.run(command, status, set(), lambda output: _refused(tag, "\n".join(output[-5:])))
        found = [match[1] for line in lines if (match := _DIGEST.search(line))]
        if not found:
            raise OperationError(f"tags: {tag} was pushed, but the registry named no digest: {' '.join(lines[-3:])}")
        return found[-1]

    def _with_login(self, tag: str, login: Mapping[str, str]) -> str:
        repository, label = split(tag)
        try:
            answer = self._engine.raw(
                "POST",
                f"/images/{part(repository)}/push",
                query={"tag": label},
                timeout=_PUSH_SECONDS,
                headers=_header(login),
            )
        except DockerError as error:
            raise OperationError(_refused(tag, error.message)) from None
        digest = ""
        for line in answer.decode(errors="replace").splitlines():
            message: dict[str, Any] = json.loads(line) if line.strip() else {}
            if message.get("error"):
                raise OperationError(_refused(tag, str(message["error"])))
            digest = str((message.get("aux") or {}).get("Digest") or digest)
        return digest


def gone(engine: DockerEngine, inputs: Mapping[str, Any], digest: str) -> bool:
    """Whether the registry answers and has no image of this digest; where it does not answer nothing is known."""
    tag = str(inputs["tags"][0])
    login = login_for(tag, inputs)
    reference = f"{split(tag)[0]}@{digest}"
    try:
        engine.request("GET", f"/distribution/{part(reference)}/json", headers=_header(login) if login else None)
    except DockerError as error:
        # The daemon passes the registry's 404 on as one of its own, or within an error of its own.
        return error.status == 404 or "manifest unknown" in error.message or "not found" in error.message
    return False


def split(tag: str) -> tuple[str, str]:
    """`registry:5000/name:tag` as its repository and its tag."""
    name, _, label = tag.rpartition(":")
    return (name, label) if name and "/" not in label else (tag, "latest")


def login_for(tag: str, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The login that the program gives for the registry of a tag; empty when it gives none."""
    registry = tag.partition("/")[0]
    for item in inputs.get("registries") or []:
        address = re.sub(r"^https?://", "", str(item["address"])).partition("/")[0]
        if address == registry and item.get("username"):
            password = str(item.get("password") or "")
            return {"username": str(item["username"]), "password": password, "serveraddress": address}
    return {}


def _header(login: Mapping[str, str]) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(login).encode()).decode()}


def _refused(tag: str, message: str) -> str:
    text = f"tags: {tag} could not be pushed: {message.strip()}"
    if "server gave HTTP response to HTTPS client" in message:
        return f"{text}\nDocker speaks plain HTTP to registries on this machine's own addresses (127.0.0.1) only."
    if "denied" in message or "unauthorized" in message or "no basic auth" in message:
        return f"{text}\nLog in with `docker login {tag.partition('/')[0]}`, or give `registries` to the image."
    return text
