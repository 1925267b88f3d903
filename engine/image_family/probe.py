"""Runs small questions inside an image, under the fleet's posture, in whatever interpreter the image has."""

import contextlib
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from docker import DockerClient
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from engine.image_family.matrix import Image

WANTED_BYTES = "200000000"
"""What a process asks for to see whether its container has less."""
SECONDS = 60
"""How long a container of the verification may run."""

POSTURE: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 200,
    "mem_limit": "512m",
    "network_mode": "none",
    "tmpfs": {"/tmp": ""},  # noqa: S108 - in the container
}

_QUESTIONS = {
    "identity": (
        "import os, pwd; u = os.getuid(); print(u, os.getgid(), pwd.getpwuid(u).pw_name)",
        'echo "$(id -u) $(id -g) $(id -un)"',
    ),
    "environment": (
        "import os; print('\\n'.join(f'{n}={v}' for n, v in sorted(os.environ.items())))",
        "env",
    ),
    "write": (
        "import os, sys\nfor path in sys.argv[1:]:\n"
        " try: os.close(os.open(path + '/.probe', os.O_CREAT | os.O_WRONLY)); print(path, 'written')\n"
        " except OSError as error: print(path, 'refused', error.strerror)",
        'for path in "$@"; do if ( : > "$path/.probe" ) 2>/dev/null; then echo "$path written"; '
        'else echo "$path refused"; fi; done',
    ),
    "list": (
        "import os, sys; print(' '.join(sorted(os.listdir(sys.argv[1]))))",
        'ls -A "$1" | tr "\\n" " "',
    ),
    "memory": (
        f"kept = b'x' * {WANTED_BYTES}; print('had', len(kept))",
        f"head -c {WANTED_BYTES} /dev/zero | tail -c {WANTED_BYTES} | wc -c",
    ),
}


@dataclass(frozen=True)
class Answer:
    """How a container ended."""

    code: int
    output: str


class Prober:
    """Starts containers of one image, and always removes them."""

    def __init__(self, client: DockerClient, image: Image, image_id: str) -> None:
        """`image_id` is the image by its content, never a tag that could move meanwhile."""
        self.client = client
        self.image = image
        self.image_id = image_id
        self.prefix = f"agent-fleet-verify-{uuid.uuid4().hex[:12]}"
        """Of the names of everything that is made here."""

    def ask(self, question: str, *arguments: str, **options: Any) -> Answer:
        """Ask one of `_QUESTIONS` in the image's interpreter."""
        python, shell = _QUESTIONS[question]
        words = self.image.probe[1:]
        if self.image.speaks_python:
            return self.run([self.image.probe[0], *words, "-c", python, *arguments], **options)
        return self.run([self.image.probe[0], *words, "-c", shell, "probe", *arguments], **options)

    def run(self, command: list[str], **options: Any) -> Answer:
        """Run a command in place of the entrypoint, to its end."""
        with self.started(command[1:], entrypoint=[command[0]], **options) as container:
            code = int(container.wait(timeout=SECONDS)["StatusCode"])
            return Answer(code, container.logs().decode(errors="replace").strip())

    @contextmanager
    def started(self, command: list[str] | None, **options: Any) -> Generator[Container]:
        """A container that runs; it is removed with its anonymous volumes however this ends."""
        name = f"{self.prefix}-{uuid.uuid4().hex[:6]}"
        container = self.client.containers.create(self.image_id, command, name=name, **{**POSTURE, **options})
        try:
            container.start()
            yield container
        finally:
            with contextlib.suppress(DockerException):
                container.remove(force=True, v=True)

    @contextmanager
    def volume(self) -> Generator[str]:
        """A named volume, empty but for the owner that the image's own folder gives it."""
        name = f"{self.prefix}-{uuid.uuid4().hex[:6]}"
        self.client.volumes.create(name)
        try:
            yield name
        finally:
            with contextlib.suppress(NotFound):
                self.client.volumes.get(name).remove(force=True)
