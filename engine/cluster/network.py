"""What the cluster adds to the machine's network: one interface, one route, and rules in chains of its own.

Docker's rules are left as they are. Everything here is made again where it is missing, so that a reboot, or a firewall
that was loaded anew, is put right by the next start.
"""

import ipaddress
import json
import subprocess
from pathlib import Path

from engine.cluster.layout import Layout
from engine.errors import UserFacingError

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# kube-proxy's and the kubelet's chains all begin so.
_KUBERNETES_CHAINS = "KUBE-"
_TABLES = ("filter", "nat", "mangle", "raw")


def run(*command: str) -> str:
    """The output of a program; raises UserFacingError with its words when it fails."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip() or "no output").splitlines()[-1]
        raise UserFacingError(
            f"`{' '.join(command)}` failed: {said}",
            "The cluster's node needs a machine whose network root may change.",
        )
    return ended.stdout


def owner(layout: Layout) -> str | None:
    """Whose cluster runs on this machine, as Layout.owner says it; None where none does."""
    # Not from /sys, which tells of the network namespace in which it was mounted.
    command = ["ip", "-json", "link", "show", "dev", layout.interface]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return None
    return str(json.loads(listed.stdout)[0].get("ifalias", "")) if listed.returncode == 0 else None


def overlapping_routes(layout: Layout, routes: str | None = None) -> list[str]:
    """Routes of this machine, as `ip route` tells them, that the cluster's networks would cut off."""
    listed = json.loads(routes if routes is not None else run("ip", "-json", "-4", "route", "show"))
    ours = [ipaddress.ip_network(network) for network in (layout.pod_network, layout.service_network)]
    found: list[str] = []
    for route in listed:
        target, device = str(route.get("dst", "")), str(route.get("dev", ""))
        if target == "default" or device == layout.interface:
            continue
        network = ipaddress.ip_network(target, strict=False)
        # A pod's route is a single address by its own interface; another range inside ours is somebody else's.
        single = network.prefixlen == 32 and device.startswith("veth")
        if not single and any(network.overlaps(own) for own in ours):
            found.append(f"{target} by {device}")
    return found


def _has_rule(tool: str, table: str, *rule: str) -> bool:
    command = [tool, "-w", "30", "-t", table, "-C", *rule]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def _ensure_chain(chain: str, table: str, hook: str, rules: list[list[str]]) -> None:
    tool = "iptables"
    subprocess.run([tool, "-w", "30", "-t", table, "-N", chain], capture_output=True, check=False, timeout=60)
    for rule in rules:
        if not _has_rule(tool, table, chain, *rule):
            run(tool, "-w", "30", "-t", table, "-A", chain, *rule)
    if not _has_rule(tool, table, hook, "-j", chain):
        run(tool, "-w", "30", "-t", table, "-I", hook, "1", "-j", chain)


def ensure(layout: Layout) -> None:
    """Have the interface with the node's address, the route to services, forwarding and its rules."""
    if owner(layout) is None:
        run("ip", "link", "add", layout.interface, "type", "bridge")
        run("ip", "link", "set", layout.interface, "alias", layout.owner)
    run("ip", "address", "replace", f"{layout.node_address}/32", "dev", layout.interface)
    run("ip", "link", "set", layout.interface, "up")
    # So that this machine reaches services even where it has no default route.
    run("ip", "route", "replace", layout.service_network, "dev", layout.interface, "src", layout.node_address)
    if _FORWARDING.read_text().strip() != "1":
        _FORWARDING.write_text("1")
    # Docker drops what is forwarded and not its own.
    forwarded = [["-s", layout.pod_network, "-j", "ACCEPT"], ["-d", layout.pod_network, "-j", "ACCEPT"]]
    _ensure_chain(layout.chain, "filter", "FORWARD", forwarded)
    # Linux answers for any of its addresses on any interface: without this a neighbour that sets a route gets in.
    foreign = ["!", "-s", layout.pod_network, "-d", f"{layout.node_address}/32", "!", "-i", "lo", "-j", "DROP"]
    _ensure_chain(layout.input_chain, "filter", "INPUT", [foreign])
    leaving = ["-s", layout.pod_network, "!", "-d", layout.pod_network, "-j", "MASQUERADE"]
    _ensure_chain(layout.chain, "nat", "POSTROUTING", [leaving])


def complete(layout: Layout) -> bool:
    """Whether all of it is there."""
    return (
        owner(layout) == layout.owner
        and _has_rule("iptables", "filter", "FORWARD", "-j", layout.chain)
        and _has_rule("iptables", "filter", "INPUT", "-j", layout.input_chain)
        and _has_rule("iptables", "nat", "POSTROUTING", "-j", layout.chain)
        and f"inet {layout.node_address}/32" in run("ip", "-4", "address", "show", "dev", layout.interface)
    )


def rules_without(listed: str, chains: tuple[str, ...]) -> list[str]:
    """Lines for `iptables-restore --noflush` that remove chains with these beginnings from what `iptables -S` lists."""
    names = [line.split()[1] for line in listed.splitlines() if line.startswith("-N ")]
    ours = [name for name in names if name.startswith(chains)]
    jumps = [
        f"-D {line.removeprefix('-A ')}"
        for line in listed.splitlines()
        if line.startswith("-A ")
        and line.split()[1] not in ours
        and any(target in ours for target in line.partition(" -j ")[2].split()[:1])
    ]
    return [*jumps, *(f"-F {name}" for name in ours), *(f"-X {name}" for name in ours)]


def _remove_chains(layout: Layout) -> None:
    for tool in ("iptables", "ip6tables"):
        for table in _TABLES:
            listed = subprocess.run(
                [tool, "-w", "30", "-t", table, "-S"], capture_output=True, text=True, check=False, timeout=60
            )
            lines = rules_without(listed.stdout, (layout.chain, _KUBERNETES_CHAINS))
            if listed.returncode or not lines:
                continue  # the kernel has no such table, or nothing of ours is in it
            text = "\n".join([f"*{table}", *lines, "COMMIT", ""])
            subprocess.run(
                [f"{tool}-restore", "-w", "30", "--noflush"],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )


def remove(layout: Layout) -> None:
    """Take it all away; forwarding stays on, since Docker or others may rely on it by now."""
    _remove_chains(layout)
    for route in json.loads(run("ip", "-json", "-4", "route", "show")):
        target, device = str(route.get("dst", "")), str(route.get("dev", ""))
        inside = target != "default" and ipaddress.IPv4Network(target, strict=False).subnet_of(
            ipaddress.IPv4Network(layout.pod_subnet)
        )
        if inside and device.startswith("veth"):
            # A pod's interface that outlived its pod.
            subprocess.run(["ip", "link", "delete", device], capture_output=True, check=False, timeout=60)
    # Last: while it is there, an interrupted removal is seen as such.
    if owner(layout) is not None:
        run("ip", "link", "delete", layout.interface)
