"""A fleet on one host whose doorbell is Redis, deployed by the project's own commands."""

from deployed_stack import NewStack, wait_for


def test_a_stack_with_redis_runs_jobs_and_goes_on_without_it(new_stack: NewStack) -> None:
    """What only mocks have seen may be a container that never becomes healthy, or one that nobody can log in to."""
    stack = new_stack()
    stack.write_settings(doorbell={"kind": "redis"})
    stack.succeed("up")
    redis = stack.container("redis")
    assert redis.attrs["State"]["Health"]["Status"] == "healthy"
    for role in ("api", "worker"):
        assert "FLEET_DOORBELL=redis" in stack.container(role).attrs["Config"]["Env"]
    assert stack.run(language="python", code="print('rung')")["stdout"] == "rung\n"
    redis.kill()
    redis.reload()
    assert stack.run(language="python", code="print('polled')")["stdout"] == "polled\n"
    redis.start()
    wait_for(lambda: _healthy(stack.container("redis").attrs), "Redis is back")
    assert stack.run(language="python", code="print('rung again')")["stdout"] == "rung again\n"
    assert "doorbell_disconnected" in stack.container("worker").logs().decode()
    stack.succeed("down")
    assert not stack.objects()


def _healthy(container: dict[str, object]) -> bool:
    state = container["State"]
    return isinstance(state, dict) and state.get("Health", {}).get("Status") == "healthy"
