"""Inputs that are computed with at once where they are known: what comes out is what Pulumi's own way gives."""

import json
from typing import Any

import pulumi
import pytest
from agent_fleet.inputs import applied, json_text
from agent_fleet.kubernetes.rollout import configuration_hash
from hypothesis import given
from hypothesis import strategies as st
from pulumi_random import RandomBytes
from recording import UNKNOWN, Recording, record

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_PLAIN)
def test_what_is_plain_is_written_at_once_as_json_writes_it(value: Any) -> None:
    """Another text would replace every pod of a fleet at its next deployment."""
    assert json_text(value) == json.dumps(value)


def _with_outputs(value: Any) -> Any:
    """The same with every text an output."""
    if isinstance(value, dict):
        return {key: _with_outputs(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_outputs(each) for each in value]
    return pulumi.Output.from_input(value) if isinstance(value, str) else value


@pytest.mark.parametrize(
    "value", [{"a": "x", "b": [1, "y", {"c": "z"}], "d": "x"}, ["x", "y"], {"only": {"deep": ["x"]}}, "alone"]
)
def test_outputs_inside_are_written_in_their_places(value: Any, preview: bool) -> None:
    """A setting under another one's name would be found only by what breaks."""
    assert record(lambda: json_text(_with_outputs(value)), preview=preview).result == json.dumps(value)


def test_an_output_that_holds_the_whole_is_written_too(preview: bool) -> None:
    """Callers may give a whole list as one output."""
    assert record(lambda: json_text(pulumi.Output.from_input(["x", 1])), preview=preview).result == '["x", 1]'


def test_a_secret_inside_makes_the_text_a_secret(preview: bool) -> None:
    """The state would hold a password in clear."""
    assert record(lambda: json_text({"a": 1, "b": pulumi.Output.secret("x")}), preview=preview).result_is_secret


def test_what_is_not_known_yet_is_not_guessed() -> None:
    """A preview would show a value that no update gives."""
    found = record(lambda: json_text({"a": RandomBytes("unknown", length=4).hex}), preview=True)
    assert found.result is UNKNOWN


def test_a_function_is_applied_at_once_or_later(preview: bool) -> None:
    """Both kinds of callers get the same value."""
    assert applied(4.0, int) == 4
    assert applied(["a"], len) == 1
    assert record(lambda: applied(pulumi.Output.from_input(4.0), int), preview=preview).result == 4
    assert record(lambda: applied([pulumi.Output.from_input("a")], len), preview=preview).result == 1


def test_the_hash_of_a_configuration_says_nothing_and_follows_all_of_it(preview: bool) -> None:
    """A hash that is a secret is no annotation; one that misses a value leaves old pods running."""

    def hashed(secret: str) -> Recording:
        return record(
            lambda: configuration_hash({"plain": "x", "secret": pulumi.Output.secret(secret)}), preview=preview
        )

    one, other = hashed("y"), hashed("z")
    assert not one.result_is_secret
    assert "y" != one.result != other.result
    assert configuration_hash({"plain": "x"}) != configuration_hash({"plain": "y"})
