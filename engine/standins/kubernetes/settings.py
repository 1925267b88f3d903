"""The provider's own settings: what they mean, what is wrong with them, and when a change of them replaces everything.

As the official provider judges it (provider/pkg/provider/provider.go, CheckConfig and DiffConfig).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.standins.kubernetes.kubeconfig import KubeconfigError, active_cluster, load
from engine.standins.type_check import Failure
from engine.standins.values import UNKNOWN, has_unknown, reveal

_IGNORED = frozenset(
    {"version", "suppressDeprecationWarnings", "suppressHelmHookWarnings", "kubeClientSettings", "helmReleaseSettings"}
)
_PLACE = ("kubeconfig", "context", "cluster")


@dataclass(frozen=True)
class Settings:
    """A provider's settings, with the environment's where the program gave none."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    patch_force: bool = False
    upsert: bool = False
    mutable: frozenset[str] = frozenset()
    known: bool = True

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "Settings":
        """The settings as the engine passes them: booleans are JSON texts."""
        plain = reveal(config)
        kinds = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}
        environment = {
            "ConfigMap": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
            "Secret": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
        }
        return cls(
            kubeconfig=_text(plain, "kubeconfig"),
            context=_text(plain, "context"),
            cluster=_text(plain, "cluster"),
            namespace=_text(plain, "namespace"),
            delete_unreachable=_flag(plain, "deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
            skip_update_unreachable=_flag(plain, "skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
            patch_force=_flag(plain, "enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
            upsert=_flag(plain, "upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
            mutable=frozenset(kind for kind, key in kinds.items() if _flag(plain, key, environment[kind])),
            known=not any(has_unknown(plain.get(key)) for key in _PLACE),
        )


def failures(config: Mapping[str, Any]) -> list[Failure]:
    """What is wrong with the settings, and what the stand-in does not serve."""
    plain, found = reveal(config), list[Failure]()
    if _given(plain, "renderYamlToDirectory"):
        found.append(
            Failure(
                "renderYamlToDirectory", "is not served by the kubernetes stand-in. Use the official plugin for it."
            )
        )
    if plain.get("enableServerSideApply") in (False, "false"):
        found.append(Failure("enableServerSideApply", "cannot be false: the kubernetes stand-in knows no other way."))
    given = plain.get("kubeconfig")
    if isinstance(given, str) and ("\n" in given or given.lstrip().startswith("{")):
        try:
            load(given)
        except KubeconfigError as error:
            found.append(Failure("kubeconfig", f"{error}."))
    return found


def replacing(olds: Mapping[str, Any], news: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The settings that differ, and those of them for which every resource of the provider is replaced."""
    old, new = reveal(olds), reveal(news)
    differing = sorted(
        key
        for key in {*old, *new}
        if not key.startswith("__")
        and key not in ("version",)
        and (old.get(key) != new.get(key) or _open(new.get(key)))
    )
    identifier = (_text(old, "clusterIdentifier"), _text(new, "clusterIdentifier"))
    if identifier[0] and identifier[0] == identifier[1]:
        return differing, []
    replaces = ["clusterIdentifier"] if all(identifier) and identifier[0] != identifier[1] else []
    unknown = [key for key in _PLACE if _open(new.get(key))]
    if unknown:
        return differing, [*replaces, *unknown]
    before = active_cluster(_text(old, "kubeconfig"), _text(old, "context"), _text(old, "cluster"))
    after = active_cluster(_text(new, "kubeconfig"), _text(new, "context"), _text(new, "cluster"))
    if before is not None and after is not None and before != after:
        replaces += [key for key in _PLACE if key in differing]
    return differing, replaces


def ignored_settings() -> frozenset[str]:
    """Settings that are taken and mean nothing here."""
    return _IGNORED


def _open(value: Any) -> bool:
    return value is UNKNOWN


def _given(plain: Mapping[str, Any], key: str) -> bool:
    return plain.get(key) not in (None, "", False, "false")


def _text(plain: Mapping[str, Any], key: str) -> str:
    value = plain.get(key)
    return value if isinstance(value, str) else ""


def _flag(plain: Mapping[str, Any], key: str, variable: str) -> bool:
    value = plain.get(key)
    if value in (None, ""):
        value = os.environ.get(variable, "")
    return value is True or str(value).lower() == "true"
