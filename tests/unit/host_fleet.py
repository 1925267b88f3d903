"""A host of systemd with all that it can run, as plain values, and what its units say."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pulumi
from agent_fleet.execution_args import ExecutionServiceArgs
from agent_fleet.systemd.fleet_host import HostWorkload, plan_host, secret_text
from agent_fleet.systemd.host_plan import DataVolume, HostPlan, HostSecret
from agent_fleet.systemd.resolved_workload import resolved_workload
from agent_fleet.systemd.service_workloads import api_on_host, database_on_host, workers_on_host
from recording import FLEET, record

PASSWORD = "correct-horse"
KEYS = '[{"tenant": "default", "key_id": "ab", "sha256": "00"}]'
SECRET = HostSecret(arn="arn:aws:secretsmanager:eu-west-1:000000000000:secret:fleet", version="v1")
DATA = DataVolume(device="/dev/data", path="/var/lib/agent-fleet", folders=(("database", "999:999"),))
ARGS: ExecutionServiceArgs = {
    "fleet": FLEET,
    "image": "registry/runtime@sha256:" + "1" * 64,
    "database_url": f"postgresql://fleet:{PASSWORD}@127.0.0.1:5432/fleet",
    "frontend_network": "host",
    "backend_network": "host",
    "docker_socket": "/var/run/docker.sock",
    "log_level": "info",
    "api": {
        "bind_address": "127.0.0.1",
        "port": 8080,
        "languages": ["python", "bash"],
        "default_timeout_seconds": 60,
        "max_timeout_seconds": 600,
        "max_attempts": 3,
        "result_ttl_seconds": 60,
        "tombstone_ttl_seconds": 60,
        "queue_limit": 100,
        "budgets": [],
    },
    "workers": {"count": 2, "concurrency": 2, "drain_seconds": 30, "lease_seconds": 30, "lease_renew_seconds": 10},
    "sandbox": {
        "image": "registry/sandbox@sha256:" + "2" * 64,
        "runtime": "runc",
        "memory_mebibytes": 256,
        "cpus": 0.5,
        "processes": 64,
        "scratch_mebibytes": 64,
        "warm": 1,
        "maximum": 4,
        "start_timeout_seconds": 30,
    },
    "egress": {
        "domains": ["api.example.com"],
        "credentials": {"api.example.com": {"header": "Authorization", "value": f"Bearer {PASSWORD}"}},
        "connections": 4,
        "job_mebibytes": 64,
        "tenant_daily_mebibytes": 64,
        "tenant_daily_requests": 64,
    },
}


def _declared() -> list[HostWorkload]:
    database = database_on_host(
        f"{FLEET}-database",
        image="registry/postgres@sha256:" + "3" * 64,
        memory_mebibytes=256,
        password=PASSWORD,
        folder=f"{DATA.path}/database",
    )
    api = api_on_host(f"{FLEET}-api", ARGS, keys=KEYS, after=(database.workload.name,))
    return [database, api, *workers_on_host(FLEET, ARGS, after=(api.workload.name,))]


def resolved_workloads(declare: Callable[[], list[HostWorkload]]) -> tuple[HostWorkload, ...]:
    """What is declared, its values plain."""
    after: list[tuple[str, ...]] = []

    def program() -> pulumi.Output[Any]:
        placed = declare()
        after.extend(each.after for each in placed)
        return pulumi.Output.all(*[resolved_workload(each.workload) for each in placed])

    found = record(program, preview=False).result
    return tuple(HostWorkload(workload=each, after=names) for each, names in zip(found, after, strict=True))


@cache
def workloads() -> tuple[HostWorkload, ...]:
    """All programs of a fleet, their values plain."""
    return resolved_workloads(_declared)


def planned(**given: Any) -> HostPlan:
    """The plan of that host, with what a test changes."""
    told: dict[str, Any] = {
        "fleet": FLEET,
        "region": "eu-west-1",
        "sandbox_images": [ARGS["sandbox"]["image"]],
        "secret": SECRET,
        "data_volume": DATA,
        "log_group": "/agent-fleet/test",
        **given,
    }
    return plan_host(told.pop("workloads", None) or workloads(), **told)


def secrets() -> Mapping[str, Mapping[str, str]]:
    """What that host fetches at boot."""
    return json.loads(secret_text([each.workload for each in workloads()]))


@dataclass
class ContainerRun:
    """What a unit tells Docker."""

    options: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    image: str = ""
    command: tuple[str, ...] = ()


_WITHOUT_VALUE = {"--detach", "--read-only"}


def lines(text: str, key: str) -> list[str]:
    """The values of a unit's key, continued lines joined."""
    joined = text.replace("\\\n", " ")
    return [line.partition("=")[2] for line in joined.splitlines() if line.startswith(f"{key}=")]


def container_run(text: str) -> ContainerRun:
    """The `docker run` of a unit."""
    (command,) = [each for each in lines(text, "ExecStartPre") if each.startswith("/usr/bin/docker run ")]
    words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(command)][2:]
    found = ContainerRun()
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            found.image, found.command = word, tuple(words)
            break
        found.options.setdefault(word, []).append("" if word in _WITHOUT_VALUE else words.pop(0))
    return found


def units(plan: HostPlan) -> Mapping[str, str]:
    """The text of each unit by its name, the fleet's own name left out."""
    return {each.name.removeprefix(f"{FLEET}-"): each.text for each in plan.units}
