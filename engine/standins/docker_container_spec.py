"""From the inputs of `docker.Container` to what the Docker Engine API takes, as the official provider translates them.

Semantics from kreuzwerker/terraform-provider-docker, internal/provider/resource_docker_container*.go: memory and
shared memory are in MiB, durations are Go durations, `networksAdvanced` networks are joined after creation.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

_MIB = 1024 * 1024
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}

Inputs = Mapping[str, Any]


def create_body(inputs: Inputs) -> dict[str, Any]:
    """The body of `POST /containers/create`."""
    exposed, bindings = _ports(inputs)
    volumes, binds, volumes_from = _volumes(inputs)
    body: dict[str, Any] = {
        "Image": inputs["image"],
        "Hostname": inputs.get("hostname"),
        "Domainname": inputs.get("domainname"),
        "User": inputs.get("user"),
        "WorkingDir": inputs.get("workingDir"),
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "Env": inputs.get("envs"),
        "Labels": labels(inputs.get("labels")),
        "Tty": inputs.get("tty", False),
        "OpenStdin": inputs.get("stdinOpen", False),
        "StopSignal": inputs.get("stopSignal"),
        "StopTimeout": inputs.get("stopTimeout"),
        "Healthcheck": _healthcheck(inputs.get("healthcheck")),
        "ExposedPorts": exposed,
        "Volumes": volumes,
        "HostConfig": _without_none(_host_config(inputs, bindings, binds, volumes_from)),
    }
    return _without_none(body)


def update_body(inputs: Inputs) -> dict[str, Any]:
    """The body of `POST /containers/ID/update`: what Docker can change while a container runs."""
    body: dict[str, Any] = {
        "CpuShares": inputs.get("cpuShares") or 0,
        "CpusetCpus": inputs.get("cpuSet") or "",
        "Memory": _bytes(inputs.get("memory")) or 0,
        "MemoryReservation": _bytes(inputs.get("memoryReservation")) or 0,
        "RestartPolicy": _restart_policy(inputs),
    }
    # Docker sets memory plus swap to twice the memory when a container is created, and refuses a later rise of the
    # memory above it.
    swap = _bytes(inputs.get("memorySwap"))
    body["MemorySwap"] = swap if swap is not None else 2 * body["Memory"]
    if inputs.get("cpus") is None:
        body |= {"CpuPeriod": inputs.get("cpuPeriod") or 0, "CpuQuota": inputs.get("cpuQuota") or 0}
    return body | _throttles(inputs)


def labels(items: Any) -> dict[str, str]:
    """The labels as Docker has them, from the list of `{label, value}`."""
    return {item["label"]: item["value"] for item in items or []}


def endpoints(inputs: Inputs) -> list[tuple[str, dict[str, Any]]]:
    """The networks of `networksAdvanced` with each one's endpoint settings."""
    found: list[tuple[str, dict[str, Any]]] = []
    for network in inputs.get("networksAdvanced") or []:
        addresses = {
            "IPv4Address": network.get("ipv4Address"),
            "IPv6Address": network.get("ipv6Address"),
            "LinkLocalIPs": network.get("linkLocalIps"),
        }
        settings = {
            "Aliases": network.get("aliases"),
            "IPAMConfig": _without_none(addresses) or None,
            "MacAddress": network.get("macAddress"),
            "DriverOpts": dict(option.partition("=")[::2] for option in network.get("driverOpts") or []) or None,
            "GwPriority": network.get("gwPriority"),
        }
        found.append((network["name"], _without_none(settings)))
    return found


def nanoseconds(duration: str) -> int:
    """A Go duration (`1m30s`, `500ms`) in nanoseconds; raises ValueError for anything else."""
    pieces = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", duration)
    if duration != "0" and ("".join(number + unit for number, unit in pieces) != duration or not pieces):
        raise ValueError(f"{duration!r} is no duration; write 500ms, 10s or 1m30s")
    return int(sum(float(number) * _NANOSECONDS[unit] for number, unit in pieces))


