"""Messages from a provider to the engine's display."""

import contextlib
import threading
import time
from typing import Any

import grpc

from engine.standins.protocol import engine_pb2, engine_pb2_grpc


class EngineLog:
    """Sends messages to the engine; losing one never fails an operation."""

    def __init__(self, address: str) -> None:
        """`address` is what the engine gave the plugin as its first argument."""
        self._address = address
        self._stub: Any = None
        self._lock = threading.Lock()

    def debug(self, message: str, urn: str = "") -> None:
        """Shown only with `--debug`."""
        self._send(engine_pb2.DEBUG, message, urn)

    def info(self, message: str, urn: str = "") -> None:
        """Shown among the diagnostics."""
        self._send(engine_pb2.INFO, message, urn)

    def warning(self, message: str, urn: str = "") -> None:
        """Shown among the diagnostics, marked as a warning."""
        self._send(engine_pb2.WARNING, message, urn)

    def status(self, message: str, urn: str) -> None:
        """Shown in the resource's line while it is worked on, then forgotten."""
        self._send(engine_pb2.INFO, message, urn, ephemeral=True)

    def _send(self, severity: Any, message: str, urn: str, *, ephemeral: bool = False) -> None:
        if not self._address:
            return
        with self._lock:
            if self._stub is None:
                self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(self._address))
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
        with contextlib.suppress(grpc.RpcError):
            self._stub.Log(request, timeout=5)


class StatusLine:
    """Status messages for one resource, at most one in `interval_seconds`, so that a chatty build costs nothing."""

    def __init__(self, log: EngineLog, urn: str, interval_seconds: float = 0.3) -> None:
        """Messages go to `urn`'s line in the display."""
        self._log = log
        self._urn = urn
        self._interval = interval_seconds
        self._last = 0.0

    def show(self, message: str) -> None:
        """Show `message` unless another one was shown a moment ago."""
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            self._log.status(message[:120], self._urn)
