"""What `make test` does before the tests: makes ready what they need, as far as this machine allows."""

import os

from engine import docker_daemon, plugins, versions
from engine.cluster import conflicts
from engine.commands.cluster import ready
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.images import ensure_base_image
from engine.report import say


def prepare(session: Session) -> None:
    """Have Docker, the base image, the engine with its plugins, and what the one-node cluster is started from.

    Without Docker or a node the tests that need it are skipped with the reason, except under CI, where that is a
    failure of what the machine could have.
    """
    session.engine("stand-ins", versions.PROVIDERS)
    plugins.provide(session.paths, "fleet", say)
    try:
        docker_daemon.ensure_daemon(say, session.paths)
        ensure_base_image(say)
    except UserFacingError as error:
        if os.environ.get("CI"):
            raise
        say(f"Tests that need Docker will be skipped: {error.message} {error.remedy}")
    try:
        ready(session)
    except UserFacingError as error:
        if os.environ.get("CI") and conflicts.possible():
            raise
        say(f"Tests that need a Kubernetes node will be skipped: {error.message} {error.remedy}")
