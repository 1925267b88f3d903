"""`python -m fleet_runtime tenants list|show|set`: an operator's way to tenants' budgets, with no restart."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence

from annotated_types import Ge, Le

from fleet_runtime.config import TenantBudget
from fleet_runtime.database import Database
from fleet_runtime.store.budgets import LIMITS, Budgets, TenantUsage

_UNLIMITED = "unlimited"


def tenants_command(arguments: Sequence[str]) -> Callable[[Database], Awaitable[int]]:
    """Return what the command does, which gives the exit code; exits with 2 if it is called wrongly."""
    given = _parser().parse_args(arguments)
    return lambda database: _run(Budgets(database), given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fleet_runtime tenants", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all tenants with their limits and today's use (UTC)")
    show = commands.add_parser("show", help="one tenant")
    show.add_argument("name")
    change = commands.add_parser(
        "set", help="change the limits that are given; the next claim keeps to them", allow_abbrev=False
    )
    change.add_argument("name")
    for limit in LIMITS:
        change.add_argument(f"--{limit.replace('_', '-')}", type=_limit(limit), metavar="N", default=argparse.SUPPRESS)
    return parser


def _limit(name: str) -> Callable[[str], int | None]:
    bounds = TenantBudget.model_fields[name].metadata
    least = next(int(str(bound.ge)) for bound in bounds if isinstance(bound, Ge))
    most = next(int(str(bound.le)) for bound in bounds if isinstance(bound, Le))

    def read(text: str) -> int | None:
        if text == _UNLIMITED:
            return None
        if not text.isascii() or not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} was given; allowed is a whole number from {least} to {most}, or {_UNLIMITED}"
            )
        return int(text)

    return read


async def _run(budgets: Budgets, given: argparse.Namespace) -> int:
    if given.command == "list":
        for usage in await budgets.all():
            sys.stdout.write(_line(usage) + "\n")
        return 0
    if given.command == "set":
        limits = {name: getattr(given, name) for name in LIMITS if hasattr(given, name)}
        if not limits:
            sys.stderr.write(f"give at least one of {', '.join(_option(name) for name in LIMITS)}\n")
            return 2
        if not await budgets.set(given.name, limits):
            return _refuse(await budgets.usage(given.name), given.name)
    usage = await budgets.usage(given.name)
    if usage is None:
        return _refuse(None, given.name)
    sys.stdout.write(_page(usage))
    return 0


def _refuse(usage: TenantUsage | None, name: str) -> int:
    if usage is None:
        sys.stderr.write(
            f"there is no tenant {name!r}: a tenant comes to be with its first key, `keys create {name}`; "
            "`tenants list` shows those that there are\n"
        )
    else:
        sys.stderr.write(
            f"the limits of tenant {name!r} are set by the deployment's settings (fleet.tenants.{name}, or "
            f"fleet.teams.{name}.budget on a cluster): change them there and run `make up`\n"
        )
    return 1


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _line(usage: TenantUsage) -> str:
    limits = [f"{name}={value}" for name in LIMITS if (value := getattr(usage, name)) is not None]
    return "  ".join(
        [
            usage.tenant,
            f"running {usage.running}",
            f"queued {usage.queued}",
            f"today {usage.jobs_today} jobs, {usage.cpu_seconds_today:.1f} s of processor time",
            " ".join(limits) or _UNLIMITED,
            *(["exhausted: " + " ".join(usage.exhausted)] if usage.exhausted else []),
        ]
    )


def _page(usage: TenantUsage) -> str:
    rows: list[tuple[str, object]] = [
        ("tenant", usage.tenant),
        *((name, _UNLIMITED if getattr(usage, name) is None else getattr(usage, name)) for name in LIMITS),
        ("limits set by", "the deployment's settings" if usage.listed else "`tenants set`"),
        ("jobs today", usage.jobs_today),
        ("cpu seconds today", f"{usage.cpu_seconds_today:.1f}"),
        ("today ends at", usage.resets_at.isoformat()),
        ("running", usage.running),
        ("queued", usage.queued),
        ("exhausted", " ".join(usage.exhausted) or "none"),
    ]
    return "".join(f"{name + ':':<22}{value}\n" for name, value in rows)
