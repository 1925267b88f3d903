"""What a preview, a look for drift and an update ask of the state's bucket and key, against what CI's roles may do."""

import fnmatch
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aws_account import Account
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from test_aws_moto_state import BUCKET, Checkout, aws, checkout

from engine.commands.state import bootstrap

__all__ = ["aws", "checkout"]  # fixtures, which pytest finds by their names

_ROLES = Path(__file__).parents[2] / "ci" / "aws"
_EXAMPLE = "agent-fleet-state-123456789012-eu-west-1"
_KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

Ask = tuple[str, str]
"""An action of IAM and the resource that it is about, named as in the documents of ci/aws."""


def _statements(*names: str) -> list[dict[str, Any]]:
    return [each for name in names for each in json.loads((_ROLES / f"{name}.json").read_text())["Statement"]]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _allowed(asked: Ask, statements: list[dict[str, Any]]) -> bool:
    return any(
        each["Effect"] == "Allow"
        and any(fnmatch.fnmatchcase(asked[0], action) for action in _listed(each["Action"]))
        and any(fnmatch.fnmatchcase(asked[1], resource) for resource in _listed(each["Resource"]))
        for each in statements
    )


def _ask(environ: dict[str, Any]) -> Ask | None:
    """The action behind a request, by AWS's table of what S3's operations need; None for other services."""
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target.startswith("TrentService."):
        return f"kms:{target.partition('.')[2]}", _KEY
    bucket, _, key = str(environ["PATH_INFO"]).removeprefix("/").partition("/")
    if bucket != BUCKET:
        return None
    if not key:
        location = "location" in parse_qs(str(environ["QUERY_STRING"]), keep_blank_values=True)
        return "s3:GetBucketLocation" if location else "s3:ListBucket", f"arn:aws:s3:::{_EXAMPLE}"
    actions = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
    return actions[environ["REQUEST_METHOD"]], f"arn:aws:s3:::{_EXAMPLE}/{key}"


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_each_role_may_do_to_the_state_what_its_commands_ask_and_a_preview_writes_nothing(
    checkout: Checkout, aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right too few stops the first run in CI; one too many lets any branch's preview write the state of prod."""
    assert checkout.run("up", "--yes", "--skip-preview").succeeded()
    bootstrap(checkout, None, BUCKET)
    asks: list[Ask] = []
    served = DomainDispatcherApplication.__call__

    def recorded(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        if (found := _ask(environ)) is not None:
            asks.append(found)
        return served(self, environ, start_response)

    monkeypatch.setattr(DomainDispatcherApplication, "__call__", recorded)

    def asked_by(*command: str) -> set[Ask]:
        asks.clear()
        # As every command begins: what the stack is now, which this project reads for itself.
        assert checkout.state.exists()
        assert checkout.state.resources()
        checkout.run(*command).succeeded()
        return set(asks)

    reading, deploying = _statements("rights-read"), _statements("rights-read", "rights-deploy")
    preview = asked_by("preview")
    assert {each for each in preview if not _allowed(each, reading)} == set()
    assert {action for action, _ in preview} == {"s3:ListBucket", "s3:GetObject", "kms:Decrypt"}
    drift = asked_by("refresh", "--preview-only")
    assert {each for each in drift if not _allowed(each, reading)} == set()
    written = {resource for action, resource in drift if action in ("s3:PutObject", "s3:DeleteObject")}
    assert written
    assert all("/.pulumi/locks/" in each for each in written)
    update = asked_by("up", "--yes", "--skip-preview")
    assert {each for each in update if not _allowed(each, deploying)} == set()
    state = next(each for each in update if each[0] == "s3:PutObject" and "/.pulumi/stacks/" in each[1])
    assert not _allowed(state, reading)
