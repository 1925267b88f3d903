"""A whole host with systemd, cloud-init and a Docker of its own, as a container: an instance that boots here.

It must not change the machine's control groups. systemd mounts every controller of /proc/cgroups that has no mount yet
(`mount_cgroup_controllers` in src/shared/mount-setup.c), and so makes a hierarchy of version 1 for the whole machine.
Here it has a namespace of its own for them, in which the kernel makes none (`cgroup1_root_to_use` in
kernel/cgroup/cgroup-v1.c), a folder of its own with its own group of each, and a list of those that are mounted.
"""

import hashlib
import io
import json
import subprocess
import tarfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from containers import wait_for
from docker import DockerClient
from docker.errors import ImageNotFound, NotFound
from docker.models.containers import Container
from image_builds import build

from images.base.ensure import TAG

DEVICE = "/dev/agent-fleet-data"
PACKAGE = "hello"
"""The one that its mirror has."""
MIRROR = "127.0.0.1:5080"
"""Where a mirror of packages is asked for, in `/srv/mirror` of the image; none is started by itself."""
_NAME = "agent-fleet/test-host"
_CAPABILITIES = (
    *("AUDIT_CONTROL", "AUDIT_READ", "BLOCK_SUSPEND", "DAC_READ_SEARCH", "IPC_LOCK", "IPC_OWNER", "LEASE"),
    *("LINUX_IMMUTABLE", "NET_ADMIN", "NET_BROADCAST", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_NICE"),
    *("SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM"),
)
"""Those that systemd and an inner Docker need beside Docker's own; there is no privileged mode to need."""
_DOCKERFILE = f"""\
FROM {TAG}
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \\
    ca-certificates cloud-init dbus docker-registry docker.io iproute2 iptables python3-venv systemd systemd-sysv \\
    udev xfsprogs && rm -rf /var/lib/apt/lists/*
RUN --mount=type=secret,id=ca if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \\
    && python3 -m venv /opt/aws && /opt/aws/bin/pip install -q --disable-pip-version-check 'awscli>=1.40,<2' \\
    && ln -s /opt/aws/bin/aws /usr/local/bin/aws
RUN systemctl mask systemd-networkd.service systemd-networkd-wait-online.service systemd-resolved.service \\
    getty.target console-getty.service systemd-udev-trigger.service systemd-logind.service \\
    && systemctl disable docker-registry.service docker.service docker.socket \\
    && printf '%s\\n' 'datasource_list: [NoCloud]' 'locale: C.UTF-8' 'ssh_genkeytypes: []' \\
    >/etc/cloud/cloud.cfg.d/90_test.cfg \\
    && mkdir -p /var/lib/cloud/seed/nocloud
# One package that is not installed, for a mirror on the host itself, and no other mirror.
RUN mkdir /srv/mirror && cd /srv/mirror && apt-get update -q && apt-get download -q {PACKAGE} \\
    && deb=$(echo *.deb) && {{ dpkg-deb --field "$deb" \\
    && printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n' \\
    "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -c-64)"; }} >Packages \\
    && rm -rf /var/lib/apt/lists/* /etc/apt/sources.list.d \\
    && echo 'deb [trusted=yes] http://{MIRROR} ./' >/etc/apt/sources.list
COPY boot /boot-host
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/boot-host"]
"""
_BOOT = """\
#!/bin/sh
# Makes the container's own control groups writable, and boots.
set -eu
if cut -d: -f3- /proc/self/cgroup | grep -qvx /; then
    echo 'the control groups are not in a namespace of their own: a boot would change those of the machine' >&2
    exit 1
fi
cat /proc/mounts >/run/mounts
while read -r _ place kind _; do
    case $kind in cgroup | cgroup2) mount -o remount,bind,rw "$place" ;; esac
done </run/mounts
# Hierarchy 0 is: not mounted, or a controller of version 2, where systemd does not read this list.
if [ -e /proc/cgroups ]; then
    while read -r name hierarchy rest; do
        [ "$hierarchy" = 0 ] || printf '%s\\t%s\\t%s\\n' "$name" "$hierarchy" "$rest"
    done </proc/cgroups >/run/cgroups
    mount --bind /run/cgroups /proc/cgroups
fi
exec /sbin/init
"""


def build_host(daemon: DockerClient, folder: Path) -> str:
    """The host's image, kept under a tag that says what it was made of; one that is there is used as it is."""
    base = str(daemon.images.get(TAG).id)
    made_of = hashlib.sha256("\0".join((base, _DOCKERFILE, _BOOT)).encode()).hexdigest()
    tag = f"{_NAME}:{made_of[:16]}"
    try:
        return str(daemon.images.get(tag).id)
    except ImageNotFound:
        folder.mkdir()
        (folder / "Dockerfile").write_text(_DOCKERFILE)
        (folder / "boot").write_text(_BOOT)
        (folder / "boot").chmod(0o755)
        made = build(folder, tag)
        for image in daemon.images.list(_NAME):
            for other in image.tags:
                if other != tag:
                    daemon.images.remove(other)
        return made


class SystemdHost:
    """One instance: what it is told when it is made, and commands in it."""

    def __init__(
        self,
        daemon: DockerClient,
        image: str,
        user_data: bytes,
        *,
        name: str,
        device: str,
        registry: Path,
        environment: Mapping[str, str],
    ) -> None:
        """Make it and boot it. `device` is the machine's own, and `registry` the folder of a registry's images."""
        # By the command line: the library does not know `systempaths`.
        command = [
            *("docker", "create", "--name", f"{name}-{uuid.uuid4().hex[:6]}", "--cgroupns", "private"),
            *(f"--cap-add={each}" for each in _CAPABILITIES),
            *(f"--security-opt={each}=unconfined" for each in ("seccomp", "apparmor", "systempaths")),
            *("--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"),
            *("--device", f"{device}:{DEVICE}", "--volume", f"{registry}:/srv/registry:ro"),
            *("--volume", "/var/lib/docker", image),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self._container: Container = daemon.containers.get(done.stdout.strip())
        settings = "".join(f'"{key}={value}" ' for key, value in environment.items())
        self._write(
            {
                "/var/lib/cloud/seed/nocloud/user-data": user_data,
                "/var/lib/cloud/seed/nocloud/meta-data": f"instance-id: {uuid.uuid4().hex}\n".encode(),
                "/etc/systemd/system.conf.d/test.conf": f"[Manager]\nDefaultEnvironment={settings}\n".encode(),
            }
        )
        self._container.start()

    @property
    def address(self) -> str:
        """Its address in Docker's network."""
        self._container.reload()
        networks: dict[str, Any] = self._container.attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command in it; its exit code, and all it wrote."""
        code, output = self._container.exec_run(list(command))
        text = output if isinstance(output, bytes) else b"".join(output)
        return int(code if code is not None else -1), text.decode(errors="replace")

    def inspect(self, container: str) -> dict[str, Any]:
        """What its own Docker says of a container."""
        code, output = self.run("docker", "inspect", container)
        assert code == 0, output
        return json.loads(output)[0]

    def active(self, *units: str) -> bool:
        """Whether all these units have started."""
        # Its exit code is of any of them.
        return self.run("systemctl", "is-active", *units)[1].split() == ["active"] * len(units)

    def wait(self, *units: str, seconds: float) -> None:
        """Wait until they have; fail with what the host says."""
        try:
            wait_for(lambda: self.active(*units), f"{', '.join(units)} active", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from error

    def report(self) -> str:
        """What went wrong, as the host sees it."""
        asked = (
            "systemctl --failed --no-pager",
            "systemctl list-jobs --no-pager",
            "docker ps --all",
            "journalctl --no-pager --lines 120 --priority info",
            "tail -40 /var/log/cloud-init-output.log",
        )
        return "\n".join(self.run(*each.split())[1] for each in asked)

    def reboot(self) -> None:
        """Stop everything as a shutdown does, and boot again."""
        self._container.restart(timeout=180)

    def stop(self) -> None:
        """Shut it down."""
        self._container.stop(timeout=180)

    def remove(self) -> None:
        """Terminate it: its own disk goes with it, the data disk stays."""
        with suppress(NotFound):
            self._container.remove(force=True, v=True)

    def _write(self, files: Mapping[str, bytes]) -> None:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, content in files.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = len(content), 0o600
                tar.addfile(entry, io.BytesIO(content))
        assert self._container.put_archive("/", archive.getvalue())
