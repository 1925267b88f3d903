"""What every unit test may ask for."""

from typing import Any

import pulumi
import pytest
from recording import FLEET, Deploy, Recording, record
from stack_settings import read

from architectures import vm


@pytest.fixture(scope="session", params=[True, False], ids=["preview", "up"])
def preview(request: pytest.FixtureRequest) -> bool:
    """Both modes: what is unknown in a preview is known in an update, and each hides other faults."""
    return bool(request.param)


@pytest.fixture(scope="session")
def deploy(preview: bool) -> Deploy:
    """Deploys the vm architecture under mocks with the settings given as keywords, and returns what it declared."""

    def run(**given: Any) -> Recording:
        settings = read({"architecture": "vm", **given})
        return record(lambda: pulumi.Output.all(**vars(vm.deploy(FLEET, settings))), preview=preview)

    return run


@pytest.fixture(scope="session")
def fleet(deploy: Deploy) -> Recording:
    """The fleet with its default settings, declared once for each mode."""
    return deploy()
