"""Moves a stack from the state beside the project into the bucket, its secrets from the passphrase to the key."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine import configuration
from engine.errors import UserFacingError
from engine.paths import Paths
from engine.pulumi_cli import PulumiCli
from engine.report import Report, private_file
from engine.stack_state import StackState
from engine.state_backend.location import StateLocation
from engine.state_backend.remote_state import RemoteState

_BY_A_KEY = "cloud"


def at(cli: PulumiCli, location: StateLocation) -> PulumiCli:
    """The same engine with its state in the bucket."""
    return PulumiCli(cli.paths, cli.stack, cli.environment | {"PULUMI_BACKEND_URL": location.backend_url})


def mirror(paths: Paths, stack: str, location: StateLocation) -> RemoteState:
    """The stack as the bucket has it now."""
    return RemoteState(location, stack, paths.fleet / "remote-state" / stack)


def move(cli: PulumiCli, local: StackState, location: StateLocation, report: Report) -> None:
    """Have the stack in the bucket. What was moved before, or never deployed, is only entered.

    The plain text of secrets passes through this process's memory, and no file.
    """
    paths, stack, there = cli.paths, cli.stack, at(cli, location)
    remote = mirror(paths, stack, location)
    if local.exists() and local.locks():
        raise UserFacingError(
            f"The stack {stack} is locked: something changes it, or was killed while it did.",
            f"Let it end, or see `make state-unlock STACK={stack}`; then run the command again.",
        )
    if local.exists() and remote.resources():
        _refuse_two_states(stack, local, remote, location)
    exported = cli.checked("stack", "export", "--show-secrets") if local.exists() else ""
    if not remote.exists():
        # What the passphrase sealed would be taken for the key's.
        paths.configuration(stack).unlink(missing_ok=True)
        configuration.project(paths)
        there.checked("stack", "init", "--no-select", "--secrets-provider", location.secrets_provider)
        report(f"Entered the stack {stack} in {location.bucket}, its secrets under {location.alias}.")
    if not exported:
        return
    before = _resources(exported)
    if not remote.resources() and before:
        seal = configuration.seal(paths.configuration(stack))
        if "encryptedkey" not in seal:
            # Entered by a run that was cut off, or by another checkout.
            there.checked("stack", "change-secrets-provider", location.secrets_provider)
            seal = configuration.seal(paths.configuration(stack))
        there.checked("stack", "import", given=_resealed(exported, seal))
    arrived = there.checked("stack", "export")
    after, sealed = _resources(arrived), json.loads(arrived)["deployment"].get("secrets_providers") or {}
    if before and sealed.get("type") != _BY_A_KEY:
        raise UserFacingError(
            f"The secrets of the stack {stack} in {location.bucket} are not under {location.alias}.",
            "Nothing was removed here. Run the command again.",
        )
    if after != before:
        raise UserFacingError(
            f"The bucket's copy of the stack {stack} has {len(after)} resources, and the state here {len(before)}.",
            "Nothing was removed here. Run the command again; docs/state.md says how to look at both.",
        )
    kept = paths.fleet / "moved-state" / f"{stack}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    private_file(kept, cli.checked("stack", "export"))
    passphrase = kept.with_suffix(".passphrase")
    private_file(passphrase, paths.passphrase.read_text())
    cli.checked("stack", "rm", "--yes", "--force", "--preserve-config")
    report(f"Moved {len(before)} resources of the stack {stack}; the state that it had here is kept as {kept}.")


def _refuse_two_states(stack: str, local: StackState, remote: StackState, location: StateLocation) -> None:
    here = {str(resource["urn"]) for resource in local.resources()}
    there = {str(resource["urn"]) for resource in remote.resources()}
    if here - there:
        raise UserFacingError(
            f"The stack {stack} has a state here ({len(here)} resources) and another one in {location.bucket} "
            f"({len(there)}); {len(here - there)} resources are only in the one here.",
            "Nothing was changed. Decide which one is right (docs/state.md, Two states), and remove the other.",
        )


def _resealed(exported: str, seal: Mapping[str, str]) -> str:
    """The export under the key that the new stack was entered with, instead of the passphrase."""
    document: Any = json.loads(exported)
    state = {"url": seal["secretsprovider"], "encryptedkey": seal["encryptedkey"]}
    document["deployment"]["secrets_providers"] = {"type": _BY_A_KEY, "state": state}
    return json.dumps(document)


def _resources(exported: str) -> list[str]:
    document: Any = json.loads(exported)
    deployment = document.get("deployment") or {}
    return sorted(str(resource["urn"]) for resource in deployment.get("resources") or [])
