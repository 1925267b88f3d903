"""A sandbox's way to the egress proxy: what a job sends to a port of its own loopback goes to the mounted socket.

Programs know proxies by an address and a port, and the sandbox has no network but its loopback. This process has
the job's user and nothing that the job may not have, and ends with the job.
"""

import contextlib
import ctypes
import os
import selectors
import socket

from fleet_sandbox.first import EGRESS_SOCKET

ADDRESS = ("127.0.0.1", 3128)
PR_SET_DUMPABLE = 4
CHUNK_BYTES = 64 * 1024
BACKLOG = 64
CONNECTIONS = 128


class Direction:
    """Bytes from one socket to the other; what the second does not take yet is kept, and no more is read."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        """Begin with nothing."""
        self.source = source
        self.sink = sink
        self.kept = memoryview(b"")
        self.ended = False

    def move(self) -> None:
        """Read and write what can be without waiting; raises OSError where either end is broken."""
        with contextlib.suppress(BlockingIOError):
            while not self.ended:
                if not self.kept:
                    self.kept = memoryview(self.source.recv(CHUNK_BYTES))
                    if not self.kept:
                        self.ended = True
                        self.sink.shutdown(socket.SHUT_WR)
                        return
                while self.kept:
                    self.kept = self.kept[self.sink.send(self.kept) :]


class Connection:
    """One connection of the job and its counterpart at the proxy."""

    def __init__(self, selector: selectors.BaseSelector, job: socket.socket, proxy: socket.socket) -> None:
        """Watch both."""
        self.selector = selector
        self.ends = (job, proxy)
        self.closed = False
        self.directions = (Direction(job, proxy), Direction(proxy, job))
        for end in self.ends:
            end.setblocking(False)
            selector.register(end, selectors.EVENT_READ, self)

    def move(self) -> bool:
        """Do what can be done; False once it is over. Both ends may be ready at once, and the first one end it."""
        if self.closed:
            return False
        try:
            for direction in self.directions:
                direction.move()
        except OSError:
            self.close()
            return False
        if all(direction.ended for direction in self.directions):
            self.close()
            return False
        for end in self.ends:
            wanted = self.wanted(end)
            known = self.selector.get_map().get(end)
            if not wanted:
                if known is not None:
                    self.selector.unregister(end)
            elif known is None:
                self.selector.register(end, wanted, self)
            elif known.events != wanted:
                self.selector.modify(end, wanted, self)
        return True

    def wanted(self, end: socket.socket) -> int:
        """Return the events that matter at one end."""
        reads = any(each.source is end and not each.ended and not each.kept for each in self.directions)
        writes = any(each.sink is end and each.kept for each in self.directions)
        return (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if writes else 0)

    def close(self) -> None:
        """Give up both ends."""
        self.closed = True
        for end in self.ends:
            if end in self.selector.get_map():
                self.selector.unregister(end)
            end.close()


def become(ready: int) -> None:
    """Keep nothing of the process that this was forked from, listen, say so through `ready`, and serve for good."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.dup2(ready, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - pathlib is not loaded here
        score.write("1000")
    # As the runner: what a job may look into, it may take descriptors from.
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0):
        raise OSError("the kernel did not make the forwarder undumpable")
    listening = socket.create_server(ADDRESS, backlog=BACKLOG)
    listening.setblocking(False)
    os.write(3, b"f")
    os.close(3)
    serve(listening, EGRESS_SOCKET)


def serve(listening: socket.socket, path: str) -> None:
    """Connect every connection to the socket at the path."""
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    open_connections: set[Connection] = set()
    while True:
        for key, _ in selector.select():
            connection = key.data or accept(selector, listening, path, len(open_connections))
            if connection is None:
                continue
            if connection.move():
                open_connections.add(connection)
            else:
                open_connections.discard(connection)


def accept(selector: selectors.BaseSelector, listening: socket.socket, path: str, now: int) -> Connection | None:
    """Take a connection of the job's and make its counterpart; None where there is none, or it is turned away."""
    try:
        job, _ = listening.accept()
    except OSError:
        return None
    proxy = socket.socket(socket.AF_UNIX)
    try:
        if now >= CONNECTIONS:
            raise BlockingIOError
        proxy.setblocking(False)
        proxy.connect(path)
    except OSError:
        job.close()
        proxy.close()
        return None
    return Connection(selector, job, proxy)
