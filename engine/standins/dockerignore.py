"""Which files of a build context Docker sends, by the rules of `.dockerignore`.

Rules: https://docs.docker.com/build/concepts/context/#dockerignore-files (moby/patternmatcher). A pattern matches a
path or any of its parents; `!` takes files back; the last pattern that matches decides.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path


class IgnoreRules:
    """The patterns of one ignore file."""

    def __init__(self, text: str) -> None:
        """Empty lines and lines that start with # say nothing."""
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for line in text.splitlines():
            pattern = line.strip()
            if not pattern or line.startswith("#"):
                continue
            taken_back = pattern.startswith("!")
            cleaned = posixpath.normpath(pattern.removeprefix("!").strip().lstrip("/") or ".")
            if cleaned != ".":
                self._rules.append((taken_back, re.compile(_expression(cleaned))))
        self._takes_back = any(taken_back for taken_back, _ in self._rules)

    def ignores(self, path: str) -> bool:
        """Whether the file at this path, relative to the context and with `/`, is left out."""
        steps = path.split("/")
        candidates = ["/".join(steps[: count + 1]) for count in range(len(steps))]
        ignored = False
        for taken_back, expression in self._rules:
            if ignored == taken_back and any(expression.fullmatch(candidate) for candidate in candidates):
                ignored = not taken_back
        return ignored

    def files(self, root: Path) -> Iterator[tuple[str, Path]]:
        """Every file and link under `root` that is sent, by relative path, sorted."""
        yield from sorted(self._walk(root, ""))

    def _walk(self, root: Path, folder: str) -> Iterator[tuple[str, Path]]:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                ignored = self.ignores(path)
                if entry.is_dir(follow_symlinks=False):
                    # A folder that is left out can hold files that a later pattern takes back.
                    if not ignored or self._takes_back:
                        yield from self._walk(root, path)
                elif not ignored:
                    yield path, root / path


def _expression(pattern: str) -> str:
    result: list[str] = []
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/"):
            result.append("(?:.*/)?")
            position += 3
        elif rest.startswith("**"):
            result.append(".*")
            position += 2
        elif rest[0] == "*":
            result.append("[^/]*")
            position += 1
        elif rest[0] == "?":
            result.append("[^/]")
            position += 1
        elif rest[0] == "[" and "]" in rest[2:]:
            end = rest.index("]", 2)
            content = rest[1:end].replace("\\", "\\\\")
            result.append(f"[{'^' + content[1:] if content[0] in '!^' else content}]")
            position += end + 1
        elif rest[0] == "\\" and len(rest) > 1:
            result.append(re.escape(rest[1]))
            position += 2
        else:
            result.append(re.escape(rest[0]))
            position += 1
    return "".join(result)
