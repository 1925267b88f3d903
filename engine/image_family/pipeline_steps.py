"""The twelve steps of the build and validation pipeline (requirement G3), for every image of the family.

Each is a function of its own that says what it found, or raises: StepFailedError with the fix, NotApplicableError with
the reason.
"""

import threading
import time

from docker.models.containers import Container

from engine.image_family.agent_steps import tool_answers
from engine.image_family.probe import SECONDS, WANTED_BYTES
from engine.image_family.steps import NotApplicableError, Step, StepFailedError, Subject

_DOCUMENTED_TOOLS = ("node", "claude", "git")  # those have steps of their own


def docker_is_there(subject: Subject) -> str:
    """G3.1: the daemon answers, and its version is known."""
    if not subject.prober.client.ping():
        raise StepFailedError("Docker does not answer.", "Start it: `make up` as root does.")
    return f"Docker {subject.docker_version}"


def the_dockerfile_is_there(subject: Subject) -> str:
    """G3.2: the image has a Dockerfile in this checkout."""
    image = subject.prober.image
    if not (subject.checkout / image.file).is_file():
        raise StepFailedError(f"There is no {image.file}.", "Restore it from git, or correct images.toml.")
    return image.file + (f", target {image.target}" if image.target else "")


def buildkit_built_it(subject: Subject) -> str:
    """G3.3: the image's own history says that BuildKit made it, so secrets of the build were mounts and no layers."""
    history = subject.prober.client.images.get(subject.prober.image_id).history()
    steps = sum("buildkit" in str(each.get("Comment", "")) for each in history)
    if not steps:
        raise StepFailedError("Nothing in its history was made by BuildKit.", "Build it by `make images`.")
    return f"{steps} steps by BuildKit"


def the_metadata_is_right(subject: Subject) -> str:
    """G3.4: user and entrypoint stand in the image, and it is for a platform that it is meant for."""
    image = subject.prober.image
    attributes = subject.prober.client.images.get(subject.prober.image_id).attrs
    config = attributes["Config"]
    user = str(config.get("User") or "root")
    if user.partition(":")[0] != str(image.uid):
        raise StepFailedError(f"Its user is {user}, not {image.uid}.", f"Say USER {image.uid} last.")
    if not config.get("Entrypoint") and not config.get("Cmd"):
        raise StepFailedError("It has neither an entrypoint nor a command.", "Give it an ENTRYPOINT.")
    platform = f"{attributes['Os']}/{attributes['Architecture']}"
    if platform not in image.platforms:
        raise StepFailedError(f"It is for {platform}, not {', '.join(image.platforms)}.", "Correct images.toml.")
    return f"user {user}, {platform}"


def the_tool_answers(subject: Subject) -> str:
    """G3.5: every program that the image is for answers."""
    names = [name for name in subject.prober.image.tools if name not in _DOCUMENTED_TOOLS]
    if not names:
        raise NotApplicableError("what it is for has a step of its own")
    return "; ".join(tool_answers(subject, name) for name in names)


def it_is_not_root(subject: Subject) -> str:
    """G3.6: the process runs as the image's user, also when nobody says which, and can open no other's file."""
    answer = subject.prober.ask("identity", user="")
    uid = answer.output.split()[0] if answer.output else ""
    if uid != str(subject.prober.image.uid):
        raise StepFailedError(f"It runs as UID {uid or 'unknown'}.", f"Say USER {subject.prober.image.uid} last.")
    refused = subject.prober.ask("write", "/etc", read_only=False)
    if "written" in refused.output:
        raise StepFailedError("Its user may write to /etc.", "Give /etc back to root.")
    return f"UID {uid}, which may not write to /etc"


def workspaces_are_apart(subject: Subject) -> str:
    """G3.7: what one container writes to its workspace another does not see, and inputs can be read-only."""
    prober, place = subject.prober, subject.prober.image.workspace
    if not place:
        raise NotApplicableError(f"{prober.image.name} has no workspace")
    with prober.volume() as one, prober.volume() as other:
        written = prober.ask("write", place, volumes={one: {"bind": place, "mode": "rw"}})
        seen = prober.ask("list", place, volumes={one: {"bind": place, "mode": "ro"}})
        elsewhere = prober.ask("list", place, volumes={other: {"bind": place, "mode": "rw"}})
        refused = prober.ask("write", place, volumes={one: {"bind": place, "mode": "ro"}})
    if "written" not in written.output or ".probe" not in seen.output:
        raise StepFailedError(f"What was written to {place} is not there.", f"Give {place} to the image's user.")
    if ".probe" in elsewhere.output:
        raise StepFailedError(f"{place} of one container is seen in another.", "Mount a volume for each.")
    if "written" in refused.output:
        raise StepFailedError(f"A read-only {place} was written.", "Check the storage of this Docker.")
    return f"{place} is its own, and read-only where that is asked for"


