"""`fleet run`: a program of this machine, run on the fleet as if it ran here."""

import json
import sys
import time

import click

from agent_fleet_client.command import exit_codes
from agent_fleet_client.command.bounded_read import read_at_most
from agent_fleet_client.command.job_files import read_job_files
from agent_fleet_client.command.options import Caller
from agent_fleet_client.command.program_file import language_of, read_program
from agent_fleet_client.command.speech import Speech, write
from agent_fleet_client.errors import FleetError
from agent_fleet_client.fleet import Fleet, with_own_key
from agent_fleet_client.jobs import MAXIMUM_STDIN_BYTES, Job
from agent_fleet_client.live_output import OutputPart, OutputVoid
from agent_fleet_client.results import Result

_PROGRESS_SECONDS = 2.0


def make_job(
    file: str | None,
    *,
    command: str | None,
    prompt: str | None,
    workspace: str | None,
    language: str | None,
    stdin: str | None,
    files: tuple[str, ...],
    timeout: float | None,
    agent_type: str | None,
    priority: int | None,
    max_attempts: int | None,
    idempotency_key: str | None,
) -> Job:
    """Return the job that the arguments describe; raises FleetError. `prompt` is a file, or - for standard input."""
    code = "" if file is None else read_program(file)
    return with_own_key(
        Job(
            code=code,
            language=language or ("python" if file is None else language_of(file, code)),
            command=command,
            prompt=None if prompt is None else read_program(prompt),
            workspace=workspace,
            stdin=None if stdin is None else _read_stdin(stdin),
            files=read_job_files(files),
            timeout_seconds=timeout,
            priority=priority,
            max_attempts=max_attempts,
            idempotency_key=idempotency_key,
            agent_type=agent_type,
        )
    )


def run(caller: Caller, job: Job, *, detach: bool, follow: bool, as_json: bool) -> int:
    """Run a job and pass on what it says; return the exit code. Interrupted, the job is cancelled."""
    speech = caller.speech
    id_: str | None = None
    with caller.fleet() as fleet:
        try:
            speech.progress("sending the job")
            id_ = fleet.submit(job)
            if detach:
                speech.clear()
                click.echo(id_)
                return 0
            result = follow_job(fleet, id_, speech) if follow else watch(fleet, id_, speech)
        except KeyboardInterrupt:
            if detach and id_ is not None:
                raise
            _cancel(caller, job, id_)
            raise
        finally:
            speech.clear()
        return deliver(fleet, result, speech, as_json=as_json, shown=follow)


def deliver(fleet: Fleet, result: Result, speech: Speech, *, as_json: bool, shown: bool = False) -> int:
    """Write a job's output, or its whole result as JSON, and what went wrong; return the exit code.

    `shown` says that the output was written while it came.
    """
    if as_json:
        write(sys.stdout.buffer, json.dumps(result.document).encode() + b"\n")
        return exit_codes.of_result(result)
    if not shown:
        stdout, stderr = fleet.output_bytes(result)
        write(sys.stdout.buffer, stdout)
        write(sys.stderr.buffer, stderr)
    for name, truncated in (("stdout", result.stdout_truncated), ("stderr", result.stderr_truncated)):
        if truncated:
            speech.note(f"{name} was longer: its first MiB is all that is kept.")
    if result.error is not None:
        speech.note(f"the job {result.status.replace('_', ' ')} ({result.error.code}): {result.error.message}")
    elif result.status == "cancelled":
        speech.note("the job was cancelled")
    elif result.signal is not None:
        speech.note(f"the program was ended by {result.signal}")
    elif not result.ended:
        speech.note(f"the job is {result.status}: `fleet result --wait {result.id}` waits for its end")
    return exit_codes.of_result(result)


def follow_job(fleet: Fleet, id_: str, speech: Speech) -> Result:
    """Write a job's output as it comes; return its result."""
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    for event in fleet.output(id_):
        if isinstance(event, OutputPart):
            speech.clear()
            write(streams[event.stream], event.data)
        elif isinstance(event, OutputVoid):
            speech.note("the job begins anew, its host having died: what was shown so far is void")
    return fleet.wait(id_)


def watch(fleet: Fleet, id_: str, speech: Speech) -> Result:
    """Wait for a job's end, saying how it is where somebody looks on."""
    if not speech.shows_progress:
        return fleet.wait(id_)
    began = time.monotonic()
    while not (result := fleet.wait(id_, _PROGRESS_SECONDS)).ended:
        again = f", attempt {result.attempt}" if result.attempt > 1 else ""
        speech.progress(f"{id_} {result.status}{again}, {time.monotonic() - began:.0f} s (Ctrl-C cancels it)")
    return result


def _cancel(caller: Caller, job: Job, id_: str | None) -> None:
    """Cancel a job that nobody waits for any more, also one whose acceptance was not heard of."""
    try:
        with caller.hurried_fleet() as fleet:
            if id_ is None:
                id_ = fleet.submit(job)
            caller.speech.note(f"{id_}: {fleet.cancel(id_).replace('_', ' ')}")
    except FleetError as error:
        which = "The job, if it was accepted," if id_ is None else f"The job {id_}"
        rest = "." if id_ is None else f"; `fleet cancel {id_}` ends it."
        caller.speech.fail(f"{error} {which} may go on{rest}")


def _read_stdin(source: str) -> bytes:
    refusal = f"is more than {MAXIMUM_STDIN_BYTES} bytes, which is the limit; send more with --file"
    return read_at_most(source, MAXIMUM_STDIN_BYTES, field="stdin", refusal=refusal, option="--stdin")
