"""What a step of the verification is, and how its outcome is told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from docker.errors import DockerException

from engine.image_family.probe import Prober
from engine.paths import CHECKOUT


class StepFailedError(Exception):
    """What a step found wrong, and the fix."""

    def __init__(self, found: str, fix: str) -> None:
        """Both are whole sentences."""
        super().__init__(found)
        self.found = found
        self.fix = fix


class NotApplicableError(Exception):
    """The step asks for what this image is not meant to have; the message says why."""


@dataclass(frozen=True)
class Subject:
    """What is verified."""

    prober: Prober
    docker_version: str
    checkout: Path = CHECKOUT
    pushed: Callable[[], str] | None = None
    """Where it goes, once all else holds; gives the digest that the registry has. None: it is not pushed."""


@dataclass(frozen=True)
class Step:
    """One step of a list. `check` returns in a few words what it found."""

    number: str
    name: str
    check: Callable[[Subject], str]


@dataclass(frozen=True)
class Result:
    """The outcome of a step."""

    number: str
    name: str
    outcome: str
    """passed, failed, or not applicable."""
    found: str
    fix: str = ""

    @property
    def failed(self) -> bool:
        """Whether the image must not be used."""
        return self.outcome == "failed"


def run(steps: Iterable[Step], subject: Subject, going_on: Callable[[], None] = lambda: None) -> list[Result]:
    """Take every step, also after one that failed; `going_on` is called before each and may raise."""
    results: list[Result] = []
    for step in steps:
        going_on()
        try:
            results.append(Result(step.number, step.name, "passed", step.check(subject)))
        except NotApplicableError as reason:
            results.append(Result(step.number, step.name, "not applicable", str(reason)))
        except StepFailedError as error:
            results.append(Result(step.number, step.name, "failed", error.found, error.fix))
        except (DockerException, OSError) as error:
            fix = "Check that Docker runs and has memory and disk left (docker info), and run the command again."
            results.append(Result(step.number, step.name, "failed", f"Docker: {error}", fix))
    return results
