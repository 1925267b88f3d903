"""What a stack declares for the collector of its traces, and which collectors it may have."""

from typing import Any

import pytest
from cluster_stacks import declare, existing, named, pools
from network_policies import Network, Pod
from recording import FLEET, Deploy, Recording
from stack_settings import read
from test_posture import environment, networks

from settings.problems import SettingsError

COLLECTOR = "http://collector.observability.svc:4318"
PORT = 4318
TEAMS = {"alpha": pools("testing")}


def pod(role: str, namespace: str) -> Pod:
    """A pod of the fleet's, by its role."""
    return Pod(namespace, {"agent-fleet.fleet": FLEET, "agent-fleet.role": role})


def to(endpoint: str) -> dict[str, Any]:
    """The setting."""
    return {"otlp_endpoint": endpoint}


def variables(found: Recording, namespace: str, name: str) -> dict[str, str]:
    """The plain variables of the pods of a Deployment, as `<role>.<variable>`."""
    return dict(named(found, "ConfigMap", namespace, name).inputs["data"])


def test_workers_of_a_host_leave_their_network_only_for_a_collector(fleet: Recording, deploy: Deploy) -> None:
    """The backend has no way out, so a collector was never reached; without one, none is to be opened."""
    traced = deploy(telemetry=to("http://10.1.2.3:4318"))
    for role in ("api", "worker"):
        assert environment(traced.containers()[role])["FLEET_OTLP_ENDPOINT"] == "http://10.1.2.3:4318"
        assert "FLEET_OTLP_ENDPOINT" not in environment(fleet.containers()[role])
    assert networks(traced.containers()["worker"]) == {"backend", "frontend"}
    assert networks(fleet.containers()["worker"]) == {"backend"}
    assert "FLEET_OTLP_ENDPOINT" not in environment(traced.containers()["sandboxd"])


def test_a_cluster_lets_its_programs_reach_the_collector_and_no_sandbox(preview: bool) -> None:
    """Spans that no policy lets out are lost in silence; a sandbox that reaches the collector can write traces."""
    found = declare(existing(teams=TEAMS, telemetry=to(COLLECTOR)), preview=preview)
    network, collector = Network.of(found), Pod("observability")
    assert network.lets_out(pod("api", FLEET), collector, PORT)
    assert network.lets_out(pod("pool", f"{FLEET}-alpha"), collector, PORT)
    assert not network.lets_out(pod("pool", f"{FLEET}-alpha"), collector, PORT + 1)
    assert not network.lets_out(pod("pool", f"{FLEET}-alpha"), Pod("elsewhere"), PORT)
    assert not network.lets_out(pod("sandbox", f"{FLEET}-alpha-sandboxes"), collector, PORT)
    told = variables(found, f"{FLEET}-alpha", "testing")
    assert told["worker.FLEET_OTLP_ENDPOINT"] == told["api.FLEET_OTLP_ENDPOINT"] == COLLECTOR


def test_a_cluster_without_a_collector_opens_nothing(preview: bool) -> None:
    """What is unset is as it was."""
    found = declare(existing(teams=TEAMS), preview=preview)
    assert "worker.FLEET_OTLP_ENDPOINT" not in variables(found, f"{FLEET}-alpha", "testing")
    assert not [each for each in found.resources if "collector" in each.name]


@pytest.mark.parametrize(
    ("endpoint", "wanted"),
    [
        ("http://localhost:4318", "the address that the collector has on a network"),
        ("http://127.0.0.1:4318", "the address that the collector has on a network"),
        ("http://169.254.169.254", "link-local"),
        ("http://collector.example.com:4318", "http://name.namespace.svc:4318"),
        ("http://[2001:db8::1]:4318", "an IPv4 address"),
        ("http://10.0.0.1:99999", "allowed are 1 to 65535"),
        ("http://user:secret@collector.observability.svc", "without user, password or query"),
    ],
)
def test_a_collector_that_no_pod_could_reach_is_refused(endpoint: str, wanted: str) -> None:
    """A fleet would come up, and its traces nowhere."""
    with pytest.raises(SettingsError) as refused:
        read(existing(teams=TEAMS, telemetry=to(endpoint)))
    assert "fleet.telemetry.otlp_endpoint" in str(refused.value)
    assert wanted in str(refused.value)
