"""The egress proxy as the vm architecture declares it: only where domains are given, and with a posture of its own."""

import inspect
import json
from typing import Any

import pulumi
import pytest
import test_posture
from fleet_runtime.egress.config import EgressSettings
from fleet_runtime.sandboxd.config import SandboxdSettings
from recording import FLEET, Declared, Recording, record
from stack_settings import TODAY, read
from test_posture import environment, host_paths, networks

from architectures import vm
from settings.problems import SettingsError
from settings.relations import notices

DOMAINS = ["api.example.com", "*.example.org"]
SECRET = "Bearer sk-not-to-be-seen-anywhere"
EGRESS: dict[str, Any] = {
    "domains": DOMAINS,
    "credentials": {"api.example.com": {"header": "Authorization", "value": SECRET}},
    "connections": 5,
    "job_mebibytes": 6,
    "tenant_daily_mebibytes": 7,
    "tenant_daily_requests": 8,
    "refused_networks": ["198.51.100.0/24"],
}


@pytest.fixture(scope="module")
def fleet(preview: bool) -> Recording:
    """A fleet whose jobs may go somewhere."""
    settings = read({"architecture": "vm", "sandbox": {"egress": EGRESS}}, secret=True)
    return record(lambda: pulumi.Output.all(**vars(vm.deploy(FLEET, settings))), preview=preview)


EVERY_CONTAINERS_TESTS = sorted(name for name in vars(test_posture.TestEveryContainer) if name.startswith("test_"))


@pytest.mark.parametrize("name", EVERY_CONTAINERS_TESTS)
def test_what_holds_for_every_container_holds_for_the_proxy(fleet: Recording, preview: bool, name: str) -> None:
    """A container that is only there sometimes is one that is forgotten."""
    test = getattr(test_posture.TestEveryContainer(), name)
    known = {"fleet": fleet, "role": "egress", "preview": preview}
    test(**{each: known[each] for each in inspect.signature(test).parameters})


def proxy(fleet: Recording) -> Declared:
    """Its container."""
    return fleet.containers()["egress"]


def test_without_domains_there_is_no_proxy(deploy: Any) -> None:
    """A way out that nobody asked for is one that nobody watches."""
    found = deploy(sandbox={"egress": {"domains": []}})
    assert "egress" not in found.containers()
    assert not [each for each in found.resources if "egress" in each.name]
    assert "EGRESS" not in json.dumps(sorted(environment(found.containers()["sandboxd"])))


def test_it_is_alone_on_a_network_of_its_own(fleet: Recording) -> None:
    """On the backend network it would reach the database, and with others on its own they would reach it."""
    assert networks(proxy(fleet)) == {"egress"}
    assert [role for role, each in fleet.containers().items() if "egress" in networks(each)] == ["egress"]
    assert "ports" not in proxy(fleet).inputs


def test_it_has_a_user_of_its_own_and_nothing_of_the_host(fleet: Recording) -> None:
    """A worker that was taken over could pass for the proxy, or the proxy for a worker."""
    users = {role: each.inputs["user"] for role, each in fleet.containers().items()}
    assert users["egress"] == "1002:1002"
    assert list(users.values()).count("1002:1002") == 1
    assert host_paths(proxy(fleet)) == set()
    (mount,) = proxy(fleet).inputs["volumes"]
    assert (mount["volumeName"], mount["readOnly"]) == (f"{FLEET}-run", True)


def test_the_credentials_are_secret_and_nowhere_else(fleet: Recording, preview: bool) -> None:
    """What no sandbox may hold must not be in the other containers, nor readable in a preview."""
    holders = {
        role for role, each in fleet.containers().items() if SECRET in json.dumps(dict(each.inputs), default=str)
    }
    assert holders == {"egress"}
    assert "envs" in proxy(fleet).secret_inputs
    assert preview in (True, False)


def test_sandboxd_comes_after_the_proxy(fleet: Recording) -> None:
    """sandboxd reports itself healthy only with the proxy there: waiting for one another, neither would ever come."""
    assert f"{FLEET}-egress" in fleet.containers()["sandboxd"].dependencies
    assert f"{FLEET}-sandboxd" not in proxy(fleet).dependencies


