"""What is declared for agent-sandbox, judged by a real API server with upstream's definitions of it."""

import copy
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from agent_fleet import TenantNamespace
from declared_manifests import Manifest, declared, title
from fleet_runtime.sandboxd.agent_sandbox_claim import describe_claim
from kubernetes_fleet import declare_pool
from objects_server import ObjectsServer
from recording import FLEET
from sandbox_pods import Cluster

KINDS = {"SandboxTemplate", "SandboxWarmPool"}


@dataclass(frozen=True)
class Declared:
    """A pool whose sandboxes agent-sandbox keeps, its namespaces and rights being really there."""

    server: ObjectsServer
    manifests: list[Manifest]
    namespace: str

    def one(self, kind: str) -> Manifest:
        """A copy of the one object of a kind."""
        (found,) = [each for each in self.manifests if each["kind"] == kind]
        return copy.deepcopy(found)

    @property
    def pod(self) -> Manifest:
        """The template's pod, as its controller makes it."""
        template = self.one("SandboxTemplate")["spec"]["podTemplate"]
        metadata = {**template["metadata"], "name": "judged", "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _declare() -> Any:
    teams = f"{FLEET}-alpha"
    TenantNamespace(
        teams,
        {"fleet": FLEET, "name": teams, "team": "alpha", "purpose": "pools", "database_namespace": FLEET},
    )
    sandboxes = TenantNamespace(
        f"{teams}-sandboxes",
        {"fleet": FLEET, "name": f"{teams}-sandboxes", "team": "alpha", "purpose": "sandboxes"},
    ).namespace
    url = "postgresql://fleet:secret@database:5432/fleet"
    return declare_pool("alpha", "testing", url, sandbox_namespace=sandboxes, agent_sandbox=True).service_name


@pytest.fixture(scope="module")
def kept(pod_cluster: Cluster, agent_sandbox_kinds: None) -> Iterator[Declared]:
    """The objects under a name of this run's."""
    unique = f"objects-{secrets.token_hex(4)}"
    found: list[Manifest] = json.loads(json.dumps(declared(_declare)).replace(FLEET, unique))
    server = ObjectsServer(pod_cluster.program, pod_cluster.kubeconfig)
    try:
        server.prepare(found)
        rights = [each for each in found if each["kind"] in ("Role", "RoleBinding")]
        pod_cluster("apply", "--server-side", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": rights})
        yield Declared(server, found, f"{unique}-alpha-sandboxes")
    finally:
        server.remove(found)


def test_upstreams_definitions_accept_every_object_without_a_warning(kept: Declared) -> None:
    """A misspelt field is dropped, and a posture with it."""
    verdict = kept.server.judge(kept.manifests)
    assert verdict.complaints == ""
    assert verdict.accepted == {title(each) for each in kept.manifests}
    assert {each["kind"] for each in kept.manifests} >= KINDS


def test_the_templates_pod_is_admitted_to_its_namespace(kept: Declared) -> None:
    """Its controller would be refused each pod, and every claim would wait for ever."""
    verdict = kept.server.judge([kept.pod])
    assert verdict.complaints == ""
    assert verdict.accepted == {title(kept.pod)}


@pytest.mark.parametrize(
    ("kind", "field", "value", "complaint"),
    [
        ("SandboxTemplate", "networkPolicyManagement", "None", "Unsupported value"),
        ("SandboxTemplate", "networkPolicyManaged", "Unmanaged", "unknown field"),
        ("SandboxWarmPool", "sandboxTemplate", {"name": "testing"}, "unknown field"),
        ("SandboxWarmPool", "replicas", -1, "greater than or equal to 0"),
    ],
)
def test_a_field_or_value_that_upstream_does_not_know_is_refused(
    kept: Declared, kind: str, field: str, value: Any, complaint: str
) -> None:
    """The judge may be asleep: what must be refused shows that it is not."""
    wrong = kept.one(kind)
    wrong["spec"][field] = value
    verdict = kept.server.judge([wrong])
    assert not verdict.accepted
    assert complaint in verdict.complaints


def test_a_workers_claim_is_accepted_from_its_own_account(kept: Declared, pod_cluster: Cluster) -> None:
    """A claim that its own role refuses leaves a pool without a sandbox."""
    account = _account(kept)
    claim = describe_claim("fleet-sandbox-1", "testing", "agent-fleet.role=sandbox", "worker-1", datetime.now(UTC))
    given = {**claim, "metadata": {**claim["metadata"], "namespace": kept.namespace}}
    said = pod_cluster(
        "create", f"--as={account}", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "name", given=given
    )
    assert said.strip() == "sandboxclaim.extensions.agents.x-k8s.io/fleet-sandbox-1"


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("create", "sandboxclaims.extensions.agents.x-k8s.io", True),
        ("delete", "sandboxclaims.extensions.agents.x-k8s.io", True),
        ("update", "sandboxclaims.extensions.agents.x-k8s.io", False),
        ("get", "sandboxes.agents.x-k8s.io", True),
        ("patch", "sandboxes.agents.x-k8s.io", False),
        ("patch", "sandboxtemplates.extensions.agents.x-k8s.io", False),
        ("patch", "sandboxwarmpools.extensions.agents.x-k8s.io", False),
        ("watch", "pods", True),
        ("create", "pods/attach", True),
        ("create", "pods/exec", False),
        ("create", "pods", False),
        ("patch", "pods", False),
        ("delete", "pods", False),
    ],
)
def test_a_worker_may_do_what_claiming_takes_and_nothing_else(
    kept: Declared,
    pod_cluster: Cluster,
    verb: str,
    resource: str,
    allowed: bool,
) -> None:
    """Rights that are merely left over are an attacker's."""
    whole, _, part = resource.partition("/")
    asked = (verb, whole, f"--subresource={part}") if part else (verb, whole)
    said = pod_cluster("auth", "can-i", *asked, "-n", kept.namespace, f"--as={_account(kept)}", check=False)
    assert said.strip() == ("yes" if allowed else "no")


def _account(kept: Declared) -> str:
    (subject,) = kept.one("RoleBinding")["subjects"]
    return f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
