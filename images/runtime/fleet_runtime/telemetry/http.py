"""Serving HTTP from inside a process that has other things to do: no signal handlers, no log of its own."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fleet_runtime.config import Listen

_BACKLOG = 1024
_UNREAD_MILLISECONDS = 60_000


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the role stops it, in its own order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the role."""
        yield


def make_server(app: Any, *, shutdown_seconds: float = 5) -> Server:
    """Return a server for an ASGI application; `serve(sockets=[…])` runs it."""
    return Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=max(1, round(shutdown_seconds)),
            backlog=_BACKLOG,
        )
    )


def bind(listen: Listen) -> socket.socket:
    """Return a listening socket; raises OSError, naming the address, if it is taken."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # What is left to send to a client that takes nothing must not stay for ever; its connections inherit this.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
    try:
        bound.bind((listen.host, listen.port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on {listen.host}:{listen.port}: {error.strerror}") from None
    # From here on a client is not refused but waits for the server to start.
    bound.listen(_BACKLOG)
    bound.setblocking(False)
    return bound


async def stop(server: Server, running: asyncio.Task[None]) -> None:
    """Stop a server that runs in a task, and wait until it has."""
    server.should_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await running


def observation_app(
    metrics: Callable[[], Awaitable[bytes]],
    health: Callable[[], dict[str, Any]],
    ready: Callable[[], dict[str, Any]] | None = None,
) -> Starlette:
    """Return the application of the private listener: `/metrics`, `/health`, and `/ready` where that is given."""

    async def serve_metrics(_: Request) -> Response:
        return Response(await metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def serve_health(_: Request) -> Response:
        state = health()
        return JSONResponse(state, status_code=200 if state.get("status") == "ok" else 503)

    async def serve_ready(_: Request) -> Response:
        state = ready() if ready is not None else {}
        return JSONResponse(state, status_code=200 if state.get("ready") else 503)

    routes = [Route("/metrics", serve_metrics), Route("/health", serve_health)]
    return Starlette(routes=routes if ready is None else [*routes, Route("/ready", serve_ready)])
