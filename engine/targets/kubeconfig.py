"""Which kubeconfig and context the user means."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.errors import UserFacingError
from engine.paths import Paths

_MAKE_CLUSTER = "`make cluster` starts a cluster on this machine"
_OWN = "to use your own, set KUBECONFIG, or fleet.cluster.kubeconfig in the stack's settings"


@dataclass(frozen=True)
class Kubeconfig:
    """A kubeconfig file, the context in it (None: its current one), and what named it."""

    path: Path
    context: str | None
    source: str


def local_cluster(paths: Paths) -> Path:
    """Where `make cluster` puts its kubeconfig."""
    return paths.fleet / "cluster" / "kubeconfig"


def find(settings: Mapping[str, Any], paths: Paths, environment: Mapping[str, str] | None = None) -> Kubeconfig | None:
    """The settings' file, else KUBECONFIG, else that of `make cluster`, else kubectl's own; None where there is none.

    A file that the settings or KUBECONFIG name and that is not there is an error, never a reason to take another.
    """
    source = os.environ if environment is None else environment
    cluster = settings.get("cluster")
    cluster = cluster if isinstance(cluster, Mapping) else {}
    context = cluster.get("context")
    context = context if isinstance(context, str) and context else None
    if isinstance(given := cluster.get("kubeconfig"), str) and given:
        path = Path(given).expanduser()
        return _existing(path if path.is_absolute() else paths.root / path, context, "fleet.cluster.kubeconfig")
    if given := source.get("KUBECONFIG"):
        named = [Path(part) for part in given.split(os.pathsep) if part]
        there = [path for path in named if path.exists()]
        return _existing((there or named)[0], context, "KUBECONFIG")
    own = local_cluster(paths)
    if own.exists():
        return Kubeconfig(own, context, "`make cluster`")
    usual = Path(source.get("HOME") or "/") / ".kube" / "config"
    return Kubeconfig(usual, context, "kubectl's own default") if usual.exists() else None


def required(settings: Mapping[str, Any], paths: Paths) -> Kubeconfig:
    """The same, or a UserFacingError with the ways to get one."""
    if (found := find(settings, paths)) is None:
        raise UserFacingError("There is no cluster to deploy to: no kubeconfig was found.", f"{_MAKE_CLUSTER}; {_OWN}.")
    return found


def _existing(path: Path, context: str | None, source: str) -> Kubeconfig:
    if not path.is_file():
        raise UserFacingError(f"{source} names {path}, which is no file.", f"Correct it. {_MAKE_CLUSTER}; {_OWN}.")
    try:
        contexts = [each["name"] for each in yaml.safe_load(path.read_text()).get("contexts") or []]
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a kubeconfig"
        raise UserFacingError(
            f"{source} names {path}, which cannot be read: {reason}.", f"Correct it. {_MAKE_CLUSTER}; {_OWN}."
        ) from error
    if context is not None and context not in contexts:
        raise UserFacingError(
            f"fleet.cluster.context is {context!r}; {path} has {', '.join(contexts) or 'no context'}.",
            "Choose one of these, or leave the setting out for the file's current one.",
        )
    return Kubeconfig(path, context, source)
