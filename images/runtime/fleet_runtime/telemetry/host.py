"""The host's disk and network (requirement D8), as a worker's container sees them; read when they are asked for.

The root of a container lies on the file system of its host's containers, so its free space is the host's. The network
is the one that the worker is in: the host's own where it uses that, as on EC2, else its container's.
"""

import os
from collections.abc import Generator, Mapping
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_NOT_A_LINK = ("lo", "veth", "docker", "br-", "cni", "flannel", "cali")
"""Loopback, and what only leads to other containers of the same host: their traffic is on the host's link again."""
_RECEIVED, _RECEIVE_ERRORS, _RECEIVE_DROPPED, _SENT, _SEND_ERRORS, _SEND_DROPPED = 0, 2, 3, 8, 10, 11


class HostCollector(Collector):
    """Three figures of the disk and four of the network."""

    def __init__(self, root: Path = Path("/"), devices: Path = Path("/proc/net/dev")) -> None:
        """Read the file system of `root`, and the kernel's table of network devices."""
        self._root = root
        self._devices = devices

    def collect(self) -> Generator[Metric]:
        """Give the figures as they are now."""
        disk = os.statvfs(self._root)
        for name, text, value in (
            ("host_disk_size_bytes", "Size of the file system that containers are on.", disk.f_blocks * disk.f_frsize),
            ("host_disk_free_bytes", "What of it is free to the fleet.", disk.f_bavail * disk.f_frsize),
            ("host_disk_free_inodes", "Files that can still be made on it.", disk.f_favail),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        network = self._network()
        for name, text in (
            ("host_network_received_bytes", "Bytes that came in over the links of the worker's network."),
            ("host_network_sent_bytes", "Bytes that went out over them."),
            ("host_network_errors", "Packets that were broken, in and out."),
            ("host_network_dropped", "Packets that there was no room for, in and out."),
        ):
            yield CounterMetricFamily(name, text, value=network[name])

    def _network(self) -> Mapping[str, float]:
        totals: dict[str, float] = dict.fromkeys(
            (
                "host_network_received_bytes",
                "host_network_sent_bytes",
                "host_network_errors",
                "host_network_dropped",
            ),
            0.0,
        )
        # Two lines of headings, then `device: 8 figures in, 8 figures out`.
        for line in self._devices.read_text().splitlines()[2:]:
            device, _, figures = line.partition(":")
            if device.strip().startswith(_NOT_A_LINK):
                continue
            counts = [int(figure) for figure in figures.split()]
            totals["host_network_received_bytes"] += counts[_RECEIVED]
            totals["host_network_sent_bytes"] += counts[_SENT]
            totals["host_network_errors"] += counts[_RECEIVE_ERRORS] + counts[_SEND_ERRORS]
            totals["host_network_dropped"] += counts[_RECEIVE_DROPPED] + counts[_SEND_DROPPED]
        return totals
