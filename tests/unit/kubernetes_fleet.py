"""A small fleet of all of the cluster's components, and how to look at what it declares."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
from agent_fleet import (
    AgentPool,
    ClusterDatabase,
    ClusterRedis,
    DoorbellArgs,
    FleetApi,
    FleetApiArgs,
    ImagePrepull,
    TenantNamespace,
    WorkspaceClaim,
)
from recording import FLEET, UNKNOWN, Declared, Recording, digest

TEAMS = ("alpha", "beta")
AGENT_TYPES = ("implementation", "testing")
RUNTIME_IMAGE = f"registry.test/agent-fleet/runtime@{digest('runtime')}"
SANDBOX_IMAGE = f"registry.test/agent-fleet/sandbox@{digest('sandbox')}"
POSTGRES_IMAGE = f"registry.test/agent-fleet/postgres@{digest('postgres')}"
REDIS_IMAGE = f"registry.test/agent-fleet/redis@{digest('redis')}"
POOLS: FleetApiArgs = {
    "fleet": FLEET,
    "namespace": FLEET,
    "image": RUNTIME_IMAGE,
    "database_url": "",
    "teams": list(TEAMS),
    "pools": [
        {
            "tenant": team,
            "agent_type": agent_type,
            "template": f"{team}-{agent_type}",
            "default": agent_type == AGENT_TYPES[0],
        }
        for team in TEAMS
        for agent_type in AGENT_TYPES
    ],
    "exposure": "node_port",
}
POD_OWNERS = ("Deployment", "StatefulSet", "DaemonSet")


def system_namespace() -> pulumi.Output[str]:
    """The namespace of API and database."""
    return TenantNamespace(
        FLEET,
        {
            "fleet": FLEET,
            "name": FLEET,
            "team": FLEET,
            "purpose": "system",
            "database_namespace": FLEET,
            "redis_namespace": FLEET,
        },
    ).namespace


def declare_pool(team: str, agent_type: str, database_url: pulumi.Input[str], **given: Any) -> AgentPool:
    """A pool with all that differs from the defaults given as keywords; its namespaces must be there."""
    args: Any = {
        "fleet": FLEET,
        "team": team,
        "agent_type": agent_type,
        "namespace": f"{FLEET}-{team}",
        "image": RUNTIME_IMAGE,
        "database_url": database_url,
        "sandbox": {"image": SANDBOX_IMAGE},
        "sandbox_namespace": f"{FLEET}-{team}-sandboxes",
        **given,
    }
    return AgentPool(f"{FLEET}-{team}-{agent_type}", args)


def declare_fleet() -> pulumi.Output[Any]:
    """Two teams with two pools each; the testing pools are an autoscaler's to size."""
    system = system_namespace()
    database = ClusterDatabase(
        f"{FLEET}-database",
        {
            "fleet": FLEET,
            "namespace": system,
            "image": POSTGRES_IMAGE,
            "client_namespaces": [FLEET, *(f"{FLEET}-{team}" for team in TEAMS)],
        },
    )
    redis = ClusterRedis(
        f"{FLEET}-redis",
        {
            "fleet": FLEET,
            "namespace": system,
            "image": REDIS_IMAGE,
            "client_namespaces": [FLEET, *(f"{FLEET}-{team}" for team in TEAMS)],
        },
    )
    doorbell: DoorbellArgs = {"kind": "redis", "url": redis.url}
    api = FleetApi(f"{FLEET}-api", {**POOLS, "namespace": system, "database_url": database.url, "doorbell": doorbell})
    ImagePrepull(
        f"{FLEET}-prepull",
        {"fleet": FLEET, "namespace": system, "images": [RUNTIME_IMAGE, SANDBOX_IMAGE], "tolerate_untrusted": True},
    )
    for team in TEAMS:
        namespace = TenantNamespace(
            f"{FLEET}-{team}",
            {
                "fleet": FLEET,
                "name": f"{FLEET}-{team}",
                "team": team,
                "purpose": "pools",
                "ingress_from_namespaces": [FLEET],
                "metrics_from_namespaces": ["monitoring"],
                "database_namespace": FLEET,
                "redis_namespace": FLEET,
            },
        ).namespace
        sandboxes = TenantNamespace(
            f"{FLEET}-{team}-sandboxes",
            {"fleet": FLEET, "name": f"{FLEET}-{team}-sandboxes", "team": team, "purpose": "sandboxes"},
        ).namespace
        workspace = WorkspaceClaim(
            f"{FLEET}-{team}-workspace", {"fleet": FLEET, "team": team, "namespace": namespace, "storage_class": "efs"}
        )
        for agent_type in AGENT_TYPES:
            declare_pool(
                team,
                agent_type,
                database.url,
                namespace=namespace,
                sandbox_namespace=sandboxes,
                workspace_claim=workspace.claim_name,
                doorbell=doorbell,
                **({} if agent_type == "testing" else {"replicas": 5}),
            )
    return pulumi.Output.all(url=api.url, api_keys=api.api_keys)


def of_kind(recording: Recording, kind: str) -> list[Declared]:
    """Every Kubernetes object of a kind."""
    return [each for each in recording.resources if each.inputs.get("kind") == kind]


def named(recording: Recording, kind: str, namespace: str, name: str) -> Declared:
    """The one object of that kind, namespace and name."""
    (found,) = [
        each
        for each in of_kind(recording, kind)
        if each.inputs["metadata"].get("namespace") == namespace and each.inputs["metadata"]["name"] == name
    ]
    return found


def place(declared: Declared) -> tuple[str, str]:
    """An object's namespace and name."""
    return declared.inputs["metadata"].get("namespace", ""), declared.inputs["metadata"]["name"]


def pods(recording: Recording) -> Iterator[tuple[Declared, Mapping[str, Any]]]:
    """Everything that makes pods, with the pods' spec."""
    for kind in POD_OWNERS:
        for each in of_kind(recording, kind):
            yield each, each.inputs["spec"]["template"]["spec"]


def containers(spec: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A pod's containers by name, those included that run before the others."""
    return {each["name"]: each for each in [*spec.get("initContainers", []), *spec["containers"]]}


def configuration(recording: Recording, owner: Declared, container: str) -> dict[str, str]:
    """A container's environment but for its secrets, read as the kubelet would; what is unknown is left out."""
    found: dict[str, str] = {}
    place = owner.inputs["metadata"]
    for variable in containers(owner.inputs["spec"]["template"]["spec"])[container].get("env", []):
        source = variable.get("valueFrom", {})
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        elif "fieldRef" in source:
            found[variable["name"]] = "the-pod"
        elif "configMapKeyRef" in source:
            reference = source["configMapKeyRef"]
            data = named(recording, "ConfigMap", place["namespace"], reference["name"]).inputs["data"]
            if data[reference["key"]] is not UNKNOWN:
                found[variable["name"]] = data[reference["key"]]
    return found


def text(value: object) -> str:
    """Everything of a value as text, to look for what must not be in it."""
    return json.dumps(value, default=str)


def mebibytes(quantity: str) -> float:
    """A memory quantity in mebibytes."""
    units = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024}
    return float(quantity[:-2]) * units[quantity[-2:]]


def millicpus(quantity: str) -> float:
    """A processor quantity in thousandths of one."""
    return float(quantity[:-1]) if quantity.endswith("m") else float(quantity) * 1000
