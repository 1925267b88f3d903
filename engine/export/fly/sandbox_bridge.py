"""The first program of a sandbox's Machine on Fly: lets its worker in, and leaves the job nothing else.

It is root of a virtual machine that is used once. It listens on the organisation's private network, takes one
connection with the right token, and becomes the fleet's runner on that connection: in namespaces of its own without a
network, under the sandbox's user without a capability, with a root that cannot be written to. Needs Python only.
"""

import hmac
import os
import shlex
import socket
import sys

PORT = 7000
USER_ID = 10001
_TOKEN_BYTES = 64
_TOKEN_SECONDS = 10.0


def isolated(scratch_bytes: int, processes: int) -> list[str]:
    """The command that becomes the runner.

    Of Fly's own things a job must not reach its socket to the Machines API (/.fly), whose holder could make Machines.
    """
    user = f"uid={USER_ID},gid={USER_ID}"
    steps = (
        # Over what is there, and gone with the mount namespace.
        "if [ -e /.fly ]; then mount -t tmpfs -o ro,size=4k tmpfs /.fly; fi",
        # The old one shows the network that the job has not. What counts the job's memory is there again, if it was.
        "mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /sys",
        "mount -t cgroup2 -o ro,nosuid,nodev,noexec cgroup2 /sys/fs/cgroup || true",
        f"mount -t tmpfs -o nosuid,nodev,mode=0700,{user},size={scratch_bytes} tmpfs /job",
        f"mount -t tmpfs -o nosuid,nodev,mode=1777,size={max(scratch_bytes // 4, 1 << 20)} tmpfs /tmp",
        "mount -o remount,bind,ro /",
        "cd /job",
        "exec "
        + shlex.join(
            [
                "prlimit",
                f"--nproc={processes}",
                "setpriv",
                f"--reuid={USER_ID}",
                f"--regid={USER_ID}",
                "--clear-groups",
                "--no-new-privs",
                "--bounding-set=-all",
                "--inh-caps=-all",
                "env",
                "-i",
                "PATH=/usr/local/bin:/usr/bin:/bin",
                "LANG=C.UTF-8",
                "HOME=/tmp",
                # As the first process of its namespace this turns into the runner.
                "python3",
                "main.py",
            ]
        ),
    )
    namespaces = ["--net", "--ipc", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *namespaces, "sh", "-ec", "\n".join(steps)]


def admitted(listener: socket.socket, token: str) -> socket.socket:
    """The first connection that has the token. Others are closed."""
    while True:
        connection, _ = listener.accept()
        connection.settimeout(_TOKEN_SECONDS)
        given = b""
        try:
            while len(given) < _TOKEN_BYTES and (part := connection.recv(_TOKEN_BYTES - len(given))):
                given += part
        except OSError:
            given = b""
        if hmac.compare_digest(given, token.encode()):
            connection.settimeout(None)
            return connection
        connection.close()


def main() -> None:
    """Wait for the worker, then become the runner. Ends with a message where the Machine is not as it must be."""
    try:
        token = os.environ["FLEET_BRIDGE_TOKEN"]
        command = isolated(int(os.environ["FLEET_BRIDGE_SCRATCH_BYTES"]), int(os.environ["FLEET_BRIDGE_PROCESSES"]))
    except (KeyError, ValueError) as error:
        sys.exit(f"sandbox_bridge: {error}: the worker gives this to every Machine that it makes")
    with socket.create_server(("::", PORT), family=socket.AF_INET6, backlog=4, dualstack_ipv6=True) as listener:
        connection = admitted(listener, token)
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)
    connection.close()
    os.execvpe(command[0], command, {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
