"""sandboxd and the proxy, killed and started again: no job without what it was promised, no way out for nobody."""

import asyncio
import signal

import pytest
from egress_fleet import ASK, EgressFleet, lines
from egress_world import FILES, Upstream
from fleet_runtime.sandboxd.client import SandboxRefused
from sandbox_daemon import eventually

ASK_ONCE = ASK + f"print(json.dumps(ask('http://{FILES}/')[0]))"


async def test_jobs_wait_for_a_proxy_that_is_away(own_egress_fleet: EgressFleet) -> None:
    """They must not run without what they were promised, and sandboxd must say what they wait for."""
    fleet = own_egress_fleet
    fleet.daemon.start()
    await fleet.healthy(wanted=False)
    job = asyncio.create_task(fleet.run("python", ASK_ONCE))

    async def taken() -> bool:
        count = await fleet.daemon.count()
        return count is not None and count.templates["default"].running == 1

    await eventually(taken, 10, "the job to have a sandbox")
    assert not job.done()
    fleet.start_proxy()
    assert lines(await job) == [200]
    await fleet.healthy()


async def test_a_job_that_has_waited_too_long_goes_back_to_the_queue(own_egress_fleet: EgressFleet) -> None:
    """It is not the job's fault, so it must not cost it an attempt."""
    fleet = own_egress_fleet
    fleet.daemon.templates = {"default": {**fleet.daemon.templates["default"], "start_timeout_seconds": 5}}
    fleet.daemon.start()

    async def warm() -> bool:
        count = await fleet.daemon.count()
        return count is not None and count.templates["default"].warm > 0

    await eventually(warm, 30, "a sandbox to wait")
    with pytest.raises(SandboxRefused) as refused:
        await fleet.run("python", "print('MARKER')")
    assert refused.value.code == "no_capacity"
    assert "egress proxy" in refused.value.message


async def test_a_killed_proxy_is_replaced_in_the_middle_of_a_job(
    own_egress_fleet: EgressFleet, egress_upstream: Upstream
) -> None:
    """The job's socket outlives the process behind it, and what its tenant has spent is not forgotten."""
    fleet = own_egress_fleet
    fleet.limits = {"FLEET_EGRESS_TENANT_DAILY_REQUESTS": "3"}
    fleet.daemon.start()
    fleet.start_proxy()
    await fleet.healthy()
    paths = ["/first", "/wait", "/third", "/fourth"]
    code = ASK + f"print(json.dumps([ask('http://{FILES}' + path)[0] for path in {paths!r}]))"
    before = len(egress_upstream.asked)
    job = asyncio.create_task(fleet.run("python", code))

    async def in_the_middle() -> bool:
        return any(each["path"] == "/wait" for each in egress_upstream.asked[before:])

    async def told() -> bool:
        # /wait is counted at its end, so these are /first and the other tenant's, which came after /wait.
        allowed = 'egress_requests_total{template="default",verdict="allowed"} 2.0'
        return allowed in await fleet.daemon.client.metrics()

    await eventually(in_the_middle, 20, "the second request")
    assert lines(await fleet.run("python", ASK_ONCE, tenant="another")) == [200]
    await eventually(told, 20, "sandboxd to be told what was spent")
    fleet.end_proxy(signal.SIGKILL)
    fleet.start_proxy()
    assert lines(await job) == [[200, 0, 200, 429]]


async def test_a_killed_sandboxd_leaves_no_way_out_and_no_folder(own_egress_fleet: EgressFleet) -> None:
    """Its sandboxes are nobody's any more, and the next one must find nothing of it in its way."""
    fleet = own_egress_fleet
    fleet.daemon.start()
    fleet.start_proxy()
    await fleet.healthy()
    await fleet.daemon.warm()
    before = {path.name for path in fleet.sandbox_folders.iterdir()}
    assert before
    fleet.daemon.send_signal(signal.SIGKILL)
    fleet.daemon.start()
    await fleet.healthy()

    async def swept() -> bool:
        return not before & {path.name for path in fleet.sandbox_folders.iterdir()}

    await eventually(swept, 20, "the old folders to be gone")
    assert lines(await fleet.run("python", ASK_ONCE)) == [200]
    fleet.daemon.send_signal(signal.SIGTERM)
    assert list(fleet.sandbox_folders.iterdir()) == []


async def test_one_tenants_budget_is_not_anothers(own_egress_fleet: EgressFleet) -> None:
    """A tenant that has used up its day must not have used up all."""
    fleet = own_egress_fleet
    fleet.limits = {"FLEET_EGRESS_TENANT_DAILY_REQUESTS": "2"}
    fleet.daemon.start()
    fleet.start_proxy()
    await fleet.healthy()
    code = ASK + f"print(json.dumps([ask('http://{FILES}/')[0] for _ in range(3)]))"
    assert lines(await fleet.run("python", code, tenant="first")) == [[200, 200, 429]]
    assert lines(await fleet.run("python", code, tenant="first")) == [[429, 429, 429]]
    assert lines(await fleet.run("python", code, tenant="second")) == [[200, 200, 429]]


async def test_a_proxy_that_hangs_is_named_and_taken_back_when_it_goes_on(own_egress_fleet: EgressFleet) -> None:
    """Its connection stands, so nothing but its silence tells that no job gets out."""
    fleet = own_egress_fleet
    fleet.daemon.start()
    fleet.start_proxy()
    await fleet.healthy()
    assert fleet.process is not None
    fleet.process.send_signal(signal.SIGSTOP)
    try:
        await fleet.healthy(wanted=False)
        count = await fleet.daemon.count()
        assert count is not None
        assert "the egress proxy hangs" in str(count.reason)
    finally:
        fleet.process.send_signal(signal.SIGCONT)
    await fleet.healthy()
