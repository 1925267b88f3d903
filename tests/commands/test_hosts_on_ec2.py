"""What the commands say of a fleet whose hosts are on EC2."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.paths import Paths
from engine.stack_state import StackState
from engine.targets import choice
from engine.targets.ec2 import Ec2, Ec2Place
from engine.targets.target import LogSelection

GROUP = {
    "type": "aws:autoscaling/group:Group",
    "urn": "urn:pulumi:probe::agent-fleet::aws:autoscaling/group:Group::agent-fleet-probe-api",
}


def deployed(folder: Path, resources: list[dict[str, Any]]) -> Session:
    """A session with a stack that has these resources."""
    paths = Paths(folder)
    state = StackState(paths.state, "probe")
    state.checkpoint.parent.mkdir(parents=True)
    state.checkpoint.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}))
    return Session(paths, "probe", 0.0)


def test_a_stack_without_its_settings_is_still_found_in_aws(tmp_path: Path) -> None:
    """Prevents `make down` from looking in Docker for what costs money in an account."""
    assert isinstance(choice.of_stack(deployed(tmp_path, [GROUP])), Ec2)


def test_its_state_is_never_forgotten(tmp_path: Path) -> None:
    """Prevents hosts that nobody knows of, and that go on costing money."""
    session = deployed(tmp_path, [GROUP])
    with pytest.raises(UserFacingError, match="1 resources in AWS, which are not given up"):
        Ec2(session, {}).forsake(session.state)


def test_status_names_the_groups(tmp_path: Path) -> None:
    """Prevents a status that says nothing but an address."""
    place = Ec2Place(deployed(tmp_path, [GROUP]))
    assert place.anything()
    assert place.condition() == ["  Group agent-fleet-probe-api"]
    assert not Ec2Place(deployed(tmp_path / "empty", [])).anything()


def test_logs_are_where_the_error_says(tmp_path: Path) -> None:
    """Prevents a search for containers that are on other machines."""
    with pytest.raises(UserFacingError, match="CloudWatch") as told:
        Ec2Place(deployed(tmp_path, [GROUP])).logs(LogSelection("", "", 10, False))
    assert "/agent-fleet/agent-fleet-probe-api" in told.value.remedy


def test_a_name_that_points_nowhere_is_what_is_wrong(tmp_path: Path) -> None:
    """Prevents a wait of a quarter of an hour that ends in 'does not answer'."""
    place = Ec2Place(deployed(tmp_path, [GROUP]))
    with place.entrance({"url": "https://fleet.invalid"}) as entrance:
        assert entrance.url == "https://fleet.invalid"
        assert "point it at the load balancer" in place.troubles()
    with place.entrance({"url": "https://127.0.0.1"}):
        assert place.troubles() == ""


def test_nothing_is_asked_of_aws_where_nothing_was_deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a demand for credentials from who only asks for the status."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    session = Session(Paths(tmp_path), "probe", 0.0)
    target = Ec2(session, {})
    assert target.find(session.state) is None
    assert "make up STACK=probe" in target.absent()
