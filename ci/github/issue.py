"""Keeps one open issue for each stack that has drifted, and closes it when it has not: issue.py <folder> <stack>...

`<folder>/<stack>/status` is the exit code of `engine drift` (0 none, 2 drift), `drift.txt` beside it what it said.
"""

import re
from pathlib import Path
from typing import Any

from github_api import AUTHOR, GitHub, RefusedError, run

MOST = 60_000
"""Characters of what was found that go into an issue: GitHub takes 65,536 in all."""
_NOT_PRINTED = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^\t\n\x20-\U0010ffff]")


def marker(stack: str) -> str:
    """The line by which a stack's issue is known again."""
    return f"<!-- agent-fleet: drift of {stack} -->"


def body(stack: str, found: str, run_url: str) -> str:
    """The issue's text."""
    found = _NOT_PRINTED.sub("", found).strip()
    if len(found) > MOST:
        found = f"{found[:MOST]}\n..."
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", found)), default=0))
    return (
        f"{marker(stack)}\nWhat exists in `{stack}` is not what its state says, by [last night's look]({run_url}). "
        f"docs/ci.md, Drift, says what to do. This text is replaced every night.\n\n{fence}text\n{found}\n{fence}\n"
    )


def _open_one(github: GitHub, stack: str) -> Any:
    for each in github.every("issues?state=open"):
        ours = each["user"]["login"] == AUTHOR and str(each["body"] or "").startswith(marker(stack))
        if ours and "pull_request" not in each:
            return each
    return None


def _settle(github: GitHub, folder: Path, stack: str) -> str:
    status = (folder / stack / "status").read_text().strip() if (folder / stack / "status").is_file() else "1"
    if status not in ("0", "2"):
        return f"{stack}: not known, as the look failed; its issue stays as it is."
    there = _open_one(github, stack)
    if status == "0":
        if there is None:
            return f"{stack}: no drift."
        github.send("POST", f"issues/{there['number']}/comments", {"body": f"[No drift any more]({github.run_url})."})
        github.send("PATCH", f"issues/{there['number']}", {"state": "closed", "state_reason": "completed"})
        return f"{stack}: no drift any more; closed {there['html_url']}."
    report = folder / stack / "drift.txt"
    text = body(stack, report.read_text(errors="replace") if report.is_file() else "", github.run_url)
    if there is not None:
        github.send("PATCH", f"issues/{there['number']}", {"body": text})
        return f"{stack}: drift; updated {there['html_url']}."
    made = github.send("POST", "issues", {"title": f"Drift in {stack}", "body": text})
    return f"{stack}: drift; opened {made['html_url']}."


def keep(github: GitHub, arguments: list[str]) -> None:
    """Open, update or close."""
    if len(arguments) < 2:
        raise RefusedError(f"Given was {arguments}; wanted are a folder and stacks.")
    folder, *stacks = arguments
    for stack in stacks:
        print(_settle(github, Path(folder), stack))


if __name__ == "__main__":
    run(keep)
