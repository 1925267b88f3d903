"""Docker's default seccomp profile (seccomp_default.json), worked out for a machine and for no capabilities."""

import json
from functools import cache
from pathlib import Path
from typing import Any, cast

_NAMES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}
"""What the profile calls a machine, in its conditions and in its table."""


@cache
def seccomp(machine: str) -> dict[str, Any]:
    """Return `linux.seccomp` of the runtime specification; KeyError for a machine that the fleet does not run on.

    Unlike Docker's it lets no other kind of program run than the machine's own: a 32-bit one is killed at its first
    call. That is less of the kernel to attack, and a third of the filter, which every start has to work out anew.
    """
    condition, architecture = _NAMES[machine]
    profile = cast("dict[str, Any]", json.loads(Path(__file__).with_name("seccomp_default.json").read_text()))
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": [architecture],
        "syscalls": [_plain(rule) for rule in profile["syscalls"] if _applies(rule, condition)],
    }


def _applies(rule: dict[str, Any], machine: str) -> bool:
    """Judge a rule as Docker does; of kernel versions it asks for 4.8 at the most, which all that are alive have."""
    wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
    if wanted.get("caps") or machine in unwanted.get("arches", ()):
        return False
    return machine in wanted.get("arches", (machine,))


def _plain(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key not in {"includes", "excludes", "comment"}}
