"""What every place in an AWS account needs: credentials, and the provider that really makes things there."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import plugins, versions
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.images import ensure_base_image
from engine.plugins import Choice
from engine.pulumi_cli import PulumiCli
from engine.report import say
from engine.stack_state import StackState
from engine.targets.existing_cluster import builds_images
from engine.targets.target import Place, Purpose

LOG_IN = (
    "Give them as the AWS tools take them (AWS_PROFILE, AWS_ACCESS_KEY_ID, `aws sso login`). `make preview` needs none."
)


def require_credentials() -> None:
    """Raise UserFacingError where this machine has none."""
    if not plugins.aws_credentials_given(os.environ):
        raise UserFacingError("There are no AWS credentials on this machine; nothing was changed.", LOG_IN)


def require_provider(session: Session) -> None:
    """Raise UserFacingError where there is only the stand-in, which makes nothing in AWS."""
    chosen = plugins.provide(session.paths, "fleet", say, versions.PROVIDERS)
    if chosen["aws"] is not Choice.OFFICIAL:
        raise UserFacingError(
            "Pulumi's official aws provider cannot be had on this machine, and the stand-in makes nothing in AWS.",
            f"Run this where {plugins.DOWNLOADS} answers. `make preview` works without it.",
        )


def aws_engine(session: Session, purpose: Purpose, state: Path | None = None, **environment: str) -> PulumiCli:
    """Without credentials stand-ins preview; with them the official plugins do everything."""
    offline = purpose == "preview" and not plugins.aws_credentials_given(os.environ)
    kind: plugins.Plugins = "stand-ins" if offline else "fleet"
    return session.engine(kind, versions.PROVIDERS, state=state, **environment)


class AwsTarget:
    """What `target.Target` asks of every place in an account, whatever is made there."""

    ready_seconds = 900.0  # hosts start, install what they need and pull images

    def __init__(self, session: Session, settings: Mapping[str, Any]) -> None:
        """`settings` are the stack's, unchecked. Nothing is asked yet."""
        self._session = session
        self._settings = settings

    def occupy(self) -> None:
        """Nothing: the state holds the place itself."""

    def absent(self) -> str:
        """Said of a stack that was never deployed."""
        return f"{self._session.fleet} is not up. `make up STACK={self._session.stack}` deploys it."

    def forsake(self, state: StackState) -> str:
        """A stack in AWS is never forgotten: what it made would go on costing money."""
        raise UserFacingError(
            f"{self._session.fleet} has {len(state.resources())} resources in AWS, which are not given up.", LOG_IN
        )

    def prepare_images(self, place: Place) -> None:
        """The base of the images, where they are built."""
        del place
        if builds_images(self._settings):
            ensure_base_image(say)
