"""Jobs as lines for people, or as JSON for programs."""

import itertools
import json
from collections.abc import Iterable
from datetime import datetime

import click

from agent_fleet_client.results import JobSummary, Usage

_FORM = "{:<36}  {:<10}  {:<8}  {:>4}  {:<20}  {:>9}"


def show_jobs(jobs: Iterable[JobSummary], *, as_json: bool, limit: int | None) -> None:
    """Write at most `limit` jobs, one to a line, each as soon as it is there."""
    chosen = itertools.islice(jobs, limit)
    if as_json:
        for job in chosen:
            click.echo(json.dumps(job.document))
        return
    for number, job in enumerate(chosen):
        if number == 0:
            click.echo(_FORM.format("ID", "STATUS", "LANGUAGE", "EXIT", "CREATED", "TOOK"))
        code = "" if job.exit_code is None else str(job.exit_code)
        status = "cancelling" if job.cancel_requested and job.ended_at is None else job.status
        line = _FORM.format(job.id, status, job.language or "agent", code, _local(job.created_at), _took(job))
        click.echo(line.rstrip())


def show_usage(usage: Usage, *, as_json: bool) -> None:
    """Write what is used of a tenant's budget."""
    if as_json:
        click.echo(json.dumps(usage.document))
        return
    click.echo(f"{usage.tenant}'s budget; the day ends at {_local(usage.resets_at)}")
    cpu = round(usage.cpu_seconds_today, 1)
    lines = (
        ("queued", usage.queued, usage.queue_limit),
        ("running", usage.running, usage.max_concurrent),
        ("jobs today", usage.jobs_today, usage.jobs_per_day),
        ("CPU seconds today", cpu, usage.cpu_seconds_per_day),
    )
    for name, used, limit in lines:
        click.echo(f"  {name:<18} {used:>10}  {'no limit' if limit is None else f'of {limit}'}")
    if usage.jobs_per_minute is not None:
        click.echo(f"  {'jobs a minute':<18} {'':>10}  at most {usage.jobs_per_minute}")
    if usage.exhausted:
        click.echo(f"Jobs wait for: {', '.join(usage.exhausted)}")


def _local(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _took(job: JobSummary) -> str:
    """From acceptance to the end, as the user waited."""
    if job.ended_at is None:
        return ""
    return f"{(job.ended_at - job.created_at).total_seconds():.2f} s"
