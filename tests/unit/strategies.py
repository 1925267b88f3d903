"""Settings made at random: those that must be accepted, and single faults that must not."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from settings.problems import SCHEMA, Path, named_entries, resolved
from settings.scope import applies

NAMES = {"<team>": "alpha", "<agent_type>": "testing", "<domain>": "api.example.com", "<tenant>": "default"}
"""For settings below a name that the user chooses."""


def leaves(
    architecture: str, target: str, schema: Mapping[str, Any] | None = None, path: Path = ()
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every setting that holds a value and means something in such a stack, with its schema."""
    for name, child in resolved(SCHEMA if schema is None else schema)["properties"].items():
        if not applies(child, architecture, target):
            continue
        found, here = resolved(child), (*path, name)
        entries = named_entries(found)
        if entries is not None:
            found, here = entries[1], (*here, NAMES[entries[0]])
        if "properties" in found:
            yield from leaves(architecture, target, found, here)
        else:
            yield here, found


VM: Mapping[str, Any] = {"architecture": "vm"}
LEAVES = dict(leaves("vm", "docker"))
EVERY_LEAF = {**LEAVES, **dict(leaves("cluster", "existing")), **dict(leaves("cluster", "eks"))}


def whole(path: str, *, minimum: int | None = None, maximum: int | None = None) -> st.SearchStrategy[int]:
    """A whole number that the setting allows, within further bounds."""
    schema = LEAVES[tuple(path.split("."))]
    low, high = int(schema["minimum"]), int(schema["maximum"])
    return st.integers(max(low, minimum or low), high if maximum is None else min(high, maximum))


@st.composite
def accepted(draw: st.DrawFn) -> dict[str, Any]:
    """Settings that keep every rule, with any of their keys left out where the rules allow it."""
    count = draw(whole("workers.count"))
    concurrency = draw(whole("workers.concurrency"))
    jobs = count * concurrency
    longest = draw(whole("limits.task_timeout_seconds"))
    renew = draw(whole("workers.lease_renew_seconds", maximum=1_799))
    memory = draw(whole("sandbox.memory_mebibytes"))
    maximum = draw(whole("sandbox.maximum", minimum=jobs))
    languages = draw(st.lists(st.sampled_from(["python", "bash", "node"]), min_size=1, unique=True))
    settings: dict[str, Any] = {
        "architecture": "vm",
        "log_level": draw(st.sampled_from(["debug", "info", "warning", "error"])),
        "limits": {
            "max_concurrent_agents": draw(whole("limits.max_concurrent_agents", minimum=jobs)),
            "task_timeout_seconds": longest,
            "max_attempts": draw(whole("limits.max_attempts")),
        },
        "api": {
            "bind_address": draw(st.ip_addresses().map(str)),
            "port": draw(whole("api.port")),
            "default_timeout_seconds": draw(whole("api.default_timeout_seconds", maximum=longest)),
            "queue_limit": draw(whole("api.queue_limit")),
        },
        "workers": {
            "count": count,
            "concurrency": concurrency,
            "drain_seconds": draw(whole("workers.drain_seconds")),
            "lease_seconds": draw(whole("workers.lease_seconds", minimum=2 * renew + 1)),
            "lease_renew_seconds": renew,
        },
        "sandbox": {
            "runtime": draw(st.sampled_from(["runc", "runsc"])),
            "memory_mebibytes": memory,
            "scratch_mebibytes": draw(whole("sandbox.scratch_mebibytes", maximum=memory // 2)),
            "cpus": draw(st.floats(0.1, 256)),
            "warm": draw(whole("sandbox.warm", maximum=maximum)),
            "maximum": maximum,
            "languages": languages,
        },
    }
    if draw(st.booleans()):
        settings["target"] = "docker"
    return settings


@st.composite
def one_fault(
    draw: st.DrawFn, base: Mapping[str, Any] = VM, known: Mapping[Path, Any] = LEAVES
) -> tuple[dict[str, Any], Path]:
    """Settings with one fault, and the path at which it must be reported."""
    path = draw(st.sampled_from(sorted(path for path in known if path not in (("architecture",), ("target",)))))
    schema = known[path]
    kind = draw(st.sampled_from(["value", "name"]))
    if kind == "name":
        path = (*path[:-1], f"{path[-1]}_{draw(st.sampled_from('xyz'))}")
        value: Any = draw(st.none() | st.integers() | st.text(max_size=5))
    elif "minimum" in schema:
        below = st.integers(max_value=-1) if schema["minimum"] == 0 else st.just(0)
        value = draw(below | st.just(int(schema["maximum"]) + 1) | st.booleans() | st.just("twelve"))
    elif schema.get("type") == "boolean":
        value = draw(st.integers(min_value=2) | st.just({"key": "value"}) | st.just("perhaps"))
    else:
        value = draw(st.integers() | st.just({"key": "value"}) | st.booleans())
    settings = deepcopy(dict(base))
    section = settings
    for part in path[:-1]:
        section = section.setdefault(str(part), {})
    section[str(path[-1])] = value
    return settings, path
