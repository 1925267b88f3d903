"""The few calls of GitHub's REST API that the workflows make, with the job's own token.

Plain Python 3.11, so that a job that may write needs nothing but a checkout of this folder.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

AUTHOR = "github-actions[bot]"
"""Who writes with a job's token. What anybody else wrote is never taken for ours, whatever it says."""
_SECONDS = 30
_MOST_PAGES = 100


class RefusedError(Exception):
    """What GitHub refused, as a sentence with what to do."""


class GitHub:
    """One repository, as the runner names it: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises RefusedError where one of them is missing."""
        missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not environment.get(name)]
        if missing:
            raise RefusedError(f"{' and '.join(missing)} not set: this runs in a job of a workflow in ci/github.")
        self._url = environment.get("GITHUB_API_URL") or "https://api.github.com"
        if not self._url.startswith(("https://", "http://")):
            raise RefusedError(f"GITHUB_API_URL is {self._url!r}; allowed is an address that begins with https://.")
        self._repository = environment["GITHUB_REPOSITORY"]
        self._token = environment["GITHUB_TOKEN"]
        server = environment.get("GITHUB_SERVER_URL") or "https://github.com"
        self.run_url = f"{server}/{self._repository}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}"
        """Where a reader finds the run with its artefacts."""

    def get(self, path: str) -> Any:
        """One answer; raises RefusedError."""
        return self._asked("GET", self._address(path), None)[0]

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Create or update something; raises RefusedError."""
        return self._asked(method, self._address(path), body)[0]

    def every(self, path: str) -> Iterator[Any]:
        """All entries of a list, page by page; raises RefusedError."""
        joint = "&" if "?" in path else "?"
        address = f"{self._address(path)}{joint}per_page=100"
        for _ in range(_MOST_PAGES):
            entries, following = self._asked("GET", address, None)
            yield from entries
            if not following:
                return
            if not following.startswith(f"{self._url}/"):
                raise RefusedError(
                    "GitHub's list goes on at another address than GITHUB_API_URL; nothing was sent there."
                )
            address = following

    def _address(self, path: str) -> str:
        return f"{self._url}/repos/{self._repository}/{path}"

    def _asked(self, method: str, address: str, body: Mapping[str, Any] | None) -> tuple[Any, str]:
        request = urllib.request.Request(  # noqa: S310 - its scheme was looked at
            address,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "agent-fleet",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null"), _following(answer.headers.get("Link", ""))
        except urllib.error.HTTPError as error:
            raise RefusedError(f"GitHub answered {method} {address} with {error.code}: {_said(error)}") from None
        except (OSError, ValueError) as error:
            raise RefusedError(f"GitHub could not be asked ({method} {address}): {error}. Run the job again.") from None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        said = str(json.loads(error.read())["message"])
    except (OSError, ValueError, KeyError, TypeError):
        said = str(error.reason)
    hint = " The job's `permissions` lack a right, or the token is a fork's." if error.code in (401, 403) else ""
    return f"{said}.{hint}"


def _following(link: str) -> str:
    """The next page, of a Link header (RFC 8288)."""
    for part in link.split(","):
        address, _, rest = part.partition(";")
        if 'rel="next"' in rest:
            return address.strip().removeprefix("<").removesuffix(">")
    return ""


def run(command: Callable[[GitHub, list[str]], None]) -> None:
    """Run a script's command; a refusal is told in a line, with exit code 1."""
    try:
        command(GitHub(os.environ), sys.argv[1:])
    except RefusedError as error:
        sys.exit(str(error))
