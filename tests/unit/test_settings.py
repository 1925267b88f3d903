"""How settings are read and refused."""

import json
from typing import Any

import pytest
from stack_settings import STACK, TODAY, read

from settings.load import fleet_name, from_config
from settings.problems import SettingsError
from settings.relations import RELATIONS, notices


def refused(given: Any, *, secret: bool = False) -> tuple[str, ...]:
    """The problems of settings that must not be accepted."""
    with pytest.raises(SettingsError) as error:
        from_config(json.dumps(given), secret=secret, stack=STACK, today=TODAY)
    return error.value.problems


def one_problem(**given: Any) -> str:
    """The only problem of a vm stack with these settings."""
    (problem,) = refused({"architecture": "vm", **given})
    return problem


def test_all_problems_are_shown_at_once() -> None:
    """A user would mend one fault for each run."""
    problems = refused(
        {
            "api": {"port": 70_000, "bind_address": "localhost"},
            "sandbox": {"warm": 17, "languages": ["python", "pyton"]},
            "workers": {"lease_seconds": 5},
            "databse": {},
        }
    )
    assert sorted(problem.split(":")[0] for problem in problems) == [
        "fleet.api.bind_address",
        "fleet.api.port",
        "fleet.architecture",
        "fleet.databse",
        "fleet.sandbox.languages[1]",
        "fleet.sandbox.warm",
        "fleet.workers.lease_seconds",
    ]


def test_a_wrong_value_is_shown_with_what_is_allowed() -> None:
    """`Input should be less than or equal to 65535` names neither the key nor the value."""
    assert one_problem(api={"port": 70_000}) == "fleet.api.port: given 70000; allowed: a whole number from 1 to 65535."


def test_a_misspelt_key_is_answered_with_the_nearest() -> None:
    """A key that is ignored leaves its default in force, unnoticed."""
    problem = one_problem(api={"prot": 1})
    assert problem.startswith("fleet.api.prot: there is no such setting. Did you mean fleet.api.port?")
    assert "bind_address" in problem


def test_a_key_in_the_wrong_section_is_answered_with_the_right_one() -> None:
    """The nearest key of the same section would send the user the wrong way."""
    assert "Did you mean fleet.api.port?" in one_problem(port=8080)
    assert "fleet.sandbox.memory_mebibytes or fleet.database.memory_mebibytes" in one_problem(memory_mebibytes=1)


def test_a_misspelt_choice_is_answered_with_the_nearest() -> None:
    """Six similar words are hard to compare by eye."""
    assert one_problem(log_level="inof").endswith("allowed: debug, info, warning or error. Did you mean info?")


@pytest.mark.parametrize("value", [True, "many", 1.5, None, [], {}])
def test_what_is_no_number_is_not_taken_for_one(value: Any) -> None:
    """`port: true` would become port 1."""
    assert one_problem(api={"port": value}).startswith("fleet.api.port: given ")


def test_a_number_written_as_text_is_taken() -> None:
    """`pulumi config set --path` stores 0.5 as text."""
    assert read({"architecture": "vm", "sandbox": {"cpus": "0.5"}}).sandbox.cpus == 0.5


def test_secret_values_are_never_shown() -> None:
    """An error would print into a log what was encrypted in the stack's file."""
    given = {
        "architecture": "hunter2",
        "log_level": "hunter2",
        "api": {"port": "hunter2"},
        "sandbox": {"languages": ["hunter2"], "warm": 777, "maximum": 555},
        "images": {"digests": {"runtime": "hunter2"}},
    }
    text = " ".join(refused(given, secret=True))
    assert "a secret value" in text
    assert "hunter2" not in text
    assert "777" not in text
    assert "fleet.sandbox.warm" in text


@pytest.mark.parametrize("text", [None, "vm", "[]", "3", '"{"'])
def test_a_configuration_that_is_no_object_is_refused_with_its_key(text: str | None) -> None:
    """`pulumi config set fleet vm` stores a text."""
    with pytest.raises(SettingsError) as error:
        from_config(text, secret=False, stack=STACK, today=TODAY)
    assert error.value.problems[0].startswith("fleet: ")


