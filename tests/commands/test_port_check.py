"""The API's port is checked before anything is changed."""

import os
import socket
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from engine import port_check
from engine.errors import UserFacingError
from settings.model import Settings


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def _docker(*containers: Any) -> Any:
    client = Mock()
    client.containers.list.return_value = list(containers)
    return client


def _publishing(port: int, fleet: str) -> Any:
    container = Mock(ports={"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}], "9090/tcp": None})
    container.name = f"{fleet}-api"
    container.labels = {"agent-fleet.fleet": fleet}
    return container


def test_a_port_in_use_names_the_setting_and_the_process(listener: int) -> None:
    """Prevents a deployment that fails at its last container, and a search for who has the port."""
    with pytest.raises(UserFacingError) as raised:
        port_check.check("127.0.0.1", listener, "agent-fleet-x", _docker())
    assert f"fleet.api.port is {listener}" in raised.value.message
    assert f"(process {os.getpid()})" in raised.value.message
    assert "fleet.api.port" in raised.value.remedy


def test_the_fleets_own_api_may_have_its_port(listener: int) -> None:
    """Prevents the second `make up` from failing because the first one succeeded."""
    port_check.check("127.0.0.1", listener, "agent-fleet-x", _docker(_publishing(listener, "agent-fleet-x")))


def test_another_fleets_container_is_named(listener: int) -> None:
    """Prevents `docker-proxy` as the answer to who has the port."""
    with pytest.raises(UserFacingError, match="the container agent-fleet-y-api has that port"):
        port_check.check("127.0.0.1", listener, "agent-fleet-x", _docker(_publishing(listener, "agent-fleet-y")))


def test_a_free_port_passes(listener: int) -> None:
    """Prevents false alarms; the port of a listener that has just closed counts as free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    port_check.check("127.0.0.1", port, "agent-fleet-x", _docker())


def test_an_address_of_another_machine_is_refused_with_its_setting() -> None:
    """Prevents Docker's "cannot assign requested address" after half of the fleet is up."""
    with pytest.raises(UserFacingError, match=r"fleet\.api\.bind_address is 192\.0\.2\.1"):
        port_check.check("192.0.2.1", 18099, "agent-fleet-x", _docker())


def test_the_defaults_are_those_of_the_settings() -> None:
    """Prevents checking 8080 when the model's default has moved."""
    api = Settings.model_validate({"architecture": "vm", "target": "docker"}).api
    assert port_check.wanted({}) == (str(api.bind_address), api.port)


@pytest.mark.parametrize("api", [{"port": "8080"}, {"port": 0}, {"port": True}, {"bind_address": 1}, []])
def test_settings_that_the_program_refuses_are_left_to_it(api: object) -> None:
    """Prevents a worse message than the program's own for a wrong setting."""
    assert port_check.wanted({"api": api}) is None
