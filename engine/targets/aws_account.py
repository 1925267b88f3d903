"""What every place in an AWS account needs: credentials, and the provider that really makes things there."""

import os
from pathlib import Path

from engine import plugins, versions
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.plugins import Choice
from engine.pulumi_cli import PulumiCli
from engine.report import say
from engine.targets.target import Purpose

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