def _host_config(
    inputs: Inputs, bindings: dict[str, Any] | None, binds: list[str] | None, volumes_from: list[str] | None
) -> dict[str, Any]:
    capabilities = inputs.get("capabilities") or {}
    options, masked = _security_options(inputs.get("securityOpts"))
    cpus = inputs.get("cpus")
    config: dict[str, Any] = {
        "Privileged": inputs.get("privileged", False),
        "PublishAllPorts": inputs.get("publishAllPorts", False),
        "RestartPolicy": _restart_policy(inputs),
        "Runtime": inputs.get("runtime"),
        "Mounts": [_mount(item) for item in inputs.get("mounts") or []] or None,
        "AutoRemove": inputs.get("rm", False),
        "ReadonlyRootfs": inputs.get("readOnly", False),
        "LogConfig": {"Type": inputs.get("logDriver") or "", "Config": inputs.get("logOpts") or {}},
        "Tmpfs": inputs.get("tmpfs"),
        "PortBindings": bindings,
        "Binds": binds,
        "VolumesFrom": volumes_from,
        "ExtraHosts": [f"{item['host']}:{item['ip']}" for item in inputs.get("hosts") or []] or None,
        "Ulimits": [
            {"Name": item["name"], "Soft": item["soft"], "Hard": item["hard"]} for item in inputs.get("ulimits") or []
        ]
        or None,
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "Devices": [_device(item) for item in inputs.get("devices") or []] or None,
        "DeviceRequests": _device_requests(inputs),
        "Dns": inputs.get("dns"),
        "DnsOptions": inputs.get("dnsOpts"),
        "DnsSearch": inputs.get("dnsSearches"),
        "SecurityOpt": options,
        "MaskedPaths": masked,
        "ReadonlyPaths": masked,
        "Memory": _bytes(inputs.get("memory")),
        "MemoryReservation": _bytes(inputs.get("memoryReservation")),
        "MemorySwap": _bytes(inputs.get("memorySwap")),
        "ShmSize": _bytes(inputs.get("shmSize")),
        "NanoCpus": round(float(cpus) * 1e9) if cpus is not None else None,
        "CpuPeriod": inputs.get("cpuPeriod") if cpus is None else None,
        "CpuQuota": inputs.get("cpuQuota") if cpus is None else None,
        "CpuShares": inputs.get("cpuShares"),
        "CpusetCpus": inputs.get("cpuSet"),
        "NetworkMode": inputs.get("networkMode") or "bridge",
        "UsernsMode": inputs.get("usernsMode"),
        "PidMode": inputs.get("pidMode"),
        "IpcMode": inputs.get("ipcMode"),
        "CgroupnsMode": inputs.get("cgroupnsMode"),
        "CgroupParent": inputs.get("cgroupParent"),
        "Sysctls": inputs.get("sysctls"),
        "GroupAdd": inputs.get("groupAdds"),
        "Init": inputs.get("init", False),
        "StorageOpt": inputs.get("storageOpts"),
        "DeviceCgroupRules": inputs.get("deviceCgroupRules"),
    }
    return config | _throttles(inputs)


def _restart_policy(inputs: Inputs) -> dict[str, Any]:
    return {"Name": inputs.get("restart") or "no", "MaximumRetryCount": inputs.get("maxRetryCount") or 0}


def _bytes(mebibytes: int | None) -> int | None:
    return mebibytes if mebibytes is None or mebibytes <= 0 else mebibytes * _MIB


def _ports(inputs: Inputs) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    exposed: dict[str, Any] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in inputs.get("ports") or []:
        key = f"{port['internal']}/{port.get('protocol') or 'tcp'}"
        exposed[key] = {}
        external = port.get("external")
        bindings.setdefault(key, []).append(
            {"HostIp": port.get("ip") or "0.0.0.0", "HostPort": str(external) if external else ""}  # noqa: S104
        )
    return exposed or None, bindings or None


