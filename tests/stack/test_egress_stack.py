"""A deployed fleet whose jobs may go somewhere: the parts find each other, and the posture is what was declared."""

import json
import os
import signal

from deployed_stack import DeployedStack, NewStack, wait_for

DOMAIN = "registry.npmjs.org"
# Where no name resolves to a public address, the proxy says so: it was asked, and it looked.
ASK = f"""
import json, urllib.error, urllib.request
for url in ("http://{DOMAIN}/", "http://not-listed.{DOMAIN}/", "http://169.254.169.254/"):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer: print(json.dumps([answer.status, ""]))
    except urllib.error.HTTPError as error: print(json.dumps([error.code, json.loads(error.read())["detail"]]))
"""


def asked(stack: DeployedStack) -> list[tuple[int, str]]:
    """Status and detail of each of those, from inside of a sandbox."""
    result = stack.run(language="python", code=ASK)
    assert result["status"] == "succeeded", result
    return [(status, detail) for status, detail in map(json.loads, result["stdout"].splitlines())]


def assert_as_they_may(stack: DeployedStack) -> None:
    """The listed domain is asked, where this machine reaches it; the others are refused."""
    listed, unlisted, address = asked(stack)
    assert listed[0] == 200 or "public address" in listed[1] or "cannot be" in listed[1] or "did not" in listed[1]
    assert unlisted[0] == 403
    assert "fleet.sandbox.egress.domains" in unlisted[1]
    assert address[0] == 400


def test_jobs_of_a_deployed_fleet_go_where_they_may(new_stack: NewStack) -> None:
    """Users, groups, paths of the host and the order of starting are nobody's but the deployment's to get right."""
    stack = new_stack()
    stack.write_settings(sandbox={"egress": {"domains": [DOMAIN]}})
    stack.succeed("up")
    assert_as_they_may(stack)

    proxy = stack.container("egress").attrs
    host = proxy["HostConfig"]
    assert proxy["Config"]["User"] == "1002:1002"
    assert host["ReadonlyRootfs"] is True
    assert (host["CapDrop"], host["CapAdd"] or [], host["Privileged"]) == (["ALL"], [], False)
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert set(proxy["NetworkSettings"]["Networks"]) == {f"{stack.fleet}-egress"}
    assert [(each["Type"], each["Destination"], each["RW"]) for each in proxy["Mounts"]] == [
        ("volume", "/run/fleet", False)
    ]
    for sandbox in stack.containers("sandbox"):
        assert set(sandbox.attrs["NetworkSettings"]["Networks"]) == {"none"}
        assert [(each["Destination"], each["RW"]) for each in sandbox.attrs["Mounts"]] == [("/run/egress", False)]

    os.kill(proxy["State"]["Pid"], signal.SIGKILL)

    def replaced() -> bool:
        state = stack.container("egress").attrs["State"]
        return state["Running"] and state["Pid"] != proxy["State"]["Pid"]

    wait_for(replaced, "Docker starts the proxy again")
    assert_as_they_may(stack)
    stack.succeed("down")
    assert stack.objects() == set()
