"""The fleet's host that boots in a test: its programs, what its boot begins with, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent_fleet.database_workload import database_url
from agent_fleet.systemd.fleet_host import HostWorkload
from agent_fleet.systemd.host_plan import PROGRAMS, SETUP_UNIT, HostPlan, HostUnit
from agent_fleet.systemd.service_workloads import api_on_host, database_on_host, workers_on_host
from agent_fleet_client.fleet import Fleet
from containers import wait_for
from host_fleet import ARGS
from inner_mirror import MIRROR_UNIT
from systemd_host import SystemdHost

FLEET = "agent-fleet-boot"
REGION = "eu-west-1"
DATA = "/var/lib/agent-fleet"
PASSWORD = "only-for-this-test"
ROLES = ("database", "api", "sandboxd", "worker")
UNITS = tuple(f"{FLEET}-{role}.service" for role in ROLES)
BOOT_SECONDS = 900
LATE = "late"
"""An image that no program needs."""


@dataclass(frozen=True)
class Told:
    """What hosts of the fleet are made with."""

    plan: HostPlan
    key: str
    boot: "partial[SystemdHost]"


def programs(digests: Mapping[str, str], keys: str) -> list[HostWorkload]:
    """All that runs on it; `keys` are the API's bootstrap keys."""
    args: Any = {
        **ARGS,
        "fleet": FLEET,
        "image": digests["runtime"],
        "database_url": database_url(PASSWORD, "127.0.0.1"),
        # Longer than a host takes to be replaced.
        "api": {**ARGS["api"], "result_ttl_seconds": 3_600},
        "workers": {
            **ARGS["workers"],
            "count": 1,
            "drain_seconds": 20,
            "lease_seconds": 6,
            "lease_renew_seconds": 2,
        },
        "sandbox": {**ARGS["sandbox"], "image": digests["sandbox"]},
    }
    del args["egress"]
    database = database_on_host(
        f"{FLEET}-database",
        image=digests["postgres"],
        memory_mebibytes=256,
        password=PASSWORD,
        folder=f"{DATA}/database",
    )
    api = api_on_host(f"{FLEET}-api", args, keys=keys, after=(database.workload.name,))
    return [database, api, *workers_on_host(FLEET, args, after=(api.workload.name,))]


def late_unit(image: str) -> HostUnit:
    """A unit that does nothing but pull an image, as every program's does first."""
    text = f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={PROGRAMS}/pull {image}\nRestart=on-failure\n"
    return HostUnit(name="test-late.service", text=text, wanted=False)


def journal(machine: SystemdHost, unit: str) -> str:
    """What a unit has said, warnings and errors alone."""
    return machine.run("journalctl", "--unit", unit, "--priority", "warning", "--output", "cat", "--no-pager")[1]


def first_boot(told: Told) -> SystemdHost:
    """Boot a host whose mirror of packages does not answer at first, and wait until all its units run."""
    machine = told.boot()
    try:
        said = "These packages were not installed: hello. Attempt 1 of 6, again in 10 s."
        wait_for(lambda: said in journal(machine, SETUP_UNIT), said, 120)
        assert not machine.active(UNITS[0])
        assert machine.run("systemctl", "start", MIRROR_UNIT.name)[0] == 0
        machine.wait(*UNITS, seconds=BOOT_SECONDS)
    except BaseException:
        machine.remove()
        raise
    return machine


def fleet(machine: SystemdHost, told: Told) -> Fleet:
    """The API of a host."""
    return Fleet(f"http://{machine.address}:8080", told.key, patience_seconds=60)
