"""The MCP proxy's image: with compose.yaml's limits, agents can call the server that it offers, each by itself."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import yaml
from containers import logs, state, wait_for
from docker import DockerClient
from docker.models.containers import Container

from engine.composition.document import FILE
from engine.composition.fleet import MCP_PORT

PROTOCOL = "2025-06-18"
"""The version of MCP that is spoken here."""

SECONDS = 10
"""How long one answer may take."""

HEALTH_SECONDS = 60
"""How long the image may take from its start to a passed health check, on a machine that does other things too."""


@pytest.fixture(scope="module")
def proxy(daemon: DockerClient, run_name: str, mcp_proxy: str) -> Iterator[Container]:
    """The proxy, healthy, with the limits of compose.yaml's service; its port is one of this machine's own address."""
    container = daemon.containers.create(mcp_proxy, name=f"{run_name}-mcp-proxy", **_limits())
    try:
        container.start()
        wait_for(lambda: _healthy(container), "Docker's own health check passes", HEALTH_SECONDS)
        yield container
    finally:
        container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def address(proxy: Container) -> str:
    """Where the proxy answers."""
    (published,) = proxy.attrs["NetworkSettings"]["Ports"][f"{MCP_PORT}/tcp"]
    return f"http://127.0.0.1:{published['HostPort']}"


def _limits() -> dict[str, Any]:
    service = yaml.safe_load(FILE.read_text())["services"]["mcp-proxy"]
    return {
        "user": service["user"],
        "read_only": service["read_only"],
        "cap_drop": service["cap_drop"],
        "security_opt": service["security_opt"],
        "mem_limit": service["mem_limit"],
        "memswap_limit": service["memswap_limit"],
        "nano_cpus": int(service["cpus"] * 1_000_000_000),
        "pids_limit": service["pids_limit"],
        "tmpfs": dict(each.split(":", 1) for each in service["tmpfs"]),
        # Docker first asks after one interval: compose.yaml's would be half a minute of waiting.
        "healthcheck": {"test": service["healthcheck"]["test"], "interval": 1_000_000_000, "timeout": 10_000_000_000},
        "ports": {f"{MCP_PORT}/tcp": ("127.0.0.1", None)},
    }


def _healthy(container: Container) -> bool:
    now = state(container)
    assert now["Running"], logs(container)
    return now["Health"]["Status"] == "healthy"


def _post(address: str, message: dict[str, Any], session: str | None = None, server: str = "time") -> httpx.Response:
    headers = {"accept": "application/json, text/event-stream"}
    if session is not None:
        headers |= {"mcp-session-id": session, "mcp-protocol-version": PROTOCOL}
    message = {"jsonrpc": "2.0", **message}
    # An address of this machine's own is never asked through a proxy that the environment names.
    return httpx.post(
        f"{address}/servers/{server}/mcp", json=message, headers=headers, timeout=SECONDS, trust_env=False
    )


def _initialize() -> dict[str, Any]:
    client = {"name": "agent-fleet-test", "version": "1"}
    params = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client}
    return {"id": 1, "method": "initialize", "params": params}


def _connect(address: str) -> str:
    """Begin as every client does; return the session's ID."""
    answer = _post(address, _initialize())
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["protocolVersion"] == PROTOCOL
    session = answer.headers["mcp-session-id"]
    told = _post(address, {"method": "notifications/initialized"}, session)
    assert told.status_code == 202, told.text
    return session


def _ask(address: str, session: str, method: str, **params: Any) -> dict[str, Any]:
    """One request; return its result. The ID is always the same one, as two clients' IDs may be."""
    answer = _post(address, {"id": 2, "method": method, "params": params}, session)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["id"] == 2
    return said["result"]


def _time(address: str, session: str, zone: str) -> dict[str, Any]:
    result = _ask(address, session, "tools/call", name="get_current_time", arguments={"timezone": zone})
    assert not result["isError"], result
    (content,) = result["content"]
    return json.loads(content["text"])


def test_an_agent_calls_a_servers_tool_through_it(address: str) -> None:
    """Prevents a proxy whose health check passes and which nothing can be called through: a server that does not start
    on a read-only root, or an SDK that no longer speaks with the server's.
    """
    session = _connect(address)
    tools = {each["name"]: each for each in _ask(address, session, "tools/list")["tools"]}
    assert tools["get_current_time"]["inputSchema"]["required"] == ["timezone"]
    before = datetime.now(UTC).replace(microsecond=0)
    said = _time(address, session, "UTC")
    after = datetime.now(UTC)
    assert said["timezone"] == "UTC"
    assert said["datetime"].endswith("+00:00")
    assert before <= datetime.fromisoformat(said["datetime"]) <= after


@pytest.mark.parametrize("server", ["unknown", "TIME"])
def test_a_server_that_is_not_named_is_refused(address: str, server: str) -> None:
    """Prevents an agent that misspells a server's name from being given another one, and believing what it says."""
    answer = _post(address, _initialize(), server=server)
    assert answer.status_code == 404
    assert "mcp-session-id" not in answer.headers


def test_a_second_client_gets_a_session_of_its_own(address: str) -> None:
    """Prevents an agent that leaves from ending the others' sessions, and calls that belong to nobody's."""
    first, second = _connect(address), _connect(address)
    assert first != second
    left = httpx.delete(
        f"{address}/servers/time/mcp",
        headers={"mcp-session-id": first, "mcp-protocol-version": PROTOCOL},
        timeout=SECONDS,
        trust_env=False,
    )
    assert left.status_code == 200
    assert _post(address, {"id": 2, "method": "tools/list"}, first).status_code == 404
    assert _post(address, {"id": 2, "method": "tools/list"}).status_code == 400
    assert _time(address, second, "UTC")["timezone"] == "UTC"


def test_clients_that_ask_at_once_get_each_its_own_answer(address: str) -> None:
    """Prevents one agent from reading another's answer: behind the proxy one process answers all sessions, and the
    clients' requests have the same IDs.
    """
    zones = ["UTC", "Asia/Tokyo", "Europe/Berlin", "America/New_York"] * 3
    sessions = [_connect(address) for _ in zones]
    with ThreadPoolExecutor(len(zones)) as clients:
        said = clients.map(_time, [address] * len(zones), sessions, zones)
        assert [each["timezone"] for each in said] == zones
