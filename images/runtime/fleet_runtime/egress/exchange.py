"""What a request is answered with by the proxy itself, and the errors that lead there."""

import json
from http import HTTPStatus

import h11


class Denied(Exception):  # noqa: N818 - it is a verdict
    """The proxy answers itself. `verdict` is for log and metrics, the text for the job, `private` for the log alone."""

    def __init__(self, status: int, verdict: str, detail: str, *, private: str | None = None) -> None:
        """Keep all parts."""
        super().__init__(detail)
        self.status = status
        self.verdict = verdict
        self.detail = detail
        self.private = private


def problem(denied: Denied) -> tuple[h11.Response, bytes]:
    """Return the answer to a request that the proxy does not pass on (RFC 9457)."""
    title = HTTPStatus(denied.status).phrase
    body = json.dumps(
        {"type": "about:blank", "title": title, "status": denied.status, "detail": denied.detail}, ensure_ascii=True
    ).encode()
    headers = [
        ("content-type", "application/problem+json"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    return h11.Response(status_code=denied.status, headers=headers, reason=title.encode()), body