def _volumes(inputs: Inputs) -> tuple[dict[str, Any] | None, list[str] | None, list[str] | None]:
    volumes: dict[str, Any] = {}
    binds: list[str] = []
    volumes_from: list[str] = []
    for volume in inputs.get("volumes") or []:
        target = volume.get("containerPath")
        source = volume.get("hostPath") or volume.get("volumeName")
        if volume.get("fromContainer"):
            volumes_from.append(volume["fromContainer"])
            continue
        volumes[target] = {}
        if source:
            mode = "ro" if volume.get("readOnly") else "rw"
            relabel = volume.get("selinuxRelabel")
            binds.append(f"{source}:{target}:{mode}{f',{relabel}' if relabel else ''}")
    return volumes or None, binds or None, volumes_from or None


def _mount(mount: Inputs) -> dict[str, Any]:
    bind, volume, tmpfs = (mount.get(key) or {} for key in ("bindOptions", "volumeOptions", "tmpfsOptions"))
    driver = _without_none({"Name": volume.get("driverName"), "Options": volume.get("driverOptions")})
    options: dict[str, Callable[[], dict[str, Any]]] = {
        "bind": lambda: {"BindOptions": _without_none({"Propagation": bind.get("propagation")}) or None},
        "volume": lambda: {
            "VolumeOptions": _without_none(
                {
                    "NoCopy": volume.get("noCopy"),
                    "Labels": labels(volume.get("labels")) or None,
                    "DriverConfig": driver or None,
                    "Subpath": volume.get("subpath"),
                }
            )
            or None
        },
        "tmpfs": lambda: {
            "TmpfsOptions": _without_none({"SizeBytes": tmpfs.get("sizeBytes"), "Mode": tmpfs.get("mode")}) or None
        },
    }
    body = {
        "Type": mount["type"],
        "Target": mount["target"],
        "Source": mount.get("source"),
        "ReadOnly": mount.get("readOnly", False),
    }
    return _without_none(body | options[mount["type"]]())


def _healthcheck(check: Inputs | None) -> dict[str, Any] | None:
    if check is None:
        return None
    durations = {
        key: nanoseconds(check[name])
        for key, name in (
            ("Interval", "interval"),
            ("Timeout", "timeout"),
            ("StartPeriod", "startPeriod"),
            ("StartInterval", "startInterval"),
        )
        if check.get(name)
    }
    return _without_none({"Test": check.get("tests"), "Retries": check.get("retries"), **durations})


def _security_options(options: list[str] | None) -> tuple[list[str] | None, list[str] | None]:
    """`systempaths=unconfined` is the client's word for no masked and no read-only paths."""
    if options and "systempaths=unconfined" in options:
        return [option for option in options if option != "systempaths=unconfined"], []
    return options, None


def _device(device: Inputs) -> dict[str, Any]:
    return {
        "PathOnHost": device["hostPath"],
        "PathInContainer": device.get("containerPath") or device["hostPath"],
        "CgroupPermissions": device.get("permissions") or "rwm",
    }


def _device_requests(inputs: Inputs) -> list[dict[str, Any]] | None:
    gpus = str(inputs.get("gpus") or "").strip().strip("\"'")
    if gpus:
        devices = gpus.removeprefix("device=").split(",") if gpus.startswith("device=") else None
        request = {"Count": None if devices else -1, "DeviceIDs": devices, "Capabilities": [["gpu"]]}
        return [_without_none(request)]
    requests = [
        {
            "Driver": item.get("driver") or "cdi",
            "Count": item.get("count") or 0,
            "DeviceIDs": item.get("deviceIds") or [],
            "Capabilities": [item["capabilities"]] if item.get("capabilities") else [],
            "Options": item.get("options") or {},
        }
        for item in inputs.get("deviceRequests") or []
    ]
    return requests or None


def _throttles(inputs: Inputs) -> dict[str, Any]:
    return {
        key: [{"Path": item["path"], "Rate": item["rate"]} for item in inputs.get(name) or []] or None
        for key, name in (
            ("BlkioDeviceReadBps", "deviceReadBps"),
            ("BlkioDeviceReadIOps", "deviceReadIops"),
            ("BlkioDeviceWriteBps", "deviceWriteBps"),
            ("BlkioDeviceWriteIOps", "deviceWriteIops"),
        )
    }


def _without_none(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}
