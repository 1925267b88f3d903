"""Helm releases: planned and checked, and not installed: that needs the official provider."""

from engine.standins.standin import OperationError

_RELEASES = frozenset({"kubernetes:helm.sh/v3:Release"})


def is_release(token: str) -> bool:
    """Whether the resource is a Helm release."""
    return token in _RELEASES


def explanation(token: str) -> str:
    """Why the stand-in does not do it, and what does."""
    return (
        f"{token}: the kubernetes stand-in renders and installs no Helm charts and no kustomizations. Use the official "
        "kubernetes plugin, or install the chart with `helm` and say in the settings that it exists already."
    )


def refuse(token: str) -> None:
    """Raise OperationError for a Helm release."""
    if is_release(token):
        raise OperationError(explanation(token))
