"""A cluster of its own beside the checkout's: in a network namespace, with its own folder and cgroup.

As a program it is `node_apart.py up|down FOLDER`, run inside that namespace: what `make cluster` and
`make cluster-down` do, for that folder.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node_under_test import wait_for

from engine.cluster import conflicts, containers, removal
from engine.cluster.layout import Layout
from engine.cluster.node import Node
from engine.cluster.processes import Process, Supervisor, gone
from engine.cluster.programs import ensure_programs
from engine.cluster.removal import mounts_below
from engine.errors import UserFacingError

_CHECKOUT = Path(__file__).resolve().parents[2]


def apart_layout(folder: Path) -> Layout:
    """The layout of a cluster in a folder; a cgroup of its own keeps other kubelets from ending its pods."""
    return Layout(folder / "cluster", folder / "logs", cgroup=f"agent-fleet-{folder.name}")


# As Docker sets a machine up: it drops what is forwarded and not its own.
DOCKER_RULES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
"""


@dataclass(frozen=True)
class Told:
    """What a command said: its parsed answer, or the error that a user would see."""

    answer: Any
    error: str


@dataclass(frozen=True)
class NodeApart:
    """One such cluster."""

    folder: Path
    network: str

    @classmethod
    def make(cls) -> "NodeApart":
        """A folder and a network namespace; nothing runs yet."""
        # Short, and not the test's own folder: Unix sockets lie below it.
        folder = Path(tempfile.mkdtemp(prefix="fleet-"))
        network = f"fleet-{uuid.uuid4().hex[:8]}"
        subprocess.run(["ip", "netns", "add", network], check=True, timeout=30)
        apart = cls(folder, network)
        subprocess.run([*apart.inside, "ip", "link", "set", "lo", "up"], check=True, timeout=30)
        subprocess.run([*apart.inside, "iptables-restore"], input=DOCKER_RULES, text=True, check=True, timeout=30)
        return apart

    def rules(self) -> list[str]:
        """The firewall's rules and policies, without counters and comments."""
        ended = subprocess.run([*self.inside, "iptables-save"], capture_output=True, text=True, check=True, timeout=30)
        lines = (line.partition(" [")[0] for line in ended.stdout.splitlines() if not line.startswith("#"))
        return [line for line in lines if line.startswith((":", "-"))]

    @property
    def layout(self) -> Layout:
        """Its layout."""
        return apart_layout(self.folder)

    @property
    def inside(self) -> tuple[str, ...]:
        """Goes before a command that shall run in its network; unlike `ip netns exec` it keeps /sys as it is."""
        return ("nsenter", f"--net=/run/netns/{self.network}")

    def command(self, verb: str, folder: Path | None = None) -> list[str]:
        """The command line of up or down; another folder is another checkout."""
        return [*self.inside, sys.executable, str(Path(__file__).resolve()), verb, str(folder or self.folder)]

    def call(self, verb: str, folder: Path | None = None) -> Told:
        """Run up or down to its end."""
        ended = subprocess.run(
            self.command(verb, folder), cwd=_CHECKOUT, capture_output=True, text=True, check=False, timeout=240
        )
        assert ended.returncode in (0, 1), ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        answer = json.loads(ended.stdout.splitlines()[-1]) if ended.returncode == 0 else None
        return Told(answer, ended.stderr)

    def up(self) -> list[str]:
        """Start what is missing; the names of the parts that were started."""
        told = self.call("up")
        assert told.answer is not None, told.error
        return told.answer

    def processes(self) -> dict[str, Process]:
        """Its running parts by name."""
        return Supervisor(self.layout.processes, self.layout.logs).recorded()

    def kill(self) -> None:
        """Kill every process of it and of its pods at once; its network and its mounts stay."""
        parts = list(self.processes().values())
        for process in [*parts, *containers.left_over(self.layout)]:
            process.send(signal.SIGKILL)
        assert gone(parts, 10)
        wait_for(lambda: not self._killed_again(), "no process of a pod is left", 20)

    def lose_power(self) -> None:
        """Kill it, and leave what a reboot leaves: its folder, no more."""
        self.kill()
        for point in mounts_below(self.layout.folder):
            subprocess.run(["umount", str(point)], check=True, timeout=30)
        subprocess.run([*self.inside, "iptables-restore"], input=DOCKER_RULES, text=True, check=True, timeout=30)
        subprocess.run([*self.inside, "iptables", "-t", "mangle", "-F"], check=True, timeout=30)
        subprocess.run([*self.inside, "ip", "link", "delete", self.layout.interface], check=True, timeout=30)
        (self.layout.folder / "boot").write_text("another boot")

    def _killed_again(self) -> list[Process]:
        left = containers.left_over(self.layout)
        for process in left:
            process.send(signal.SIGKILL)
        return left

    def remove(self) -> None:
        """Take it away with its network namespace and its folder."""
        self.call("down")
        subprocess.run(["ip", "netns", "delete", self.network], check=True, timeout=30)
        shutil.rmtree(self.folder)


def _silent(text: str) -> None:
    del text


def _main(verb: str, folder: Path) -> int:
    place = apart_layout(folder)
    try:
        if verb == "down":
            removal.remove(place, _silent)
            print(json.dumps([]))  # noqa: T201 - this is a program then
            return 0
        node = Node(place, ensure_programs(_silent), _silent)
        started: list[str] = []
        if not node.runs():
            conflicts.check_machine(place)
            node.check()
            started = node.start()
        print(json.dumps(started))  # noqa: T201
    except UserFacingError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], Path(sys.argv[2])))
