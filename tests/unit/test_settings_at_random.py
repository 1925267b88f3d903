"""Settings made at random: what is accepted can be deployed, and what is wrong is refused by name."""

import pulumi
import pytest
from hypothesis import HealthCheck, given, settings
from recording import FLEET, record
from stack_settings import read
from strategies import EVERY_LEAF, accepted, one_fault

from architectures import vm
from settings.problems import SettingsError, allowed, key, schema_at


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=accepted())
def test_whatever_is_accepted_deploys(preview: bool, values: dict[str, object]) -> None:
    """A combination that passes the checks would fail halfway through an update."""
    chosen = read(values)
    found = record(lambda: pulumi.Output.all(**vars(vm.deploy(FLEET, chosen))), preview=preview)
    assert len(found.containers()) == 3 + chosen.workers.count
    assert found.containers()["worker"].inputs["stopTimeout"] > chosen.workers.drain_seconds


@settings(max_examples=150, deadline=None)
@given(fault=one_fault())
def test_whatever_is_wrong_is_refused_with_its_path(fault: tuple[dict[str, object], tuple[str, ...]]) -> None:
    """A fault would be reported elsewhere, or be taken for its default."""
    values, path = fault
    with pytest.raises(SettingsError) as refused:
        read(values)
    assert any(
        problem.startswith(f"{key(path)}:") or problem.startswith(f"{key(path)}[") for problem in refused.value.problems
    )


@pytest.mark.parametrize("path", sorted(EVERY_LEAF), ids=".".join)
def test_every_setting_is_described(path: tuple[str, ...]) -> None:
    """The reference would have an empty row."""
    schema = schema_at(path)
    assert schema is not None
    assert allowed(schema)
