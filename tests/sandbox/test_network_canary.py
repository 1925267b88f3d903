"""The canary: what a sandbox tells of the network, and what follows from it."""

import asyncio
import json
import socket
from collections.abc import Iterator, Sequence

import pytest
from fleet_runtime.payload import decode
from fleet_runtime.sandboxd.client import RunRequest, RunResult, SandboxRefused
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.worker.canary_targets import Target
from fleet_runtime.worker.network_canary import NetworkCanary, Runner
from sandbox_daemon import Daemon, eventually


class Told:
    """A sandbox whose canary says what the test wants."""

    def __init__(self, *answers: dict[str, str] | SandboxRefused) -> None:
        """Give these answers, the last one again and again."""
        self.answers = list(answers)
        self.asked = 0

    async def run(self, request: RunRequest, *, kill: asyncio.Event) -> RunResult:
        """Answer."""
        assert not kill.is_set()
        assert decode(request.payload).language == "python"
        self.asked += 1
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, SandboxRefused):
            raise answer
        output = json.dumps(answer).encode()
        return RunResult("exited", 0, None, output, b"", False, False, 1, 1, True, None, None, False)


def canary(
    sandboxes: Runner, targets: Sequence[Target], *, enforced: bool = True
) -> tuple[NetworkCanary, WorkerMetrics]:
    """A canary for these targets."""

    async def given() -> Sequence[Target]:
        return targets

    metrics = WorkerMetrics()
    made = NetworkCanary(
        sandboxes, template="default", targets=given, enforced=enforced, interval_seconds=0.01, metrics=metrics
    )
    return made, metrics


def outcomes(metrics: WorkerMetrics, outcome: str) -> float:
    """How often a canary ended so."""
    return metrics.registry.get_sample_value("sandbox_network_canary_runs_total", {"outcome": outcome}) or 0


@pytest.fixture
def listener() -> Iterator[Target]:
    """A port of this machine that accepts connections, at an address that a network would lead to."""
    with socket.create_server(("0.0.0.0", 0)) as listening, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
        except OSError:
            address = "127.0.0.1"
        yield "the listener", address, listening.getsockname()[1]


async def settled(made: NetworkCanary, metrics: WorkerMetrics, outcome: str) -> None:
    """Let it run until it has come to this."""
    running = asyncio.create_task(made.run())

    async def has_ended() -> bool:
        return outcomes(metrics, outcome) > 0

    await eventually(has_ended, 30, f"the canary to be {outcome}")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_sandbox_without_a_network_is_found_to_have_none(daemon: Daemon, listener: Target) -> None:
    """A canary that can fail only, or pass only, says nothing."""
    made, metrics = canary(daemon.client, [listener, ("the metadata service", "169.254.169.254", 80)])
    assert made.refusal is not None
    await settled(made, metrics, "denied")
    assert made.refusal is None


async def test_what_a_sandbox_reaches_is_named_and_keeps_jobs_away() -> None:
    """An operator must see which way is open."""
    told = Told({"the database": "reached", "the API server": "no answer"})
    made, metrics = canary(told, [("the database", "192.0.2.1", 5432), ("the API server", "192.0.2.2", 443)])
    await settled(made, metrics, "reached")
    assert made.refusal is not None
    assert "a sandbox reached the database:" in made.refusal
    assert metrics.registry.get_sample_value("sandbox_network_canary_reached") == 1


async def test_a_canary_that_only_reports_keeps_nothing_away() -> None:
    """On a cluster that enforces no policy the operator may decide so."""
    made, metrics = canary(Told({"x": "reached"}), [("x", "192.0.2.1", 1)], enforced=False)
    assert made.refusal is None
    await settled(made, metrics, "reached")
    assert made.refusal is None


async def test_a_canary_that_cannot_be_tried_is_not_passed() -> None:
    """Silence is no proof."""
    made, metrics = canary(Told(SandboxRefused("no_capacity", "all are busy")), [("x", "192.0.2.1", 1)])
    await settled(made, metrics, "failed")
    assert made.refusal is not None
    assert "all are busy" in made.refusal


async def test_an_answer_that_leaves_a_target_out_is_not_passed() -> None:
    """A job that breaks half-way must not be taken for a closed network."""
    made, metrics = canary(Told({"x": "no answer"}), [("x", "192.0.2.1", 1), ("y", "192.0.2.2", 1)])
    await settled(made, metrics, "failed")
    assert "says nothing of y" in str(made.refusal)


async def test_a_network_that_is_opened_later_is_found_out() -> None:
    """Whoever removes the policy does not restart the workers."""
    made, metrics = canary(Told({"x": "no answer"}, {"x": "reached"}), [("x", "192.0.2.1", 1)])
    await settled(made, metrics, "reached")
    assert "a sandbox reached x" in str(made.refusal)
