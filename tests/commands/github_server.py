"""GitHub's REST API as far as the workflows in ci/github use it: comments, issues and environments of one repository.

It answers as docs.github.com/en/rest describes: pages with a Link header, 401 without a token, 403 where the job's
permissions lack a right, 404, and 422 for a body that is empty or too long. Nothing here was compared with GitHub.
"""

import json
import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "example-org/agent-fleet"
TOKEN = "a-token-of-a-job"
BOT = "github-actions[bot]"
_LONGEST = 65_536


class Repository:
    """What the server keeps, and what a job's token may do."""

    def __init__(self) -> None:
        """Empty; the token may do nothing."""
        self.permissions: dict[str, str] = {}
        self.comments: dict[int, dict[str, Any]] = {}
        self.issues: dict[int, dict[str, Any]] = {}
        self.environments: list[dict[str, Any]] = []
        self.environment: dict[str, str] = {}
        """What the runner tells a step of it."""
        self.calls: list[str] = []
        self._next = 1

    def comment(self, number: int, login: str, body: str) -> int:
        """Enter a comment of an issue or pull request; return its id."""
        made = self._new(login, body) | {"number": number}
        self.comments[made["id"]] = made
        return int(made["id"])

    def issue(self, login: str, body: str, **more: Any) -> int:
        """Enter an issue; return its number."""
        made = self._new(login, body)
        made |= {"state": "open", "number": made["id"], **more}
        self.issues[made["id"]] = made
        return int(made["id"])

    def _new(self, login: str, body: str) -> dict[str, Any]:
        self._next += 1
        made: dict[str, Any] = {
            "id": self._next,
            "user": {"login": login},
            "body": body,
            "html_url": f"https://github.com/{REPOSITORY}/{self._next}",
        }
        return made


def _page(entries: list[dict[str, Any]], query: Mapping[str, list[str]], base: str) -> tuple[Any, str]:
    size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
    rest = "&".join(f"{name}={values[0]}" for name, values in query.items() if name != "page")
    more = len(entries) > size * page
    link = f'<{base}?{rest}&page={page + 1}>; rel="next", <{base}?{rest}&page=99>; rel="last"' if more else ""
    return entries[size * (page - 1) : size * page], link


def _answer(
    kept: Repository, method: str, path: str, query: Mapping[str, list[str]], body: dict[str, Any], base: str
) -> tuple[int, Any, str]:
    def may(right: str, level: str) -> bool:
        return kept.permissions.get(right) == "write" or (level == "read" and kept.permissions.get(right) == "read")

    def allowed(level: str) -> bool:
        return may("issues", level) or may("pull-requests", level)

    if method != "GET" and "body" in body and not 0 < len(str(body["body"])) <= _LONGEST:
        return 422, {"message": "Validation Failed"}, ""
    match method, re.sub(r"/\d+", "/N", path):
        case "GET", "issues/N/comments" if allowed("read") or may("contents", "read"):
            number = int(path.split("/")[1])
            return 200, *_page([each for each in kept.comments.values() if each["number"] == number], query, base)
        case "POST", "issues/N/comments" if allowed("write"):
            made = kept.comment(int(path.split("/")[1]), BOT, body["body"])
            return 201, kept.comments[made], ""
        case "PATCH", "issues/comments/N" if allowed("write"):
            kept.comments[int(path.rpartition("/")[2])]["body"] = body["body"]
            return 200, kept.comments[int(path.rpartition("/")[2])], ""
        case "GET", "issues" if may("issues", "read"):
            wanted = query.get("state", ["open"])[0]
            return 200, *_page([each for each in kept.issues.values() if each["state"] == wanted], query, base)
        case "POST", "issues" if may("issues", "write"):
            return 201, kept.issues[kept.issue(BOT, body["body"], title=body["title"])], ""
        case "PATCH", "issues/N" if may("issues", "write"):
            kept.issues[int(path.split("/")[1])] |= body
            return 200, kept.issues[int(path.split("/")[1])], ""
        case "GET", "environments" if may("actions", "read"):
            return 200, {"total_count": len(kept.environments), "environments": kept.environments}, ""
        case _, "issues/N/comments" | "issues/comments/N" | "issues" | "issues/N" | "environments":
            return 403, {"message": "Resource not accessible by integration"}, ""
        case _:
            return 404, {"message": "Not Found"}, ""


@contextmanager
def served() -> Generator[Repository]:
    """The server on a free port of this machine, for as long as the block runs."""
    kept = Repository()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            del format, args

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            path = parts.path.removeprefix(f"/repos/{REPOSITORY}/")
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            kept.calls.append(f"{self.command} {path}")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, answer, link = 401, {"message": "Bad credentials"}, ""
            else:
                base = f"{kept.environment['GITHUB_API_URL']}{parts.path}"
                status, answer, link = _answer(kept, self.command, path, parse_qs(parts.query), body, base)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            if link:
                self.send_header("Link", link)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - http.server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.environment = {
        "GITHUB_API_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ID": "42",
    }
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
