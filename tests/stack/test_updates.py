"""What a second `make up` changes: nothing, or what a setting touches."""

from deployed_stack import DeployedStack


def _identities(stack: DeployedStack) -> dict[str, tuple[str, str]]:
    """Each of the fleet's own containers: its ID, and when it was started."""
    found = {role: stack.container(role) for role in ("api", "worker", "sandboxd", "database")}
    return {role: (str(each.id), each.attrs["State"]["StartedAt"]) for role, each in found.items()}


def test_a_second_make_up_changes_nothing(stack: DeployedStack) -> None:
    """Whoever runs it to be sure must not restart everything."""
    before = _identities(stack)
    said = stack.succeed("up").output
    assert "unchanged" in said
    assert not [word for word in ("created", "updated", "replaced", "deleted") if f"{word} " in said]
    assert _identities(stack) == before


def test_a_preview_shows_a_change_and_makes_none(stack: DeployedStack) -> None:
    """A preview that touches something is no preview."""
    before = _identities(stack), stack.state_file.read_bytes(), stack.objects()
    stack.write_settings(workers={"concurrency": 3})
    try:
        said = stack.succeed("preview").output
    finally:
        stack.write_settings()
    assert f"{stack.fleet}-worker" in said
    assert (_identities(stack), stack.state_file.read_bytes(), stack.objects()) == before


def test_a_changed_setting_touches_only_what_it_is_about(stack: DeployedStack) -> None:
    """A worker's setting must not end the sessions of the database, nor lose what is queued."""
    before = _identities(stack)
    with stack.client() as client:
        job = client.post("/execute", json={"language": "bash", "code": "echo kept"}).json()["id"]
    stack.write_settings(workers={"concurrency": 3})
    try:
        stack.succeed("up")
        after = _identities(stack)
        assert after["worker"] != before["worker"]
        assert {role: each for role, each in after.items() if role != "worker"} == {
            role: each for role, each in before.items() if role != "worker"
        }
        with stack.client() as client:
            assert stack.result(client, job, 60)["stdout"] == "kept\n"
        environment = stack.container("worker").attrs["Config"]["Env"]
        assert "FLEET_CONCURRENCY=3" in environment
    finally:
        stack.write_settings()
        stack.succeed("up")


def test_a_container_that_somebody_removed_is_put_back(stack: DeployedStack) -> None:
    """The state would go on saying that all is well."""
    stack.container("worker").remove(force=True)
    stack.succeed("up")
    assert stack.run(language="bash", code="echo back")["stdout"] == "back\n"
