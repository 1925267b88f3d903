"""Which Docker daemon the user means: DOCKER_HOST, else the current context, else the usual socket."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEFAULT = "unix:///var/run/docker.sock"


def endpoint(environment: Mapping[str, str] | None = None) -> str:
    """The daemon's address as Docker's own command line would choose it."""
    source = os.environ if environment is None else environment
    if host := source.get("DOCKER_HOST"):
        return host
    folder = Path(source.get("DOCKER_CONFIG") or Path(source.get("HOME") or "/") / ".docker")
    context = source.get("DOCKER_CONTEXT") or _json(folder / "config.json").get("currentContext", "")
    if not context or context == "default":
        return DEFAULT
    meta = folder / "contexts" / "meta" / hashlib.sha256(context.encode()).hexdigest() / "meta.json"
    return _json(meta).get("Endpoints", {}).get("docker", {}).get("Host") or DEFAULT


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