def test_sandboxd_and_the_proxy_find_each_other(
    fleet: Recording, preview: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs would wait for ever."""
    sandboxd, egress = environment(fleet.containers()["sandboxd"]), environment(proxy(fleet))
    assert sandboxd["FLEET_EGRESS_SOCKET"] == egress["FLEET_EGRESS_SOCKET"]
    uid, gid = proxy(fleet).inputs["user"].split(":")
    assert (sandboxd["FLEET_EGRESS_PROXY_UID"], sandboxd["FLEET_EGRESS_SOCKET_GID"]) == (uid, gid)
    assert gid in fleet.containers()["sandboxd"].inputs["groupAdds"]
    assert fleet.containers()["sandboxd"].inputs["user"].split(":")[0] == egress["FLEET_EGRESS_SANDBOXD_UID"]
    if preview:
        return
    assert sandboxd["FLEET_EGRESS_HOST_FOLDER"] == "/volumes/egress"
    for name, value in {**sandboxd, **egress}.items():
        monkeypatch.setenv(name, value)
    templates = SandboxdSettings().sandbox_templates  # pyright: ignore[reportCallIssue] - from the environment
    assert {name for name, each in templates.items() if each.egress} == {"default"}
    told = EgressSettings()  # pyright: ignore[reportCallIssue] - from the environment
    policy = told.egress_policies["default"]
    assert list(policy.domains) == DOMAINS
    assert (policy.connections, policy.job_bytes) == (5, 6 * 1024**2)
    assert (told.egress_tenant_daily_bytes, told.egress_tenant_daily_requests) == (7 * 1024**2, 8)
    assert [str(each) for each in told.refused_networks] == ["198.51.100.0/24"]
    credential = told.egress_credentials["default"]["api.example.com"]
    assert (credential.header, credential.value.get_secret_value()) == ("authorization", SECRET)


@pytest.mark.parametrize("role", ["sandboxd", "egress"])
def test_every_variable_is_one_that_the_program_reads(fleet: Recording, role: str) -> None:
    """A misspelt variable is ignored by the program, and its default holds."""
    program = {"sandboxd": SandboxdSettings, "egress": EgressSettings}[role]
    names = {f"FLEET_{name.upper()}" for name in program.model_fields}
    assert set(environment(fleet.containers()[role])) <= names


def test_an_api_on_a_public_address_is_no_way_back_in(preview: bool) -> None:
    """A domain that leads to this host would reach the fleet's own API from a sandbox."""
    settings = read(
        {
            "architecture": "vm",
            "api": {"bind_address": "8.8.4.4"},
            "sandbox": {"egress": {"domains": ["a.example.com"]}},
        }
    )
    found = record(lambda: pulumi.Output.all(**vars(vm.deploy(FLEET, settings))), preview=preview)
    assert environment(proxy(found))["FLEET_EGRESS_REFUSED_NETWORKS"] == "8.8.4.4/32"


@pytest.mark.parametrize(
    ("egress", "key", "words"),
    [
        ({"domains": ["*.co.uk"]}, "domains", "anybody can have a name below co.uk"),
        ({"domains": ["*.github.io"]}, "domains", "anybody can have a name below github.io"),
        ({"domains": ["*.com"]}, "domains[0]", "a domain in small letters"),
        ({"domains": ["com"]}, "domains[0]", "a domain in small letters"),
        ({"domains": ["203.0.113.7"]}, "domains[0]", "no address"),
        ({"domains": ["[2001:db8::1]"]}, "domains[0]", "no address"),
        ({"domains": ["https://api.example.com/"]}, "domains[0]", "a domain in small letters"),
        ({"domains": ["api.example.com:8443"]}, "domains[0]", "a domain in small letters"),
        ({"domains": ["*"]}, "domains[0]", "a domain in small letters"),
        (
            {
                "domains": ["*.example.com"],
                "credentials": {"api.example.com": {"header": "x-key", "value": "12345678"}},
            },
            "credentials.api.example.com",
            "by its full name",
        ),
        (
            {
                "domains": ["api.example.com"],
                "credentials": {"api.example.com": {"header": "Host", "value": "12345678"}},
            },
            "credentials.api.example.com.header",
            "sets that header itself",
        ),
        (
            {
                "domains": ["api.example.com"],
                "credentials": {"api.example.com": {"header": "x-key", "value": "a\r\nb: c"}},
            },
            "credentials.api.example.com.value",
            "printable ASCII",
        ),
        (
            {
                "domains": ["api.example.com"],
                "credentials": {"api.example.com": {"header": "x-key", "value": "12345678"}},
            },
            "credentials.api.example.com.value",
            "given in the clear",
        ),
    ],
)
def test_a_list_that_means_something_else_than_it_says_is_refused(egress: dict[str, Any], key: str, words: str) -> None:
    """A wildcard over strangers' names, or a credential in a tracked file, would be found out too late."""
    with pytest.raises(SettingsError) as refused:
        read({"architecture": "vm", "sandbox": {"egress": egress}})
    problems = [each for each in refused.value.problems if each.startswith(f"fleet.sandbox.egress.{key}:")]
    assert any(words in each for each in problems), refused.value.problems
    assert not any("a\r\nb" in each for each in refused.value.problems)


def test_a_cluster_refuses_it_and_says_why() -> None:
    """A list that nothing enforces would be believed."""
    with pytest.raises(SettingsError) as refused:
        read({"architecture": "cluster", "sandbox": {"egress": {"domains": ["api.example.com"]}}})
    assert any("a pod has no socket of its host" in each for each in refused.value.problems)


@pytest.mark.parametrize(("runtime", "said"), [("runsc", True), ("runc", False)])
def test_gvisor_needs_more_and_a_preview_says_so(runtime: str, said: bool) -> None:
    """Jobs would find a way out that does not open."""
    sandbox = {"runtime": runtime, "egress": {"domains": ["api.example.com"]}}
    found = notices(read({"architecture": "vm", "sandbox": sandbox}), TODAY)
    assert any("--host-uds=open" in each for each in found) is said
