"""When a pod that somebody else has claimed may be deleted: never under a worker that lives."""

from collections.abc import Collection
from dataclasses import dataclass, field

from fleet_runtime.sandboxd.kubernetes_owners import Owners
from fleet_runtime.sandboxd.kubernetes_pod import Pod


@dataclass
class World:
    """The workers that live, as the database tells; None while it is away."""

    alive: frozenset[str] | None = frozenset()
    seconds: float = 0.0
    asked: list[set[str]] = field(default_factory=list[set[str]])

    async def living(self, workers: Collection[str]) -> frozenset[str] | None:
        """Answer as the database would."""
        self.asked.append(set(workers))
        return None if self.alive is None else self.alive & set(workers)

    def owners(self, worker_id: str = "me-1") -> Owners:
        """The judge of one worker, on this world's clock."""
        return Owners(worker_id, self.living, lambda: self.seconds)


def pod(owner: str | None, *, restarts: int = 0) -> Pod:
    """A pod of a worker."""
    return Pod("pod", "uid", "1", owner, None, False, True, restarts, False, False, None, None)


async def names(owners: Owners, *pods: Pod) -> list[str | None]:
    """The owners of the pods that are given up."""
    return [one.owner for one in await owners.abandoned(pods)]


async def test_pods_of_an_earlier_process_in_the_same_place_are_given_up_at_once() -> None:
    """A container that restarts is a new owner, and nobody comes back for what the old one held."""
    world = World()
    assert await names(world.owners(), pod("me-0"), pod("me-1"), pod(None)) == ["me-0"]
    assert world.asked == []


async def test_a_worker_must_be_seen_dead_for_a_while() -> None:
    """One missed heartbeat must not cost a running job."""
    world = World(alive=frozenset({"other-1"}))
    owners = world.owners()
    assert await names(owners, pod("other-1"), pod("gone-1")) == []
    world.seconds = 29
    assert await names(owners, pod("other-1"), pod("gone-1")) == []
    world.seconds = 30
    assert await names(owners, pod("other-1"), pod("gone-1")) == ["gone-1"]


async def test_a_worker_that_is_seen_alive_again_starts_afresh() -> None:
    """Two short absences are not one long one."""
    world = World()
    owners = world.owners()
    await names(owners, pod("other-1"))
    world.seconds, world.alive = 20, frozenset({"other-1"})
    await names(owners, pod("other-1"))
    world.seconds, world.alive = 40, frozenset()
    assert await names(owners, pod("other-1")) == []


async def test_nobody_is_taken_for_dead_while_the_database_is_away() -> None:
    """After an outage every worker's last heartbeat is old: all running jobs would be killed together."""
    world = World()
    owners = world.owners()
    await names(owners, pod("other-1"))
    world.seconds, world.alive = 20, None
    await names(owners, pod("other-1"))
    world.seconds, world.alive = 35, frozenset()
    assert await names(owners, pod("other-1")) == []


async def test_a_pod_whose_container_has_ended_is_given_up_whoever_holds_it() -> None:
    """A worker that lives deletes it in a moment; the pod of one that is dead must not wait for the verdict."""
    world = World(alive=frozenset({"other-1"}))
    owners = world.owners()
    assert await names(owners, pod("other-1", restarts=1)) == []
    world.seconds = 10
    assert await names(owners, pod("other-1", restarts=1)) == ["other-1"]
