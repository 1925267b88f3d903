"""Faults in a container's inputs that their types do not show, found before anything is created."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.standins.docker_container_spec import nanoseconds
from engine.standins.type_check import Failure
from engine.standins.values import UNKNOWN, has_unknown, reveal

_CHOICES = {
    "restart": ("no", "on-failure", "always", "unless-stopped"),
    "cgroupnsMode": ("private", "host"),
}
_AT_LEAST = {"memory": 0, "memoryReservation": 0, "memorySwap": -1, "shmSize": 0, "cpuShares": 0, "waitTimeout": 1}
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def failures(inputs: Mapping[str, Any]) -> list[Failure]:
    """Every fault in `inputs`; what is unknown yet passes."""
    plain: Mapping[str, Any] = reveal(inputs)
    found: list[Failure] = []
    for name, allowed in _CHOICES.items():
        value = plain.get(name)
        if isinstance(value, str) and value not in allowed:
            found.append(Failure(name, f"must be one of {', '.join(allowed)}, not {value!r}."))
    for name, minimum in _AT_LEAST.items():
        value = plain.get(name)
        if isinstance(value, int) and value < minimum:
            found.append(Failure(name, f"must be at least {minimum}, not {value}."))
    name = plain.get("name")
    if isinstance(name, str) and not _NAME.fullmatch(name):
        found.append(Failure("name", f"must be letters, digits, '_', '.' and '-', at least two, not {name!r}."))
    for rule in (_cpus, _health, _volumes, _mounts, _ports, _uploads, _command, _combinations):
        rule(plain, found)
    return found


def _cpus(plain: Mapping[str, Any], found: list[Failure]) -> None:
    cpus = plain.get("cpus")
    if isinstance(cpus, str):
        try:
            valid = float(cpus) > 0
        except ValueError:
            valid = False
        if not valid:
            found.append(Failure("cpus", f"must be a number above 0 as a string, such as '1.5', not {cpus!r}."))
    cpu_set = plain.get("cpuSet")
    if isinstance(cpu_set, str) and not re.fullmatch(r"\d+([,-]\d+)*", cpu_set):
        found.append(Failure("cpuSet", f"must be like '0-1' or '0,2', not {cpu_set!r}."))


def _health(plain: Mapping[str, Any], found: list[Failure]) -> None:
    given = plain.get("healthcheck")
    check: dict[str, Any] = given if isinstance(given, dict) else {}
    for name in ("interval", "timeout", "startPeriod", "startInterval"):
        value = check.get(name)
        if isinstance(value, str):
            try:
                nanoseconds(value)
            except ValueError as error:
                found.append(Failure(f"healthcheck.{name}", f"{error}."))


def _volumes(plain: Mapping[str, Any], found: list[Failure]) -> None:
    for path, volume in _items(plain, "volumes"):
        if has_unknown(volume):
            continue
        if not volume.get("fromContainer") and not volume.get("containerPath"):
            found.append(Failure(path, "needs containerPath, or fromContainer to take another container's volumes."))
        if volume.get("fromContainer") and volume.get("containerPath"):
            found.append(Failure(path, "takes either containerPath or fromContainer, not both."))
        host_path = volume.get("hostPath")
        if host_path and not host_path.startswith("/"):
            found.append(Failure(f"{path}.hostPath", f"must be an absolute path, not {host_path!r}."))


def _mounts(plain: Mapping[str, Any], found: list[Failure]) -> None:
    for path, mount in _items(plain, "mounts"):
        kind = mount.get("type")
        if kind is not UNKNOWN and kind not in ("bind", "volume", "tmpfs"):
            found.append(Failure(f"{path}.type", f"must be one of bind, volume, tmpfs, not {kind!r}."))
        for option, owner in (("bindOptions", "bind"), ("volumeOptions", "volume"), ("tmpfsOptions", "tmpfs")):
            if mount.get(option) and kind in ("bind", "volume", "tmpfs") and kind != owner:
                found.append(Failure(f"{path}.{option}", f"is for type {owner}, and this mount's type is {kind}."))


def _ports(plain: Mapping[str, Any], found: list[Failure]) -> None:
    for path, port in _items(plain, "ports"):
        for name in ("internal", "external"):
            value = port.get(name)
            if isinstance(value, int) and not 0 < value < 65536:
                found.append(Failure(f"{path}.{name}", f"must be from 1 to 65535, not {value}."))
        protocol = port.get("protocol")
        if isinstance(protocol, str) and protocol not in ("tcp", "udp", "sctp"):
            found.append(Failure(f"{path}.protocol", f"must be one of tcp, udp, sctp, not {protocol!r}."))


def _uploads(plain: Mapping[str, Any], found: list[Failure]) -> None:
    for path, upload in _items(plain, "uploads"):
        given = [name for name in ("content", "contentBase64", "source") if upload.get(name) is not None]
        if len(given) != 1:
            wrong = "none is given" if not given else f"{' and '.join(given)} are given"
            found.append(Failure(path, f"needs exactly one of content, contentBase64 and source; {wrong}."))
        permissions = upload.get("permissions")
        if isinstance(permissions, str) and not re.fullmatch("0[0-7]{3}", permissions):
            found.append(Failure(f"{path}.permissions", f"must be like '0644', not {permissions!r}."))


def _command(plain: Mapping[str, Any], found: list[Failure]) -> None:
    for index, word in enumerate(plain.get("command") or [] if isinstance(plain.get("command"), list) else []):
        if word == "":
            found.append(Failure(f"command[{index}]", "must not be empty."))


def _combinations(plain: Mapping[str, Any], found: list[Failure]) -> None:
    conditions: list[tuple[str, Callable[[], bool], str]] = [
        (
            "containerReadRefreshTimeoutMilliseconds",
            lambda: plain.get("containerReadRefreshTimeoutMilliseconds") is not None,
            "has no effect here: leave it out.",
        ),
        ("wait", lambda: plain.get("wait") is True and plain.get("start") is False, "needs start to be true."),
        ("logs", lambda: plain.get("logs") is True and plain.get("attach") is not True, "needs attach to be true."),
        (
            "gpus",
            lambda: bool(plain.get("gpus")) and bool(plain.get("deviceRequests")),
            "cannot be combined with deviceRequests.",
        ),
        (
            "rm",
            lambda: plain.get("rm") is True and plain.get("restart") not in (None, "no", UNKNOWN),
            "cannot be combined with a restart policy.",
        ),
    ]
    found += [Failure(name, reason) for name, holds, reason in conditions if holds()]


def _items(plain: Mapping[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    items = plain.get(name)
    if not isinstance(items, list):
        return []
    return [(f"{name}[{index}]", item) for index, item in enumerate(items) if isinstance(item, dict)]
