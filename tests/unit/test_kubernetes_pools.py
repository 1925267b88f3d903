"""Pools whatever they are given: what is accepted holds its relations, and the runtime's programs read it."""

import json
from typing import Any, TypeVar

import pytest
from fleet_runtime.config import ApiSettings, WorkerSettings
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_fleet import configuration, containers, declare_pool, mebibytes, millicpus, named, of_kind
from pydantic_settings import BaseSettings
from recording import FLEET, Recording, record

SettingsT = TypeVar("SettingsT", bound=BaseSettings)
DATABASE_URL = "postgresql://fleet:secret@database.system.svc:5432/fleet"
GIVEN_BY_KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def pool(*, preview: bool = False, **given: Any) -> Recording:
    """One pool of team alpha."""
    return record(lambda: declare_pool("alpha", "testing", DATABASE_URL, **given).service_name, preview=preview)


def read(recording: Recording, container: str, settings: type[SettingsT]) -> SettingsT:
    """A container's settings as its program reads them."""
    deployment = named(recording, "Deployment", f"{FLEET}-alpha", "testing")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {
            **configuration(recording, deployment, container),
            **GIVEN_BY_KUBERNETES,
            "FLEET_DATABASE_URL": DATABASE_URL,
        }.items():
            patched.setenv(name, value)
        return settings()


def requests_fit(resources: dict[str, str]) -> bool:
    """Whether no request is above its limit, H3's figures being those that are left out."""
    full = {"requests_cpu": "250m", "limits_cpu": "500m", "requests_memory": "256Mi", "limits_memory": "512Mi"}
    full |= resources
    return millicpus(full["requests_cpu"]) <= millicpus(full["limits_cpu"]) and (
        mebibytes(full["requests_memory"]) <= mebibytes(full["limits_memory"])
    )


CPUS = st.integers(200, 4000).map(lambda number: f"{number}m")
MEMORY = st.integers(256, 4096).map(lambda number: f"{number}Mi")
POOLS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 50),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "requests_cpu": CPUS,
                "limits_cpu": CPUS | st.sampled_from(["1", "0.5"]),
                "requests_memory": MEMORY,
                "limits_memory": MEMORY | st.sampled_from(["1Gi", "0.5Gi"]),
            },
        ),
        "worker": st.fixed_dictionaries(
            {},
            optional={
                "concurrency": st.integers(1, 100),
                "warm": st.integers(0, 20),
                "longest_job_seconds": st.integers(1, 86_400),
            },
        ),
        "sandbox_replicas": st.integers(1, 100),
        "network_canary": st.sampled_from(["enforce", "report"]),
        "canary_targets": st.lists(st.sampled_from(["10.1.2.3:5432", "[::1]:80", "db.example:5432"]), max_size=2),
        "routed_seconds": st.integers(0, 30),
        "settings": st.just({"MCP_PROXY_URL": "http://proxy.example:8080"}),
    },
)


@settings(max_examples=25, deadline=None)
@given(values=POOLS)
def test_whatever_a_pool_accepts_holds_together(values: dict[str, Any]) -> None:
    """A combination that nobody thought of would be found out by a deployment that hangs."""
    if not requests_fit(values.get("resources", {})):
        with pytest.raises(ValueError, match="a request is part of its limit"):
            pool(**values)
        return
    found = pool(**values)
    deployment = named(found, "Deployment", f"{FLEET}-alpha", "testing")
    spec = deployment.inputs["spec"]["template"]["spec"]
    for container in containers(spec).values():
        for resource, amount in (("cpu", millicpus), ("memory", mebibytes)):
            resources = container["resources"]
            assert 0 < amount(resources["requests"][resource]) <= amount(resources["limits"][resource])
    assert ("replicas" in deployment.inputs["spec"]) == ("replicas" in values)
    api, worker = read(found, "api", ApiSettings), read(found, "worker", WorkerSettings)
    pods = read(found, "worker", KubernetesSettings)
    assert api.template == worker.template == "alpha-testing"
    assert (api.tenant, api.agent_type, api.pinned) == ("alpha", "testing", True)
    assert api.default_timeout_seconds <= api.max_timeout_seconds <= worker.drain_seconds
    assert worker.drain_seconds < spec["terminationGracePeriodSeconds"] < int(deployment.timeouts["delete"][:-1])
    assert worker.sandbox_backend == "kubernetes"
    memory = mebibytes(containers(spec)["api"]["resources"]["limits"]["memory"])
    # As measured: idle, and with each body of 16 MiB.
    assert api.large_bodies == 1 or 82 + api.large_bodies * 87 < memory
    template = pods.sandbox_templates[worker.template]
    assert template.maximum == worker.concurrency + template.warm


def test_every_variable_is_one_that_the_program_reads(preview: bool) -> None:
    """A misspelt variable is ignored by the program, and its default holds."""
    deployment = named(found := pool(preview=preview), "Deployment", f"{FLEET}-alpha", "testing")
    for container, programs in (("api", (ApiSettings,)), ("worker", (WorkerSettings, KubernetesSettings))):
        names = {f"FLEET_{name.upper()}" for program in programs for name in program.model_fields}
        assert set(configuration(found, deployment, container)) <= names


