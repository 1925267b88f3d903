"""What a container's inspection says, in the terms of `docker.Container`'s inputs and outputs."""

from collections.abc import Mapping
from typing import Any

from engine.standins.values import reveal

_MIB = 1024 * 1024


def outputs(found: Mapping[str, Any], inputs: Mapping[str, Any], logs: Any) -> dict[str, Any]:
    """The outputs: the inputs with their marks, and what Docker decided."""
    config, host, state = found["Config"], found["HostConfig"], found["State"]
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    computed: dict[str, Any] = {
        "bridge": (found.get("NetworkSettings") or {}).get("Bridge", ""),
        "command": config.get("Cmd") or [],
        "containerLogs": logs or "",
        "entrypoints": config.get("Entrypoint") or [],
        # The environment that the image adds may change without the container; the official provider leaves it too.
        "envs": [],
        "exitCode": 0 if state.get("Running") else state.get("ExitCode", 0),
        "hostname": config.get("Hostname", ""),
        "init": bool(host.get("Init")),
        "ipcMode": host.get("IpcMode", ""),
        "labels": [],
        "logDriver": host["LogConfig"]["Type"],
        "name": found["Name"].lstrip("/"),
        "networkDatas": [_network(name, data) for name, data in sorted(networks.items())],
        "platform": found.get("Platform", ""),
        "runtime": host.get("Runtime", ""),
        "securityOpts": host.get("SecurityOpt") or [],
        "shmSize": (host.get("ShmSize") or 0) // _MIB,
        "stopSignal": config.get("StopSignal", ""),
        "stopTimeout": config.get("StopTimeout") or 0,
    }
    given = {key: value for key, value in inputs.items() if not key.startswith("__") and value is not None}
    result = {**computed, **given}
    if "ports" in given:
        result["ports"] = _ports(found, reveal(given["ports"]))
    return result


def inputs_as_found(found: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with what has been changed from outside, in the few places where Docker allows that."""
    if not inputs:
        return _imported(found)
    host, state = found["HostConfig"], found["State"]
    actual: dict[str, Any] = {
        "name": found["Name"].lstrip("/"),
        "restart": host["RestartPolicy"]["Name"] or "no",
        "maxRetryCount": host["RestartPolicy"]["MaximumRetryCount"],
        "memory": (host.get("Memory") or 0) // _MIB,
        "memoryReservation": (host.get("MemoryReservation") or 0) // _MIB,
        "cpuShares": host.get("CpuShares") or 0,
        "cpuSet": host.get("CpusetCpus") or "",
    }
    swap = host.get("MemorySwap") or 0
    if inputs.get("memorySwap") is not None and swap > 0:
        actual["memorySwap"] = swap // _MIB
    cpus, nano = reveal(inputs).get("cpus"), host.get("NanoCpus") or 0
    if cpus is not None and round(float(cpus) * 1e9) != nano:
        actual["cpus"] = f"{nano / 1e9:g}"
    result = dict(inputs)
    defaults = {"restart": "no", "maxRetryCount": 0, "memory": 0, "memoryReservation": 0, "cpuShares": 0, "cpuSet": ""}
    for key, value in actual.items():
        expected = reveal(inputs).get(key)
        if value != (defaults.get(key) if expected is None else expected):
            result[key] = value
    if not state.get("Running") and running_expected(reveal(inputs)):
        result["mustRun"] = False
    if "networksAdvanced" in inputs:
        result["networksAdvanced"] = _still_joined(found, reveal(inputs["networksAdvanced"]))
    return result


def running_expected(plain: Mapping[str, Any]) -> bool:
    """Whether a stopped container is a fault: the program wants it started and kept running."""
    return plain.get("mustRun") is not False and plain.get("start") is not False and not plain.get("attach")


def _still_joined(found: Mapping[str, Any], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    joined = found["NetworkSettings"].get("Networks") or {}
    known = {*joined, *(data.get("NetworkID") for data in joined.values())}
    return [network for network in wanted if network["name"] in known]


def _imported(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": found["Name"].lstrip("/"),
        "image": found["Config"]["Image"],
        "restart": found["HostConfig"]["RestartPolicy"]["Name"] or "no",
        "labels": [
            {"label": label, "value": value} for label, value in sorted((found["Config"].get("Labels") or {}).items())
        ],
    }


def _ports(found: Mapping[str, Any], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The program's ports, with the host port that Docker chose where it gave none."""
    published: dict[str, Any] = (found.get("NetworkSettings") or {}).get("Ports") or {}
    result: list[dict[str, Any]] = []
    for port in wanted:
        key = f"{port['internal']}/{port.get('protocol') or 'tcp'}"
        taken = [int(item["HostPort"]) for item in published.get(key) or []]
        external = port.get("external") or (taken[0] if taken else None)
        result.append(
            {
                "ip": "0.0.0.0",  # noqa: S104 - the official provider's default, stated as an output
                "protocol": "tcp",
                **port,
                **({"external": external} if external else {}),
            }
        )
    return result


def _network(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "networkName": name,
        "ipAddress": data.get("IPAddress", ""),
        "ipPrefixLength": data.get("IPPrefixLen", 0),
        "gateway": data.get("Gateway", ""),
        "globalIpv6Address": data.get("GlobalIPv6Address", ""),
        "globalIpv6PrefixLength": data.get("GlobalIPv6PrefixLen", 0),
        "ipv6Gateway": data.get("IPv6Gateway", ""),
        "macAddress": data.get("MacAddress", ""),
    }
