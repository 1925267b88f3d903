"""A fleet on one host with what is not there by default, deployed by the project's own commands: Redis, and agents."""

from deployed_stack import DeployedStack, NewStack, wait_for


def test_a_stack_with_redis_runs_jobs_and_goes_on_without_it(new_stack: NewStack) -> None:
    """What only mocks have seen may be a container that never becomes healthy, or one that nobody can log in to."""
    stack = new_stack()
    stack.write_settings(
        doorbell={"kind": "redis"}, agents={"checking": {"toolchain": "python", "hardened": True, "tools": ["pytest"]}}
    )
    stack.succeed("up")
    _agents_share_a_workspace(stack)
    redis = stack.container("redis")
    assert redis.attrs["State"]["Health"]["Status"] == "healthy"
    [api], workers = stack.containers("api"), stack.containers("worker")
    assert len(workers) == 2, "the agent type has a worker of its own"
    for container in (api, *workers):
        assert "FLEET_DOORBELL=redis" in container.attrs["Config"]["Env"]
    assert stack.run(language="python", code="print('rung')")["stdout"] == "rung\n"
    redis.kill()
    redis.reload()
    assert stack.run(language="python", code="print('polled')")["stdout"] == "polled\n"
    redis.start()
    wait_for(lambda: _healthy(stack.container("redis").attrs), "Redis is back")
    assert stack.run(language="python", code="print('rung again')")["stdout"] == "rung again\n"
    for worker in workers:
        assert "doorbell_disconnected" in worker.logs().decode()
    stack.succeed("down")
    assert not stack.objects()


def _agents_share_a_workspace(stack: DeployedStack) -> None:
    """Have the agent type's image, built from its settings, run a package's tests that an earlier job wrote."""
    write = "import pathlib; pathlib.Path('test_sum.py').write_text('def test_sum():\\n    assert 1 + 1 == 2\\n')"
    for command, said in ((["python3", "-c", write], ""), (["pytest", "-q"], "1 passed")):
        result = stack.run(agent="checking", command=command, workspace="app")
        assert (result["status"], said in result["stdout"]) == ("succeeded", True), result
    with stack.client() as client:
        refused = client.post("/execute", json={"agent": "checking", "command": "ls", "workspace": "app"})
    assert refused.status_code == 422
    assert "has no shell" in refused.text


def _healthy(container: dict[str, object]) -> bool:
    state = container["State"]
    return isinstance(state, dict) and state.get("Health", {}).get("Status") == "healthy"
