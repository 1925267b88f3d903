"""`make compose`: writes compose.yaml anew from the workloads, or says whether it is what they make."""

import difflib
import sys

from engine.composition.document import FILE, text
from engine.report import say


def compose(*, check: bool) -> bool:
    """Write the file; with `check` only compare. False where it is not what the workloads make."""
    wanted, found = text(), FILE.read_text() if FILE.exists() else ""
    if wanted == found:
        say(f"{FILE.name} is what the workloads make.")
        return True
    if check:
        lines = difflib.unified_diff(
            found.splitlines(), wanted.splitlines(), FILE.name, "what the workloads make", lineterm=""
        )
        sys.stderr.write("\n".join(lines) + f"\n{FILE.name} is not what the workloads make: run `make compose`.\n")
        return False
    part = FILE.with_name(f".{FILE.name}.part")
    part.write_text(wanted)
    part.replace(FILE)
    say(f"Wrote {FILE.name}.")
    return True
