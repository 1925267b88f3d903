"""Secrets stay secret: in state, in output, in errors."""

from docker_objects import DockerObjects
from stack_program import StackProgram


def test_secrets_are_in_neither_state_nor_output(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a password or a build secret in plain text on disk or on a screen."""
    (stack.folder / "Dockerfile").parent.mkdir(exist_ok=True)
    (stack.folder / "Dockerfile").write_text(
        f"FROM {tiny_image}\nRUN --mount=type=secret,id=token cat /run/secrets/token && echo built\n"
    )
    stack.write(f"""
        import pulumi, pulumi_docker as docker, pulumi_docker_build as docker_build, pulumi_random as random
        password = random.RandomPassword("password", length=24, special=False)
        key = random.RandomBytes("key", length=32)
        image = docker_build.Image(
            "image", push=False, context={{"location": "."}}, exports=[{{"docker": {{}}}}],
            tags=[{docker_objects.prefix!r} + "/image:1"],
            secrets={{"token": pulumi.Output.secret("token-of-the-build")}},
        )
        container = docker.Container(
            "container", name={docker_objects.prefix!r} + "-container", image=image.digest, command=["sleep", "600"],
            envs=[pulumi.Output.concat("PASSWORD=", password.result)],
        )
        pulumi.export("password", password.result)
        pulumi.export("hash", password.bcrypt_hash)
        pulumi.export("key", key.hex)
        pulumi.export("environment", container.envs)
    """)
    shown = [stack.preview("--diff").succeeded().text, stack.up("--diff", "--debug").succeeded().text]
    outputs = stack.outputs()
    secrets = [outputs["password"], outputs["hash"], outputs["key"], "token-of-the-build"]
    found = docker_objects.inspect(f"{docker_objects.prefix}-container")
    assert f"PASSWORD={outputs['password']}" in found["Config"]["Env"]
    assert outputs["environment"] == [f"PASSWORD={outputs['password']}"]
    shown += [stack.up("--diff").succeeded().text, stack.refresh().succeeded().text]
    shown.append(stack.run("stack", "output").succeeded().text)
    for secret in secrets:
        assert all(secret not in text for text in shown)
        assert all(secret not in text for text in stack.stored_files().values())


def test_a_wrong_secret_is_not_quoted_in_the_error(stack: StackProgram, docker_objects: DockerObjects) -> None:
    """Prevents a secret in the message that refuses it."""
    stack.write(f"""
        import pulumi, pulumi_docker as docker
        log_options = {{"tag": pulumi.Output.secret(424242)}}
        docker.Container("container", name={docker_objects.prefix!r}, image="x", log_opts=log_options)
    """)
    text = stack.preview().failed().text
    assert 'logOpts["tag"]: must be a string' in text
    assert "424242" not in text

    stack.write(f"""
        import pulumi, pulumi_docker as docker
        processors = pulumi.Output.secret("hunter2")
        docker.Container("container", name={docker_objects.prefix!r}, image="x", cpu_set=processors)
    """)
    text = stack.preview().failed().text
    assert "cpuSet: must be like" in text
    assert "hunter2" not in text
