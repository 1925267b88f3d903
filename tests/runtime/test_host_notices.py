"""What a worker hears of its host from EC2's metadata service, and what it takes it for."""

from collections.abc import Generator
from datetime import UTC, datetime

import pytest
from emulated_ec2 import EmulatedEc2, Instance, emulated_ec2
from fleet_runtime.config import WorkerSettings
from fleet_runtime.worker.host_notices import NoticeKind, look
from fleet_runtime.worker.instance_metadata import InstanceMetadata, MetadataAwayError
from pydantic import ValidationError

NOWHERE = "http://127.0.0.1:9"
"""An address where nobody answers."""


@pytest.fixture(scope="module")
def ec2() -> Generator[EmulatedEc2]:
    """EC2, as far as an instance talks to it."""
    with emulated_ec2() as served:
        yield served


@pytest.fixture
def instance(ec2: EmulatedEc2) -> Instance:
    """An instance of this test's own."""
    return ec2.launch()


async def kinds(metadata: InstanceMetadata) -> set[NoticeKind]:
    """The notices that stand."""
    return set(await look(metadata))


async def test_nothing_is_said_of_a_host_that_stays(instance: Instance) -> None:
    """A 404 that was taken for a notice would empty every host of the fleet at once."""
    metadata = InstanceMetadata(instance.endpoint)
    assert await look(metadata) == {}
    del instance.items["autoscaling/target-lifecycle-state"]
    assert await look(metadata) == {}
    await metadata.aclose()


async def test_one_token_serves_all_questions(instance: Instance) -> None:
    """A token for each question doubles what a host of many workers asks of a service that counts."""
    metadata = InstanceMetadata(instance.endpoint)
    for _ in range(3):
        await look(metadata)
    assert instance.token_requests == 1
    await metadata.aclose()


async def test_a_token_is_renewed_before_it_ends_and_when_it_is_refused(instance: Instance) -> None:
    """After six hours, or a stop and a start, a worker would hear nothing any more, and nobody would notice."""
    now = 0.0
    metadata = InstanceMetadata(instance.endpoint, clock=lambda: now)
    await look(metadata)
    instance.forget_tokens()
    assert await look(metadata) == {}
    assert instance.token_requests == 2
    now += 21_600 - 60
    await look(metadata)
    assert instance.token_requests == 3
    await metadata.aclose()


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_a_service_that_fails_is_not_taken_for_one_without_notices(instance: Instance, status: int) -> None:
    """A worker that believes that all is well goes on until its host is gone."""
    instance.failing_with = status
    metadata = InstanceMetadata(instance.endpoint)
    with pytest.raises(MetadataAwayError, match=str(status)):
        await look(metadata)
    await metadata.aclose()


async def test_a_service_that_is_not_reached_says_what_a_container_needs() -> None:
    """With a hop limit of 1 only the host's network reaches it, which nothing else would tell."""
    metadata = InstanceMetadata(NOWHERE)
    with pytest.raises(MetadataAwayError, match="on the host's network only"):
        await look(metadata)
    await metadata.aclose()


async def test_no_proxy_stands_before_the_metadata_service(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would answer for the instance that it runs on itself."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    metadata = InstanceMetadata(instance.endpoint)
    assert await look(metadata) == {}
    await metadata.aclose()


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("Terminated", NoticeKind.TERMINATION),
        ("Warmed:Terminated", NoticeKind.TERMINATION),
        ("Standby", NoticeKind.OUT_OF_SERVICE),
        ("Warmed:Stopped", NoticeKind.OUT_OF_SERVICE),
        ("Warmed:Running", NoticeKind.OUT_OF_SERVICE),
        ("Warmed:Hibernated", NoticeKind.OUT_OF_SERVICE),
        ("InService", None),
        ("Detached", None),
        ("SomethingNew", None),
    ],
)
async def test_each_state_that_a_group_has_in_mind_is_known(
    instance: Instance, state: str, kind: NoticeKind | None
) -> None:
    """An instance of a warm pool that took jobs would be stopped with them."""
    instance.target(state)
    metadata = InstanceMetadata(instance.endpoint)
    assert await kinds(metadata) == ({kind} if kind else set())
    await metadata.aclose()


async def test_notices_that_stand_together_are_all_heard(instance: Instance) -> None:
    """A recommendation often comes with the interruption, and must not hide that there are two minutes left."""
    instance.interrupt(60)
    instance.recommend_rebalance()
    instance.target("Terminated")
    metadata = InstanceMetadata(instance.endpoint)
    found = await look(metadata)
    assert set(found) == {NoticeKind.SPOT_INTERRUPTION, NoticeKind.REBALANCE, NoticeKind.TERMINATION}
    await metadata.aclose()


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ('{"action": "terminate", "time": "2026-11-21T08:22:00Z"}', datetime(2026, 11, 21, 8, 22, tzinfo=UTC)),
        ('{"action": "stop", "time": "2026-11-21T08:22:00"}', datetime(2026, 11, 21, 8, 22, tzinfo=UTC)),
        ('{"action": "hibernate"}', None),
        ("not JSON", None),
        ("[]", None),
    ],
)
async def test_an_interruption_counts_whatever_its_notice_looks_like(
    instance: Instance, said: str, at: datetime | None
) -> None:
    """A notice that cannot be read is one all the same: the instance goes."""
    instance.items["spot/instance-action"] = said
    metadata = InstanceMetadata(instance.endpoint)
    assert (await look(metadata))[NoticeKind.SPOT_INTERRUPTION].at == at
    await metadata.aclose()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"HOST_NOTICES": "gcp"}, "'none' or 'imds'"),
        ({"HOST_NOTICES": "imds", "LIFECYCLE_HOOK": "drain"}, "FLEET_LIFECYCLE_GROUP and FLEET_LIFECYCLE_HOOK"),
        ({"LIFECYCLE_HOOK": "drain", "LIFECYCLE_GROUP": "workers"}, "needs FLEET_HOST_NOTICES=imds"),
        ({"HOST_NOTICES": "imds", "REBALANCE": "maybe"}, "'drain' or 'ignore'"),
        ({"HOST_NOTICES": "imds", "METADATA_ENDPOINT": "169.254.169.254"}, "must be a URL"),
        ({"HOST_NOTICES": "imds", "SANDBOX_BACKEND": "kubernetes"}, "goes with FLEET_SANDBOX_BACKEND=socket only"),
    ],
)
def test_settings_that_would_let_a_host_go_with_its_jobs_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    """A hook that nobody completes keeps every host for an hour; one that is misspelt does as well."""
    monkeypatch.setenv("FLEET_DATABASE_URL", "postgresql://x")
    for name, value in given.items():
        monkeypatch.setenv(f"FLEET_{name}", value)
    with pytest.raises(ValidationError, match=said):
        WorkerSettings()  # pyright: ignore[reportCallIssue] - from the environment


def test_without_settings_no_host_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker on a machine without a metadata service must not wait for one."""
    monkeypatch.setenv("FLEET_DATABASE_URL", "postgresql://x")
    settings = WorkerSettings()  # pyright: ignore[reportCallIssue] - from the environment
    assert settings.host_notices == "none"
    assert settings.metadata_endpoint == "http://169.254.169.254"
