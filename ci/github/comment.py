"""Keeps one comment of a pull request at what the last preview said: comment.py <number> <folder> <stack>...

`<folder>/<stack>/preview.md` are the reports. They are data: nothing in them is run, or taken for a comment of ours.
"""

from pathlib import Path

from github_api import AUTHOR, GitHub, RefusedError, run

MARKER = "<!-- agent-fleet: preview -->"
MOST = 65_000
"""Characters: GitHub takes 65,536."""
_FOLDED = "<details"


def body(folder: Path, stacks: list[str], run_url: str) -> str:
    """The comment: each stack's report, those last that do not fit only as their summaries."""
    written = f"{MARKER}\n"
    reports = {stack: _report(folder / stack / "preview.md") for stack in stacks}
    left = MOST - len(written) - sum(len(_short(stack, text, run_url)) for stack, text in reports.items())
    for stack, text in reports.items():
        short = _short(stack, text, run_url)
        if len(text) + 2 - len(short) <= left and text:
            left -= len(text) + 2 - len(short)
            written += f"\n{text}\n"
        else:
            written += short
    return written[:MOST]


def _report(path: Path) -> str:
    return path.read_text(errors="replace").strip() if path.is_file() else ""


def _short(stack: str, text: str, run_url: str) -> str:
    if not text:
        return f"\n**{stack}**: the preview ended without a report. [The run]({run_url}) says why.\n"
    head = text.partition(_FOLDED)[0].strip()[:5_000]
    return f"\n{head}\n\nThe rest is too long for a comment: [the run]({run_url}) has it.\n"


def keep(github: GitHub, arguments: list[str]) -> None:
    """Create the comment, or update the one that is there."""
    if len(arguments) < 3 or not arguments[0].isdecimal():
        raise RefusedError(f"Given was {arguments}; wanted are the pull request's number, a folder, and stacks.")
    number, folder, *stacks = arguments
    text = body(Path(folder), stacks, github.run_url)
    for each in github.every(f"issues/{number}/comments"):
        if each["user"]["login"] == AUTHOR and str(each["body"]).startswith(MARKER):
            github.send("PATCH", f"issues/comments/{each['id']}", {"body": text})
            print(f"Updated the comment {each['html_url']}.")
            return
    made = github.send("POST", f"issues/{number}/comments", {"body": text})
    print(f"Wrote the comment {made['html_url']}.")


if __name__ == "__main__":
    run(keep)
