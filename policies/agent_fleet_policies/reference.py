"""Writes the table of rules into docs/policies.md: `python -m agent_fleet_policies.reference --write`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from agent_fleet_policies.rule import Option, Rule
from agent_fleet_policies.rules import MODULES

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
BEGIN = "<!-- rules: written by make policies-reference -->"
END = "<!-- end of rules -->"


def table() -> str:
    """Every rule, grouped by what it guards."""
    lines: list[str] = []
    for module in MODULES:
        heading = (module.__doc__ or "").strip().removeprefix("Rules for ").rstrip(".")
        lines += [
            "",
            f"### {heading[0].upper()}{heading[1:]}",
            "",
            "| | rule | what, and why | must be known in a preview | after |",
        ]
        lines += ["| --- | --- | --- | --- | --- |"]
        lines += [_row(rule) for rule in module.RULES]
    options = [
        _option(rule, name, option)
        for module in MODULES
        for rule in module.RULES
        for name, option in rule.options.items()
    ]
    lines += [
        "",
        "### Settings of rules",
        "",
        "| rule | setting | default | meaning |",
        "| --- | --- | --- | --- |",
        *options,
        "",
    ]
    return "\n".join(lines)


def _row(rule: Rule) -> str:
    scope = "stack, " if rule.check_stack else ""
    demands = ", ".join(f"`{each}`" for each in rule.demands if not any(_inside(each, other) for other in rule.demands))
    what = f"**{rule.title}.** {rule.reason} *{rule.fix}*"
    cells = (str(rule.number), f"`{rule.id}` ({scope}{rule.severity})", what, demands or "nothing", rule.source)
    return f"| {' | '.join(_cell(each) for each in cells)} |"


def _inside(path: str, other: str) -> bool:
    """A block that is demanded only because what is in it is."""
    return path != other and other.startswith(f"{path}.")


def _option(rule: Rule, name: str, option: Option) -> str:
    default = option.default
    shown = str(default) if isinstance(default, (int, float)) else ", ".join(f"`{each}`" for each in default) or "none"
    return f"| `{rule.id}` | `{name}` | {_cell(shown)} | {option.meaning} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def placed(page: str, begin: str, end: str, between: str) -> str:
    """A page with what stands between two of its lines replaced. Raises ValueError for one without these."""
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"{PAGE.name} has not both of the lines {begin} and {end}")
    return f"{before}{begin}\n{between}\n{end}{after}"


def write_or_check(description: str | None, rendered: Callable[[str], str], stale: str) -> int:
    """Write the page as it should be, or say `stale` where it is not, as the command line has it; the exit code."""
    parser = argparse.ArgumentParser(description=description)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true")
    choice.add_argument("--check", action="store_true")
    write = parser.parse_args().write
    page = PAGE.read_text(encoding="utf-8")
    wanted = rendered(page)
    if write:
        PAGE.write_text(wanted, encoding="utf-8")
    elif page != wanted:
        sys.stderr.write(f"docs/policies.md is not what {stale}: run make policies-reference.\n")
        return 1
    return 0


def rendered(page: str) -> str:
    """The page with the table as it should be. Raises ValueError for one without its marks."""
    return placed(page, BEGIN, END, table())


def main() -> int:
    """Write the page, or say whether it is right."""
    return write_or_check(__doc__, rendered, "the rules say")


if __name__ == "__main__":
    raise SystemExit(main())
