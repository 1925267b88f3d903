"""`make up`: from whatever is there to a running fleet and the result of a first job."""

import json
import os
from pathlib import Path

import docker

from engine import configuration, convergence, docker_daemon, first_job, port_check
from engine.commands.session import Session
from engine.convergence import FleetObjects
from engine.errors import UserFacingError
from engine.images import ensure_base_image
from engine.pulumi_cli import PulumiCli
from engine.report import private_file, say

_FIRST_BYTES = 5 * 1024**3  # the base, three images and the layers of their builds
_LATER_BYTES = 1024**3
_READY_SECONDS = 120.0


def up(session: Session, settings_file: Path | None) -> None:
    """Deploy the stack and prove that it works."""
    source = configuration.source(session.paths, session.stack, settings_file)
    settings = configuration.fleet_settings(source)
    configuration.check(session.paths, session.stack, source)
    with session.alone():
        client = docker_daemon.ensure_daemon(say, session.paths)
        _check_before(session, client, settings)
        ensure_base_image(say)
        cli = session.engine()
        configuration.copy(session.paths, session.stack, settings_file)
        refresh = _converge(session, cli, client)
        say(f"Deploying the stack {session.stack}.")
        show = session.operate(cli, "up", "--yes", "--skip-preview", *(["--refresh"] if refresh else []))
        say(f"  {show.summary()}")
        url, key = _outputs(cli)
        first_job.wait_until_ready(url, _READY_SECONDS, lambda reasons: say(f"  waiting until it is ready: {reasons}"))
        endpoint = session.paths.endpoint(session.stack)
        private_file(endpoint, json.dumps({"url": url, "api_key": key}, indent=2) + "\n")
        result = first_job.run(url, key, session.state.named("-api-key-id", "-api-key"))
    _farewell(session, url, endpoint, result, changed=show.changed())


def _check_before(session: Session, client: docker.DockerClient, settings: object) -> None:
    """All that would make the deployment fail half-way, asked before anything is changed."""
    convergence.refuse_foreign_fleet(FleetObjects(client, session.fleet), session.state, session.fleet)
    if isinstance(settings, dict) and (wanted := port_check.wanted(settings)) is not None:
        port_check.check(*wanted, session.fleet, client)
    root = Path(client.info().get("DockerRootDir") or "/nowhere")
    built = client.images.list(name="agent-fleet/runtime")
    docker_daemon.check_space(root, _LATER_BYTES if built else _FIRST_BYTES)


def _converge(session: Session, cli: PulumiCli, client: docker.DockerClient) -> bool:
    """Put right what an earlier run left. Return whether the state has to be refreshed from Docker."""
    state = session.state
    convergence.end_abandoned_engine(session.paths.engine_process(session.stack), say)
    session.initialise(cli)
    dirty = convergence.mend_checkpoint(state, say)
    dirty = convergence.clear_locks(cli, state, say) or dirty
    dirty = convergence.clear_pending(cli, state, say) or dirty
    objects = FleetObjects(client, session.fleet)
    convergence.remove_orphans(objects, state, say)
    return dirty or convergence.drifted(objects, state)


def _outputs(cli: PulumiCli) -> tuple[str, str]:
    outputs = json.loads(cli.checked("stack", "output", "--json", "--show-secrets"))
    try:
        return str(outputs["url"]).rstrip("/"), str(outputs["api_key"])
    except KeyError as error:
        raise UserFacingError(
            f"The stack has no output {error}: it is not a fleet with an API.",
            "`make up` deploys stacks with `architecture: vm` and `target: docker`.",
        ) from error


def _farewell(session: Session, url: str, endpoint: Path, result: dict[str, object], *, changed: int) -> None:
    file = os.path.relpath(endpoint)
    deployed = f"{changed} resources changed" if changed else "nothing changed"
    start, run = result.get("start_ms"), result.get("run_ms")
    say("")
    say(f"{session.fleet} is up at {url} ({deployed}; {session.seconds():.0f} s).")
    say(f"Its first job, {first_job.CODE}, succeeded: start {start} ms, run {run} ms. It said:")
    say("  " + str(result.get("stdout", "")).rstrip().replace("\n", "\n  "))
    say("")
    say(f"Run one yourself; the key is in {file}, readable by you only:")
    key = f"""$(python3 -c 'import json; print(json.load(open("{file}"))["api_key"])')"""
    say(
        f"  curl -s {url}/execute -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\\n"
        f"""    -H "Authorization: Bearer {key}" \\\n"""
        """    -d '{"language": "python", "code": "print(6 * 7)"}'"""
    )
    say("")
    say(
        "Next: make status, make logs, make shell; make down removes it all. README.md and docs/api.md go on from here."
    )