def test_the_worker_looks_for_sandboxes_where_they_are(preview: bool) -> None:
    """It would wait for ever for pods that another label or namespace has, or use another pool's."""
    found = pool(preview=preview)
    worker = configuration(found, named(found, "Deployment", f"{FLEET}-alpha", "testing"), "worker")
    sandboxes = named(found, "Deployment", worker["FLEET_SANDBOX_NAMESPACE"], "testing")
    wanted = dict(each.split("=") for each in worker["FLEET_SANDBOX_SELECTOR"].split(","))
    assert wanted == sandboxes.inputs["spec"]["selector"]["matchLabels"]


def test_the_sandboxes_are_what_the_worker_is_told_that_they_are() -> None:
    """A job would be measured against limits that its pod does not have."""
    found = pool(sandbox={"image": "sandbox", "memory_mebibytes": 300, "cpus": 0.7, "scratch_mebibytes": 40})
    worker = configuration(found, named(found, "Deployment", f"{FLEET}-alpha", "testing"), "worker")
    told = json.loads(worker["FLEET_SANDBOX_TEMPLATES"])["alpha-testing"]
    spec = named(found, "Deployment", f"{FLEET}-alpha-sandboxes", "testing").inputs["spec"]["template"]["spec"]
    limits = spec["containers"][0]["resources"]["limits"]
    assert told["memory_bytes"] == mebibytes(limits["memory"]) * 1024 * 1024
    assert told["cpus"] * 1000 == millicpus(limits["cpu"])
    (scratch,) = [each["emptyDir"] for each in spec["volumes"] if each["name"] == "job"]
    assert told["scratch_bytes"] == mebibytes(scratch["sizeLimit"]) * 1024 * 1024
    assert told["image"] == spec["containers"][0]["image"]


def test_the_default_sandboxes_are_enough_for_one_worker() -> None:
    """Its jobs would wait for pods that are never made."""
    found = pool(worker={"concurrency": 3, "warm": 2})
    assert named(found, "Deployment", f"{FLEET}-alpha-sandboxes", "testing").inputs["spec"]["replicas"] == 5


def test_a_sandbox_that_is_replaced_is_left_to_end_the_longest_job() -> None:
    """A new sandbox image would cut off every job that runs, and each would count as an attempt."""
    found = pool(worker={"longest_job_seconds": 1234})
    sandboxes = named(found, "Deployment", f"{FLEET}-alpha-sandboxes", "testing")
    grace = sandboxes.inputs["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert 1234 < grace < int(sandboxes.timeouts["delete"].removesuffix("s"))
    assert sandboxes.inputs["spec"]["template"]["spec"]["containers"][0]["stdinOnce"] is True


def test_sandboxes_for_untrusted_nodes_run_there_only_and_in_the_runtime_named() -> None:
    """Strangers' code would run beside the fleet's own, or outside of gVisor."""
    found = pool(sandbox={"image": "sandbox", "untrusted_nodes": True, "runtime_class": "gvisor"})
    spec = named(found, "Deployment", f"{FLEET}-alpha-sandboxes", "testing").inputs["spec"]["template"]["spec"]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["nodeSelector"] == {"agent-fleet.io/untrusted": "true"}
    assert [each["key"] for each in spec["tolerations"]] == ["agent-fleet.io/untrusted"]


def test_a_variable_of_ones_own_comes_from_the_config_map_and_cannot_change_the_fleets() -> None:
    """G5's proxy reaches the worker; a setting of that name would take the sandboxes' isolation away."""
    given = {"MCP_PROXY_URL": "http://proxy.example", "FLEET_SANDBOX_BACKEND": "socket"}
    found = pool(settings=given)
    worker = configuration(found, named(found, "Deployment", f"{FLEET}-alpha", "testing"), "worker")
    assert (worker["MCP_PROXY_URL"], worker["FLEET_SANDBOX_BACKEND"]) == ("http://proxy.example", "kubernetes")
    (config_map,) = of_kind(found, "ConfigMap")
    assert config_map.inputs["data"]["worker.MCP_PROXY_URL"] == "http://proxy.example"


def test_the_workspace_is_the_workers_and_not_the_apis() -> None:
    """Whoever takes over the API, which the network reaches, would read the team's files."""
    found = pool(workspace_claim="workspace")
    spec = named(found, "Deployment", f"{FLEET}-alpha", "testing").inputs["spec"]["template"]["spec"]
    mounted = {
        name: {each["mountPath"] for each in container["volumeMounts"]} for name, container in containers(spec).items()
    }
    assert "/workspace" in mounted["worker"]
    assert mounted["api"] == {"/tmp"}


@pytest.mark.parametrize(
    ("resources", "complaint"),
    [
        ({"limits_cpu": "fast"}, "limits_cpu is 'fast'; allowed are processors"),
        ({"requests_memory": "256M"}, "requests_memory is '256M'; allowed is memory"),
        ({"requests_cpu": "600m"}, "requests_cpu is '600m' and limits_cpu is None|a request is part of its limit"),
    ],
)
def test_resources_that_cannot_be_are_refused_by_name(resources: dict[str, str], complaint: str) -> None:
    """A cluster would refuse the pods after the Deployment was accepted."""
    with pytest.raises(ValueError, match=complaint):
        pool(resources=resources)
