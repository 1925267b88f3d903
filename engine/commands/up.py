"""`make up`: from whatever is there to a running fleet and the result of a first job."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import configuration, convergence, docker_daemon, first_job
from engine.bundle.install import open_bundle
from engine.commands.session import Session
from engine.cost.estimate import estimate
from engine.cost.planned import Plan
from engine.cost.statement import brief
from engine.errors import UserFacingError
from engine.preview import update_plan
from engine.pulumi_cli import PulumiCli
from engine.report import private_file, say
from engine.targets import choice
from engine.targets.target import Entrance, Place

_EXAMPLE = "examples/jobs/what_a_job_sees.py"


def up(session: Session, settings_file: Path | None, bundle: Path | None = None, held_to: Path | None = None) -> None:
    """Deploy the stack and prove that it works. With a bundle nothing comes from a network.

    `held_to` is an update plan of a preview: what it does not say is not done.
    """
    source = configuration.source(session.paths, session.stack, settings_file)
    opened = None
    if bundle is not None:
        opened = open_bundle(bundle, say)
        source = settings_file = opened.settings(session.paths, session.stack, source)
    settings = configuration.fleet_settings(source)
    configuration.check(session.paths, session.stack, source)
    if held_to is not None:
        update_plan.refuse_builds(settings)
        update_plan.check(held_to, session.stack, source)
    target = choice.of_settings(session, settings)
    with session.alone():
        place = target.reach()
        place.refuse_foreign_fleet(session.state)
        place.check_before(settings)
        if opened is None:
            target.prepare_images(place)
        else:
            opened.install_programs(session.paths, say)
            if settings.get("architecture") != "cluster":
                opened.load_images(docker_daemon.connect(600), say)
        cli = target.engine("up")
        if held_to is not None:
            update_plan.check_engine(held_to, cli)
        target.occupy()
        configuration.copy(session.paths, session.stack, settings_file)
        refresh = _converge(session, cli, place)
        say(f"Deploying the stack {session.stack}.")
        protected = any(each.get("protect") for each in session.state.resources())
        arguments = update_plan.arguments(held_to, refresh=refresh, protected=protected)
        plan = Plan()
        show = session.operate(cli, "up", *arguments, troubles=place.troubles, listener=plan.event)
        say(f"  {show.summary()}")
        say(f"  {brief(estimate(plan))}")
        outputs = json.loads(cli.checked("stack", "output", "--json", "--show-secrets"))
        if "url" not in outputs and (repositories := outputs.get("registry_urls")):
            say(f"The repositories are there, and no fleet yet: {', '.join(sorted(repositories.values()))}.")
            say("Push the images, write their digests into the settings, and remove fleet.queue.registry.only.")
            return
        keys = _keys(outputs)
        with place.entrance(outputs) as entrance:
            first_job.wait_until_ready(
                entrance.url,
                target.ready_seconds,
                lambda reasons: say(f"  waiting until it is ready: {reasons}"),
                place.troubles,
            )
            _keep(session, entrance, keys)
            team, key = next(iter(keys.items()))
            result = first_job.run(entrance.url, key, session.state.named("-api-key-id", "-api-key"))
    _farewell(session, entrance, team, result, changed=show.changed())


def _converge(session: Session, cli: PulumiCli, place: Place) -> bool:
    """Put right what an earlier run left. Return whether the state has to be refreshed from the place."""
    state = session.state
    convergence.end_abandoned_engine(session.paths.engine_process(session.stack), say)
    # First: with such a file the engine cannot even say which stacks there are.
    dirty = convergence.mend_attributes(state, say)
    session.initialise(cli)
    dirty = convergence.mend_checkpoint(state, say) or dirty
    dirty = convergence.clear_locks(cli, state, say) or dirty
    dirty = convergence.clear_pending(cli, state, say) or dirty
    place.remove_orphans(state)
    return dirty or place.drifted(state)


def _keys(outputs: Mapping[str, Any]) -> dict[str, str]:
    """The API keys by team; one without a team's name where the fleet has one key for all."""
    if isinstance(keys := outputs.get("api_keys"), dict) and keys:
        return {str(team): str(key) for team, key in keys.items()}
    if key := outputs.get("api_key"):
        return {"": str(key)}
    raise UserFacingError(
        "The stack has no output 'api_key' or 'api_keys': it is not a fleet with an API.",
        "`make up` deploys fleets as architectures/ composes them.",
    )


def _keep(session: Session, entrance: Entrance, keys: Mapping[str, str]) -> None:
    """Write down how the fleet is reached, readable by this user only."""
    url = entrance.reopened or entrance.url
    secret = {"api_key": keys[""]} if "" in keys else {"api_keys": dict(keys)}
    opening = {"opening": entrance.opening} if entrance.opening else {}
    content = {"url": url, **opening, **secret}
    private_file(session.paths.endpoint(session.stack), json.dumps(content, indent=2) + "\n")


def _farewell(session: Session, entrance: Entrance, team: str, result: Mapping[str, Any], *, changed: int) -> None:
    file = os.path.relpath(session.paths.endpoint(session.stack))
    url = entrance.reopened or entrance.url
    deployed = f"{changed} resources changed" if changed else "nothing changed"
    start, run = result.get("start_ms"), result.get("run_ms")
    where = "inside the cluster" if entrance.opening else f"at {url}"
    say("")
    say(f"{session.fleet} is up {where} ({deployed}; {session.seconds():.0f} s).")
    say(f"Its first job, {first_job.CODE}, succeeded: start {start} ms, run {run} ms. It said:")
    say("  " + str(result.get("stdout", "")).rstrip().replace("\n", "\n  "))
    say("")
    if entrance.opening:
        say("It has no address outside the cluster. This opens one on this machine, as long as it runs:")
        say(f"  {entrance.opening}")
        say("")
    whose = f"the keys of all teams are in {file}" if team else f"the key is in {file}"
    say(f"Run one yourself; {whose}, readable by you only:")
    which = "" if session.stack == "local" else f" --deployment {file}"
    say(f"  .venv/bin/fleet run{which}{f' --team {team}' if team else ''} {_EXAMPLE}")
    say("")
    commands = (f"make {name}{session.argument}" for name in ("status", "logs", "shell"))
    say(
        f"Next: {', '.join(commands)}; make down{session.argument} removes it all. README.md and docs/api.md go on "
        "from here."
    )
