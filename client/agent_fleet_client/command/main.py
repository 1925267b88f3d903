"""The command `fleet`."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, Never

import click

from agent_fleet_client.command import exit_codes
from agent_fleet_client.command import run as running
from agent_fleet_client.command.listing import show_jobs, show_usage
from agent_fleet_client.command.options import Caller, caller
from agent_fleet_client.command.speech import Speech, silence_output
from agent_fleet_client.errors import AnswerError, FleetError, RefusedError, UnreachableError

_STATUSES = ("queued", "running", "succeeded", "failed", "timed_out", "cancelled", "lost")
_LISTED = 20


class _Ended(KeyboardInterrupt):
    """Asked to end by another signal than Ctrl-C's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The fleet and the key: FLEET_URL and FLEET_KEY, or the file that `make up` writes (.fleet/local.json). "
    "Exit codes: a program's own, 128 and more for a signal, 120 to 127 for what the command itself has to say.",
)
@click.version_option(package_name="agent-fleet-client")
def cli() -> None:
    """Runs programs on an agent-fleet, in sandboxes."""


@cli.command()
@click.argument("file", required=False)
@click.option("-l", "--language", help="python, bash or node; by the file's suffix or its first line if not given.")
@click.option("--stdin", metavar="FILE|-", help="The program's standard input; it has none if not given.")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="PATH[=TARGET]",
    help="A file or folder laid into the program's working directory; several times for several.",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="Wall-clock time that the program may take.")
@click.option(
    "--agent",
    "--agent-type",
    "agent_type",
    metavar="TYPE",
    help="The agent whose job it is; in a cluster, the pool that runs it.",
)
@click.option("--command", metavar="TEXT", help="In place of FILE, what that agent is to run: a text for bash.")
@click.option("--prompt", metavar="FILE|-", help="In place of FILE, what that agent is told.")
@click.option("--workspace", metavar="NAME", help="Your workspace that the agent works in; made at its first use.")
@click.option("--priority", type=int, help="-100 to 100; higher runs earlier among your own jobs.")
@click.option("--max-attempts", type=int, help="How often the infrastructure, or its sandbox, may fail it.")
@click.option("--idempotency-key", help="The same key and program are the same job, also in another call.")
@click.option("-d", "--detach", is_flag=True, help="Print the job's id once it is accepted, and do not wait.")
@click.option("-f", "--follow", is_flag=True, help="Write its output as it comes, not when it has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@caller
def run(caller: Caller, file: str | None, detach: bool, follow: bool, as_json: bool, **options: Any) -> int:
    """Run FILE (- is standard input) and end as it ends: its output, its exit code. Ctrl-C cancels it."""
    if sum(given is not None for given in (file, options["command"], options["prompt"])) != 1:
        raise click.UsageError("give one of FILE, --command and --prompt; the last two with --agent.")
    if (file or options["prompt"]) == "-" and options["stdin"] == "-":
        raise click.UsageError("standard input is read once: --stdin cannot be - as well as FILE or --prompt.")
    if sum((detach, follow, as_json)) > 1:
        raise click.UsageError("--detach, --follow and --json exclude each other.")
    job = running.make_job(file, **options)
    return running.run(caller, job, detach=detach, follow=follow, as_json=as_json)


@cli.command()
@click.argument("id")
@click.option("-w", "--wait", is_flag=True, help="Wait until it has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@caller
def result(caller: Caller, id: str, wait: bool, as_json: bool) -> int:
    """Show a job's output, and end as it ended."""
    with caller.fleet() as fleet:
        try:
            found = running.watch(fleet, id, caller.speech) if wait else fleet.result(id)
        finally:
            caller.speech.clear()
        return running.deliver(fleet, found, caller.speech, as_json=as_json)


@cli.command()
@click.argument("id")
@click.option("-f", "--follow", is_flag=True, help="Write it as it comes, until the job ends.")
@caller
def logs(caller: Caller, id: str, follow: bool) -> int:
    """Show a job's output, and end with 0 when all of it was shown."""
    with caller.fleet() as fleet:
        if follow:
            running.follow_job(fleet, id, caller.speech)
            return 0
        found = fleet.result(id)
        code = running.deliver(fleet, found, caller.speech, as_json=False)
        return 0 if found.ended else code


@cli.command()
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only these; may be repeated.")
@click.option("-l", "--language", help="Only jobs of this language.")
@click.option("--all", "every", is_flag=True, help=f"All, and not the newest {_LISTED}.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object on each line.")
@caller
def jobs(caller: Caller, statuses: tuple[str, ...], language: str | None, every: bool, as_json: bool) -> int:
    """List your jobs, newest first."""
    with caller.fleet() as fleet:
        show_jobs(fleet.jobs(statuses, language=language), as_json=as_json, limit=None if every else _LISTED)
    return 0


@cli.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@caller
def cancel(caller: Caller, ids: tuple[str, ...]) -> int:
    """Cancel jobs; what has ended stays as it is."""
    with caller.fleet() as fleet:
        for id_ in ids:
            click.echo(f"{id_} {fleet.cancel(id_)}")
    return 0


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@caller
def usage(caller: Caller, as_json: bool) -> int:
    """Show your limits, and what is used of them."""
    with caller.fleet() as fleet:
        show_usage(fleet.usage(), as_json=as_json)
    return 0


def _told(error: FleetError) -> tuple[int, str]:
    """The exit code and the line for an error, with what to do where the error does not say it itself."""
    if isinstance(error, UnreachableError):
        return exit_codes.UNREACHABLE, str(error)
    if isinstance(error, AnswerError):
        return exit_codes.UNUSABLE, str(error)
    if isinstance(error, RefusedError):
        if error.status == 401:
            return exit_codes.REFUSED, f"{error} Check FLEET_KEY, or run `make up` again, which writes the key anew."
        if error.status in (429, 500, 502, 503, 504):
            asked = "" if error.retry_after_seconds is None else f" Try again in {error.retry_after_seconds:.0f} s."
            return exit_codes.UNUSABLE, f"{error}{asked}"
        return exit_codes.REFUSED, str(error)
    return exit_codes.WRONG_USE, str(error)


def run_command(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command; return its exit code. Every error is told in a line, none with its stack trace."""
    speech = Speech(quiet=True)
    try:
        # Not click's own main, which has exit codes of its own for signals and closed pipes.
        with command.make_context("fleet", list(arguments)) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except FleetError as error:
        code, text = _told(error)
        speech.fail(text)
        return code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return exit_codes.WRONG_USE
    except click.ClickException as error:
        speech.fail(f"{error.format_message()} See fleet --help.")
        return exit_codes.WRONG_USE
    except _Ended as signalled:
        return 128 + signalled.number
    except (KeyboardInterrupt, click.Abort):
        return exit_codes.CANCELLED
    except BrokenPipeError:
        silence_output()
        return exit_codes.PIPE_CLOSED
    except Exception as error:
        speech.fail(f"something unforeseen went wrong: {type(error).__name__}: {error}")
        return exit_codes.UNUSABLE


def main() -> Never:
    """Run the command, and end with its exit code."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise _Ended(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ignored by who started it (nohup), it stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    code = run_command(cli, sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_output()
        code = exit_codes.PIPE_CLOSED
    sys.exit(code)


if __name__ == "__main__":
    main()
