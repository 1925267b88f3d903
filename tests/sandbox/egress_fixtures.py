"""The proxy and its internet, as fixtures."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest
from egress_fleet import INSIDE, REBINDING, EgressFleet
from egress_gate import DOMAINS, PUBLIC, Internet, Proxy, Sandbox, proxy
from egress_world import API, CREDENTIAL, FILES, OTHER, Authority, Upstream, upstream_server
from fleet_runtime.egress.config import Credential
from pydantic import SecretStr


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who the servers' certificates are from."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def upstream(authority: Authority) -> Generator[Upstream]:
    """The servers of all the names, in one."""
    with upstream_server(authority.server_context(API, FILES, "a.wild.example")) as server:
        yield server


@pytest.fixture
def internet(authority: Authority, upstream: Upstream) -> Internet:
    """All names lead to the same public address."""
    names = (API, FILES, OTHER, "a.wild.example", "wild.example")
    return Internet(authority.client_context(), {PUBLIC: upstream.port}, {name: [[PUBLIC]] for name in names})


@pytest.fixture
async def running(tmp_path: Path, internet: Internet) -> AsyncGenerator[Proxy]:
    """A proxy with a credential for one of its domains."""
    credentials = {API: Credential(header="Authorization", value=SecretStr(CREDENTIAL))}
    async with proxy(tmp_path, internet, DOMAINS, credentials=credentials) as found:
        yield found


@pytest.fixture
async def sandbox(running: Proxy) -> Sandbox:
    """A sandbox with a job."""
    return await running.sandbox("s")


@pytest.fixture(scope="module")
def egress_upstream(authority: Authority) -> Generator[Upstream]:
    """The server behind all names that jobs in sandboxes ask for."""
    with upstream_server(authority.server_context(API, FILES, INSIDE, REBINDING)) as server:
        yield server


@pytest.fixture(scope="module")
def egress_fleet(
    way: Any, tmp_path_factory: pytest.TempPathFactory, authority: Authority, egress_upstream: Upstream
) -> Generator[EgressFleet]:
    """sandboxd and the proxy, for tests that leave them as they were."""
    fleet = EgressFleet.made(way, tmp_path_factory.mktemp("egress"), authority, egress_upstream.port)
    fleet.daemon.start()
    fleet.start_proxy()
    yield fleet
    fleet.stop()


@pytest.fixture
def own_egress_fleet(
    way: Any, tmp_path: Path, authority: Authority, egress_upstream: Upstream
) -> Generator[EgressFleet]:
    """sandboxd and the proxy, not started yet, for tests that break them."""
    fleet = EgressFleet.made(way, tmp_path, authority, egress_upstream.port)
    yield fleet
    fleet.stop()