def it_becomes_healthy(subject: Subject) -> str:
    """G3.8: with a read-only root and no capability, the image's own health check passes."""
    prober, health = subject.prober, subject.prober.image.health
    if health is None:
        raise NotApplicableError(prober.image.no_health)
    options = {"environment": health.environment, "tmpfs": {"/tmp": "", **health.tmpfs}}  # noqa: S108 - in the container
    # A health check by hand first, so as not to wait for its interval.
    test = (prober.client.images.get(prober.image_id).attrs["Config"].get("Healthcheck") or {}).get("Test", [])
    if not test or test[0] == "NONE":
        raise StepFailedError("The image has no HEALTHCHECK.", "Give it one, or say `no_health` in images.toml.")
    command = test[1:] if test[0] == "CMD" else ["sh", "-c", test[1]]
    with prober.volume() as volume:
        place = prober.image.workspace
        mounts = {volume: {"bind": place, "mode": "rw"}} if place else {}
        with prober.started(health.command or None, volumes=mounts, **options) as container:
            taken = _until_healthy(container, command)
    return f"healthy, the check took {taken * 1000:.0f} ms with Docker's own part"


def _until_healthy(container: Container, command: list[str]) -> float:
    """Ask until the check passes; what its last run took, in seconds."""
    deadline = time.monotonic() + SECONDS
    while True:
        began = time.monotonic()
        code, said = container.exec_run(command)
        if code == 0:
            return time.monotonic() - began
        container.reload()
        if container.attrs["State"]["Status"] != "running" or time.monotonic() > deadline:
            check = said.decode(errors="replace").strip() if isinstance(said, bytes) else ""
            last = container.logs(tail=5).decode(errors="replace").strip()
            raise StepFailedError(
                f"Its health check says {check or code}, and the container: {last or 'nothing'}.",
                "Correct the health check, or what the image needs for it (`health` in images.toml).",
            )
        threading.Event().wait(0.1)


def the_root_can_be_read_only(subject: Subject) -> str:
    """G3.9: with a read-only root nothing can be written but what is mounted."""
    expected = {"/": "refused", "/usr": "refused", "/tmp": "written"}  # noqa: S108 - in the container
    answer = subject.prober.ask("write", *expected)
    lines = dict(line.split()[:2] for line in answer.output.splitlines() if len(line.split()) >= 2)
    if lines != expected:
        raise StepFailedError(
            f"With a read-only root: {', '.join(f'{path} {word}' for path, word in lines.items()) or answer.output}.",
            "Leave out what mounts itself over the root (VOLUME), and keep /tmp a tmpfs.",
        )
    return "only /tmp can be written"


def variables_arrive(subject: Subject) -> str:
    """G3.10: the image's own variables are set, and one from outside arrives."""
    given = {"TIMEOUT_DEFAULT": "77", "MCP_PROXY_URL": "http://proxy.invalid:3000"}
    answer = subject.prober.ask("environment", environment=given)
    found = dict(line.split("=", 1) for line in answer.output.splitlines() if "=" in line)
    wanted = {**subject.prober.image.environment, **given}
    wrong = [
        f"{name} is {found.get(name)!r}, not {value!r}" for name, value in wanted.items() if found.get(name) != value
    ]
    if wrong:
        raise StepFailedError(f"{'; '.join(wrong)}.", "Set them by ENV, or correct `environment` in images.toml.")
    return f"{len(subject.prober.image.environment)} of its own and {len(given)} from outside"


def limits_hold(subject: Subject) -> str:
    """G3.11: a process that wants 200 MB in a container of 64 MB does not get them, nor does the next one suffer."""
    answer = subject.prober.ask("memory", mem_limit="64m", memswap_limit="64m")
    # What was had counts, not how it ended: a shell outlives what was killed in it, and not every host tells Docker.
    if WANTED_BYTES in answer.output:
        raise StepFailedError(
            "200 MB were had in a container of 64 MB.", "Check that this Docker enforces memory limits (docker info)."
        )
    return "200 MB are refused in a container of 64 MB"


def the_registry_has_it(subject: Subject) -> str:
    """G3.12: where it is to be pushed, the registry has the very digest that was verified."""
    if subject.pushed is None:
        raise NotApplicableError("PUSH=1 was not given")
    return subject.pushed()


STEPS = (
    Step("G3.1", "Docker is there", docker_is_there),
    Step("G3.2", "the Dockerfile is there", the_dockerfile_is_there),
    Step("G3.3", "BuildKit built it", buildkit_built_it),
    Step("G3.4", "the metadata is right", the_metadata_is_right),
    Step("G3.5", "the tool answers", the_tool_answers),
    Step("G3.6", "it is not root", it_is_not_root),
    Step("G3.7", "workspaces are apart", workspaces_are_apart),
    Step("G3.8", "it becomes healthy", it_becomes_healthy),
    Step("G3.9", "the root can be read-only", the_root_can_be_read_only),
    Step("G3.10", "variables arrive", variables_arrive),
    Step("G3.11", "limits hold", limits_hold),
    Step("G3.12", "the registry has it", the_registry_has_it),
)