@pytest.mark.parametrize(
    ("given", "key", "advice"),
    [
        ({"architecture": "vm", "target": "ec2", "api": {"port": 1}}, "api.port", "use fleet.entrance instead"),
        ({"architecture": "queue", "workers": {"count": 1}}, "workers.count", "remove it"),
        ({"architecture": "vm", "host": {}}, "host", "remove it"),
        ({"architecture": "cluster", "entrance": {}}, "entrance", "remove it"),
        ({"architecture": "vm", "target": "ec2", "agents": {}}, "agents", "remove it"),
    ],
)
def test_what_a_place_does_not_have_is_refused_with_the_places_that_have_it(given: Any, key: str, advice: str) -> None:
    """A setting would be written, and do nothing."""
    (problem,) = [each for each in refused(given) if each.startswith(f"fleet.{key}: ")]
    assert "it is only for `architecture: " in problem
    assert problem.endswith(f": {advice}.")


def test_a_target_of_another_architecture_is_refused_with_those_it_has() -> None:
    """`vm` on `eks` means nothing."""
    assert one_problem(target="eks") == 'fleet.target: given "eks"; allowed for vm: docker, ec2.'


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"sandbox": {"warm": 9, "maximum": 8}}, "sandbox.warm"),
        ({"workers": {"count": 2, "concurrency": 5}, "sandbox": {"maximum": 8}}, "sandbox.maximum"),
        ({"workers": {"concurrency": 11}, "sandbox": {"maximum": 20}}, "workers.concurrency"),
        (
            {"api": {"default_timeout_seconds": 61}, "limits": {"task_timeout_seconds": 60}},
            "api.default_timeout_seconds",
        ),
        ({"workers": {"lease_seconds": 20}}, "workers.lease_seconds"),
        ({"sandbox": {"scratch_mebibytes": 257}}, "sandbox.scratch_mebibytes"),
        (
            {
                "images": {
                    "build": {},
                    "digests": dict.fromkeys(("runtime", "sandbox", "postgres"), f"r/x@sha256:{'a' * 64}"),
                }
            },
            "images.build",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], key: str) -> None:
    """The fleet would start and then misbehave: jobs given away, refused or out of memory."""
    problem = one_problem(**given)
    assert problem.startswith(f"fleet.{key}: given ")
    assert key in {relation.keys[0] for relation in RELATIONS}


def test_a_wrong_value_hides_no_contradiction_elsewhere_and_causes_none() -> None:
    """Checks between keys would judge a default in the place of what the user wrote."""
    problems = refused(
        {"architecture": "vm", "sandbox": {"maximum": "none", "warm": 50}, "workers": {"lease_seconds": 3}}
    )
    assert [problem.split(":")[0] for problem in problems] == ["fleet.sandbox.maximum", "fleet.workers.lease_seconds"]


def test_the_defaults_are_the_documents_figures() -> None:
    """H7: ten agents, an hour, three tries. D10: four jobs a worker."""
    settings = read({"architecture": "vm"})
    assert settings.limits.max_concurrent_agents == 10
    assert settings.limits.task_timeout_seconds == 3600
    assert settings.limits.max_attempts == 3
    assert settings.workers.concurrency == 4
    assert settings.api.bind_address == "127.0.0.1"


def test_a_drain_shorter_than_the_longest_job_is_said_but_not_refused() -> None:
    """Jobs that run twice would surprise the user; an hour's wait at each update would, too."""
    assert any("drain_seconds" in notice for notice in notices(read({"architecture": "vm"}), TODAY))
    covered = {"architecture": "vm", "limits": {"task_timeout_seconds": 60}}
    assert notices(read(covered), TODAY) == ()


def test_an_api_on_the_network_is_said() -> None:
    """API keys would travel in the clear without anybody having been told."""
    exposed = read({"architecture": "vm", "api": {"bind_address": "0.0.0.0"}})
    assert any("plain HTTP" in notice for notice in notices(exposed, TODAY))


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    """What was checked must be what is deployed."""
    settings = read({"architecture": "vm"})
    with pytest.raises(ValueError, match="frozen"):
        settings.api.port = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_a_stack_name_too_long_for_the_network_is_refused() -> None:
    """Its containers could not find each other by name."""
    assert fleet_name("local") == "agent-fleet-local"
    with pytest.raises(SettingsError, match="up to 40"):
        fleet_name("x" * 41)
