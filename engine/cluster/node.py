"""Starts the one-node cluster, or what is missing of it, in the order in which its parts need each other."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from string import Template

from engine.cluster import certificates, configuration, conflicts, containers, health, kernel_settings, network, removal
from engine.cluster.layout import Layout
from engine.cluster.parts import Parts
from engine.cluster.pause_image import PAUSE_IMAGE, archive
from engine.cluster.processes import Part, Supervisor, end
from engine.cluster.programs import Programs, link
from engine.docker_install import last_lines
from engine.errors import UserFacingError
from engine.report import Report

_OBJECTS = Path(__file__).with_name("objects.yaml")
_METRICS = Path(__file__).with_name("metrics.yaml")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TICK = 0.1
_EVERY_SECONDS = 15.0
_LIMITS = {"etcd": 60.0, "api-server": 120.0, "node": 120.0, "metrics": 120.0}


class Node:
    """The cluster of one checkout on this machine."""

    def __init__(self, layout: Layout, programs: Programs, report: Report) -> None:
        """Nothing is started yet."""
        self.layout = layout
        self.programs = programs
        self.parts = Parts(layout, programs)
        self.supervisor = Supervisor(layout.processes, layout.logs)
        self._report = report

    def runs(self) -> bool:
        """Whether everything runs as it would be started now, and answers."""
        if not self.layout.kubeconfig.exists() or not network.complete(self.layout):
            return False
        if not all(self.supervisor.is_current(part) for part in self.parts.all()):
            return False
        return all(check(self.layout) for check in self._checks().values()) and health.node(self.layout)

    def _checks(self) -> dict[str, Callable[[Layout], bool]]:
        return {
            "etcd": health.etcd,
            "registry": health.registry,
            "containerd": health.containerd,
            "api-server": health.api_server,
            "kubelet": health.kubelet,
            "proxy": health.proxy,
            "name-service": health.name_service,
            "metrics-server": health.metrics,
        }

    def check(self) -> None:
        """Raise UserFacingError when something stands in the way; nothing has been changed then."""
        layout = self.layout
        conflicts.check_owner(layout)
        running = {part.name: found for part in self.parts.all() if (found := self.supervisor.process(part))}
        running |= self.supervisor.recorded()
        conflicts.check_other_nodes([process.pid for process in running.values()])
        ports = {
            "etcd": [layout.etcd_port, layout.etcd_peer_port],
            "registry": [layout.registry_port],
            "api-server": [layout.api_port],
            "kubelet": [layout.kubelet_port, layout.kubelet_health_port],
            "proxy": [layout.proxy_health_port, layout.proxy_metrics_port],
            "name-service": [layout.dns_port, layout.dns_health_port],
            "metrics-server": [layout.metrics_port],
        }
        wanted = {name: numbers for name, numbers in ports.items() if name not in running}
        conflicts.check_ports([(name, number) for name, numbers in wanted.items() for number in numbers])
        conflicts.check_routes(layout)

    def _prepare(self) -> None:
        layout = self.layout
        removal.clear_abandoned(layout, self._report)
        for folder in (layout.folder, layout.run, layout.data, layout.volumes, layout.processes, layout.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.folder.chmod(0o700)
        boot = _BOOT.read_text().strip()
        marker = layout.folder / "boot"
        if marker.exists() and marker.read_text() != boot:
            self._report("The machine was started anew since: the cluster comes back with what it had.")
            shutil.rmtree(layout.run)
            layout.run.mkdir(mode=0o700)
        marker.write_text(boot)
        certificates.ensure_certificates(layout)
        configuration.write(layout)
        kernel_settings.remember(layout.folder / "kernel.json")
        network.ensure(layout)
        containers.ensure_cgroup(layout)

    def _start(self, *parts: Part) -> list[str]:
        """Start those that do not run as they should; their names."""
        started: list[str] = []
        for part in parts:
            if self.supervisor.is_current(part):
                continue
            if (old := self.supervisor.process(part)) is not None:
                end([old])
            self.supervisor.start(part)
            started.append(part.name)
        return started

    def _wait(self, what: str, answers: Callable[[Layout], bool], *needed: Part) -> None:
        """Wait until something answers, as long as the parts that it needs run."""
        begun = said = time.monotonic()
        limit = _LIMITS.get(what, 60.0)
        while not answers(self.layout):
            now = time.monotonic()
            for part in needed:
                if self.supervisor.process(part) is None:
                    raise UserFacingError(
                        f"The cluster's {part.name} ended at once:\n{last_lines(self.supervisor.log(part))}",
                        f"Its whole log is {self.supervisor.log(part)}.",
                    )
            if now - begun > limit:
                told = "\n".join(last_lines(self.supervisor.log(part), 2) for part in needed)
                raise UserFacingError(
                    f"The cluster's {what} was not ready within {limit:.0f} s:\n{told}",
                    f"The logs are in {self.layout.logs}. Running the command again goes on from here.",
                )
            if now - said > _EVERY_SECONDS:
                said = now
                self._report(f"  still waiting for {what} ({now - begun:.0f} s)")
            time.sleep(_TICK)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl prints, as the administrator."""
        command = [str(self.programs.path("kubectl")), f"--kubeconfig={self.layout.kubeconfig}", *arguments]
        ended = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)
        if ended.returncode:
            raise UserFacingError(
                f"`kubectl {' '.join(arguments)}` failed: {ended.stderr.strip()[-500:]}",
                f"The API server's log is {self.layout.logs / 'api-server.log'}.",
            )
        return ended.stdout

    def _apply(self, path: Path, more: str = "") -> None:
        values = vars(self.layout) | {"authority": configuration.encoded(self.layout, "ca.crt")}
        text = Template(path.read_text()).substitute(values) + more
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", given=text)

    def start(self) -> list[str]:
        """Start what does not run, wait until pods can run; the names of what was started."""
        parts = self.parts
        self._prepare()
        link(self.programs, self.layout.programs)
        started = self._start(parts.etcd, parts.registry, parts.containerd)
        self._wait("etcd", health.etcd, parts.etcd)
        started += self._start(parts.api_server)
        self._wait("containerd", health.containerd, parts.containerd)
        self._wait("registry", health.registry, parts.registry)
        if PAUSE_IMAGE not in containers.images(self.layout):
            containers.import_archive(self.layout, archive(self.programs.path("pause")))
        self._wait("api-server", health.api_server, parts.api_server, parts.etcd)
        later = (parts.controller_manager, parts.scheduler, parts.kubelet, parts.proxy)
        started += self._start(*later)
        self._apply(_OBJECTS, configuration.gvisor_object())
        # These leave when the API refuses them, which it does until the rules above are there.
        started += self._start(parts.name_service, parts.metrics_server, parts.volumes)
        self._wait("kubelet", health.kubelet, parts.kubelet)
        self._wait("proxy", health.proxy, parts.proxy)
        self._wait("node", health.node_knows_pods, parts.kubelet, parts.containerd, parts.controller_manager)
        self._wait("name-service", health.name_service, parts.name_service)
        self._wait("metrics-server", health.metrics_server, parts.metrics_server)
        self._apply(_METRICS)
        self._wait("metrics", health.metrics, parts.metrics_server, parts.api_server)
        for part in (*later, parts.volumes):
            self._wait(part.name, self._runs(part), part)
        return started

    def _runs(self, part: Part) -> Callable[[Layout], bool]:
        return lambda _: self.supervisor.is_current(part)
