"""Settings of vm on EC2 that contradict each other, and the sentence that says so."""

from typing import Any

import pytest
from stack_settings import read
from test_host_stack import merged
from test_program import stack_settings

from settings.placeholders import placeholders
from settings.problems import SettingsError
from settings.relations import notices

CERTIFICATE = "arn:aws:acm:eu-central-1:000000000000:certificate/0"
PUBLIC = {"kind": "public_address", "client_cidrs": ["192.0.2.0/24"]}


def refused(**changes: Any) -> list[str]:
    """The problems of the stack `dev` with these changes."""
    with pytest.raises(SettingsError) as error:
        read(merged(stack_settings("dev"), changes))
    return list(error.value.problems)


@pytest.mark.parametrize(
    ("changes", "key", "fix"),
    [
        ({"entrance": {"client_cidrs": ["0.0.0.0/0"]}}, "entrance.certificate_arn", "give the ARN"),
        (
            {"entrance": {"client_cidrs": ["0.0.0.0/0"], "certificate_arn": CERTIFICATE}},
            "entrance.certificate_arn",
            "give one of that",
        ),
        ({"entrance": {**PUBLIC, "client_cidrs": []}, "aws": {"nat": "none"}}, "entrance.client_cidrs", "give the"),
        (
            {"entrance": {**PUBLIC, "client_cidrs": ["0.0.0.0/0"]}, "aws": {"nat": "none"}},
            "entrance.client_cidrs",
            "choose load_balancer",
        ),
        ({"entrance": {**PUBLIC, "host": "fleet.example.com"}, "aws": {"nat": "none"}}, "entrance.host", "remove it"),
        ({"entrance": {**PUBLIC, "internal": True}, "aws": {"nat": "none"}}, "entrance.internal", "remove it"),
        ({"entrance": PUBLIC}, "aws.nat", "set it to none"),
        ({"aws": {"zones": ["eu-west-1a", "us-east-1b"]}}, "aws.zones[1]", "eu-west-1a"),
        ({"aws": {"cidr": "10.0.0.0/28"}}, "aws.cidr", "/22"),
        ({"doorbell": {"kind": "redis"}}, "doorbell.kind", "allowed is postgres"),
        ({"images": {"digests": None}}, "images.registry", "fleet.images.digests"),
        ({"images": {"registry": "registry.example.com"}}, "images.registry", "leave one of the two out"),
        ({"host": {"instance_type": "p5.48xlarge"}}, "host.instance_type", "allowed: "),
        ({"sandbox": {"memory_mebibytes": 4096}}, "host.instance_type", "choose a larger type"),
        ({"sandbox": {"runtime": "runsc"}}, "sandbox.runtime", "remove it"),
        ({"agents": {"coder": {"target": "full"}}}, "agents", "run every job in fleet.images.digests.sandbox"),
        (
            {"images": {"digests": {"agents": {"full": "registry.example.com/full@sha256:" + "0" * 64}}}},
            "images.digests.agents",
            "agent types with images of their own are in `architecture: cluster`",
        ),
        ({"api": {"bind_address": "127.0.0.1"}}, "api.bind_address", "use fleet.entrance instead"),
    ],
)
def test_a_contradiction_is_refused_with_the_key_and_the_fix(changes: dict[str, Any], key: str, fix: str) -> None:
    """AWS would say so after minutes, or never."""
    (problem,) = [each for each in refused(**changes) if each.startswith(f"fleet.{key}: ")]
    assert fix in problem


def test_the_shipped_stack_is_in_order_and_its_examples_are_refused_by_an_update() -> None:
    """A newcomer's host would have a certificate of nobody's."""
    keys = {each.key for each in placeholders(read(stack_settings("dev")))}
    assert {"fleet.entrance.certificate_arn", "fleet.entrance.host", "fleet.images.digests.runtime"} <= keys


def test_a_public_address_is_told_of_at_every_preview() -> None:
    """API keys would cross the internet in the clear, and nobody had said so."""
    from stack_settings import TODAY

    settings = read(merged(stack_settings("dev"), {"entrance": PUBLIC, "aws": {"nat": "none"}}))
    assert any("plain HTTP" in each for each in notices(settings, TODAY))
    assert not any("plain HTTP" in each for each in notices(read(stack_settings("dev")), TODAY))
