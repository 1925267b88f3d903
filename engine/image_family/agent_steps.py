"""The eight steps by which an agent's image is accepted (requirement A8), for every image of the family.

Each is a function of its own that says what it found, or raises: StepFailedError with the fix, NotApplicableError with
the reason.
"""

import re

from docker.errors import ImageNotFound, NotFound
from docker.models.containers import Container

from engine.image_family.probe import SECONDS, Prober
from engine.image_family.steps import NotApplicableError, Step, StepFailedError, Subject


def the_image_is_built(subject: Subject) -> str:
    """A8.1: the image is in Docker, with layers and for Linux."""
    prober = subject.prober
    try:
        found = prober.client.images.get(prober.image_id).attrs
    except ImageNotFound:
        raise StepFailedError(f"Docker has no image {prober.image_id}.", "Build it: `make images`.") from None
    return f"{found['Os']}/{found['Architecture']}, {len(found['RootFS']['Layers'])} layers"


def a_container_runs(subject: Subject) -> str:
    """A8.2: a shell starts in it, or, where there is to be none, there really is none."""
    prober = subject.prober
    if prober.image.shell:
        answer = prober.run(["sh", "-c", "echo started"])
        if answer.code != 0 or answer.output != "started":
            raise StepFailedError(
                f"A shell in it ended with {answer.code}: {answer.output or 'no output'}.",
                "Keep a shell in the image, or say `shell = false` in images.toml.",
            )
        return "a shell starts"
    found = shells(prober)
    if found:
        raise StepFailedError(
            f"It is to have no shell, and has {', '.join(found)}.", "Leave the shell out of the last stage."
        )
    answer = prober.ask("identity")
    if answer.code != 0:
        raise StepFailedError(
            f"{prober.image.probe[0]} ended with {answer.code}: {answer.output}.", "Correct `probe` in images.toml."
        )
    return f"{prober.image.probe[0]} starts, and there is no shell"


def shells(prober: Prober) -> list[str]:
    """The shells that are in the image."""
    container = prober.client.containers.create(prober.image_id, ["none"])
    try:
        paths = [f"/{folder}/{name}" for folder in ("bin", "usr/bin") for name in ("sh", "bash", "dash", "busybox")]
        return [path for path in paths if _has(container, path)]
    finally:
        container.remove(force=True, v=True)


def _has(container: Container, path: str) -> bool:
    try:
        container.get_archive(path)
    except NotFound:
        return False
    return True


def node_answers(subject: Subject) -> str:
    """A8.3: `node --version`."""
    return tool_answers(subject, "node")


def the_cli_answers(subject: Subject) -> str:
    """A8.4: `claude --version`."""
    return tool_answers(subject, "claude")


def git_answers(subject: Subject) -> str:
    """A8.5: `git --version`."""
    return tool_answers(subject, "git")


def tool_answers(subject: Subject, name: str) -> str:
    """Run the tool of this name as images.toml says, and hold its answer against what is expected."""
    prober = subject.prober
    tool = prober.image.tools.get(name)
    if tool is None:
        raise NotApplicableError(f"{prober.image.name} is not meant to have {name}")
    options = {"environment": {"HOME": "/tmp"}}  # noqa: S108 - in the container, whose home is read-only here
    answer = prober.run(tool.command, mem_limit="1g", **options)
    command = " ".join(tool.command)
    if answer.code != tool.code:
        raise StepFailedError(
            f"`{command}` ended with {answer.code}, not {tool.code}: {_last(answer.output)}.",
            f"Install {name} in the stage that {prober.image.name} is built from.",
        )
    if not re.search(tool.says, answer.output):
        raise StepFailedError(
            f"`{command}` says {_last(answer.output)!r}, which does not match {tool.says!r}.",
            "Pin the version that is wanted, or correct `says` in images.toml.",
        )
    return (answer.output.splitlines() or ["it answers"])[0][:80]


def it_runs_as_its_own_user(subject: Subject) -> str:
    """A8.6: the user is the one that is expected, has a name, and is not root."""
    image = subject.prober.image
    answer = subject.prober.ask("identity")
    words = answer.output.split()
    if answer.code != 0 or len(words) != 3:
        raise StepFailedError(
            f"The user has no name in the image: {_last(answer.output)}.", "Add the user to its /etc/passwd."
        )
    if words[0] != str(image.uid) or words[0] == "0":
        raise StepFailedError(f"It runs as UID {words[0]}, not {image.uid}.", f"Say USER {image.uid} last.")
    return f"{words[2]}, {words[0]}:{words[1]}"


def the_workspace_is_there(subject: Subject) -> str:
    """A8.7: the workspace is a folder that the image's user may write to once a volume is mounted there."""
    prober = subject.prober
    place = _workspace(prober)
    with prober.volume() as volume:
        mounts = {volume: {"bind": place, "mode": "rw"}}
        answer = prober.ask("write", place, volumes=mounts)
    if "written" not in answer.output:
        raise StepFailedError(
            f"{place} cannot be written with a new volume there: {_last(answer.output)}.",
            f"Make {place} in the image, owned by {prober.image.uid}: a new volume takes its owner from there.",
        )
    return f"{place} can be written"


def _workspace(prober: Prober) -> str:
    if not prober.image.workspace:
        raise NotApplicableError(f"{prober.image.name} has no workspace")
    return prober.image.workspace


def a_container_that_ended_is_gone(subject: Subject) -> str:
    """A8.8: a container that is to be removed with its end leaves neither itself nor a volume."""
    prober = subject.prober
    before = {volume.name for volume in prober.client.volumes.list()}
    with prober.started([*prober.image.probe[1:], "-c", ""], entrypoint=[prober.image.probe[0]]) as container:
        code = int(container.wait(timeout=SECONDS)["StatusCode"])
        mounts = {mount.get("Name", "") for mount in container.attrs["Mounts"]}
        name = str(container.name)
    left = {str(each.name) for each in prober.client.containers.list(all=True, filters={"name": name})}
    kept = mounts & ({volume.name for volume in prober.client.volumes.list()} - before)
    if code != 0 or left or kept:
        raise StepFailedError(
            f"It ended with {code} and left {', '.join(sorted(left | kept)) or 'nothing'}.",
            "Remove it with its anonymous volumes: docker rm --force --volumes.",
        )
    return "it ended with 0 and left nothing"


def _last(output: str) -> str:
    return (output.strip().splitlines() or [""])[-1][:200]


STEPS = (
    Step("A8.1", "the image is built", the_image_is_built),
    Step("A8.2", "a container runs", a_container_runs),
    Step("A8.3", "node answers", node_answers),
    Step("A8.4", "the CLI answers", the_cli_answers),
    Step("A8.5", "git answers", git_answers),
    Step("A8.6", "it runs as its own user", it_runs_as_its_own_user),
    Step("A8.7", "the workspace is there", the_workspace_is_there),
    Step("A8.8", "a container that ended is gone", a_container_that_ended_is_gone),
)
