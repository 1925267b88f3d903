"""Wrong inputs are refused in the preview, by property, with what is allowed."""

from stack_program import StackProgram


def test_every_wrong_input_is_named_at_once(stack: StackProgram) -> None:
    """Prevents one-at-a-time discovery of mistakes, and a misspelt property that is ignored."""
    stack.write("""
        import pulumi, pulumi_docker as docker
        docker.Container("container", image="x", restart="sometimes", cpus="many",
            healthcheck={"tests": ["CMD", "true"], "intervall": "1s"},
            ports=[{"internal": "80"}], labels=[{"label": "only"}],
            mounts=[{"target": "/x", "type": "directory"}])
    """)
    text = stack.preview().failed().text
    for part in (
        "healthcheck.intervall: there is no such property; did you mean 'interval'?",
        "ports[0].internal: must be an integer, not the string '80'.",
        "labels[0].value: is missing and required: a string.",
    ):
        assert part in text, text


def test_values_out_of_range_are_refused(stack: StackProgram) -> None:
    """Prevents a daemon error in the middle of an update for what could be seen before it."""
    stack.write("""
        import pulumi, pulumi_docker as docker
        docker.Container("container", image="x", restart="sometimes", cpus="many", memory=-5,
            healthcheck={"tests": ["CMD", "true"], "interval": "soon"},
            ports=[{"internal": 80, "external": 99999}], mounts=[{"target": "/x", "type": "directory"}])
    """)
    text = stack.preview().failed().text
    for part in (
        "restart: must be one of no, on-failure, always, unless-stopped, not 'sometimes'.",
        "such as '1.5', not 'many'.",
        "memory: must be at least 0, not -5.",
        "healthcheck.interval: 'soon' is no duration; write 500ms, 10s or 1m30s.",
        "ports[0].external: must be from 1 to 65535, not 99999.",
        "mounts[0].type: must be one of bind, volume, tmpfs, not 'directory'.",
    ):
        assert part in text, text


def test_an_unknown_resource_type_is_named_with_its_neighbours(stack: StackProgram) -> None:
    """Prevents a resource that exists in state only because nobody knew its type."""
    stack.write("""
        import pulumi
        pulumi.CustomResource("docker:index/contaner:Contaner", "typo", {})
    """)
    text = stack.preview().failed().text
    assert "docker:index/contaner:Contaner is no resource type of pulumi_docker" in text
    assert "docker:index/container:Container" in text


def test_a_type_that_is_not_served_says_so(stack: StackProgram) -> None:
    """Prevents a service that was never started from looking deployed."""
    stack.write("""
        import pulumi_docker as docker
        docker.Secret("secret", data="eA==")
    """)
    assert "is not served by the docker stand-in" in stack.preview().failed().text


def test_an_unknown_provider_setting_is_refused(stack: StackProgram) -> None:
    """Prevents a setting that looks taken and is not."""
    stack.write("""
        import pulumi, pulumi_docker as docker
        provider = docker.Provider("there", ssh_opts=["-v"])
        docker.Volume("volume", opts=pulumi.ResourceOptions(provider=provider))
    """)
    assert "does not serve the provider setting sshOpts" in stack.preview().failed().text
