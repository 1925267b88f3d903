"""The systemd renderer: a `Workload` of plain values as a unit that runs its container, with the posture it describes.

Docker's command line has no health check without a shell, and the runtime image has no shell, so the unit asks the
workload's own probe before it counts as started; what comes after it waits for that.
"""

from collections.abc import Mapping, Sequence

from agent_fleet.labels import labels
from agent_fleet.scratch_options import tmpfs_options
from agent_fleet.systemd.host_plan import FOLDER, PROGRAMS, SECRETS, HostFile, HostUnit
from agent_fleet.workload import CredentialsMount, HostPathMount, Mount, ScratchMount, Workload

HOST_NETWORK = "host"
"""For programs of the fleet. With a hop limit of 1 the instance's metadata is out of reach from any other network."""
START_SECONDS = 300
"""How long a program may take to become healthy: the database may have to recover first."""
_STOP_MARGIN_SECONDS = 15
_STREAM = "awslogs-stream"
_HOST_NAME = "%H"
"""As systemd writes it in a unit."""
_RESTART_SECONDS = 5


def unit_name(workload: str) -> str:
    """The name of a workload's unit."""
    return f"{workload}.service"


def environment_file(workload: Workload) -> HostFile:
    """The variables that are no secrets."""
    return HostFile(path=_plain_variables(workload), content=environment_text(_texts(workload.environment)))


def environment_text(variables: Mapping[str, str]) -> str:
    """As `docker run --env-file` reads it. Raises ValueError for a value of several lines, which it cannot hold."""
    for name, value in variables.items():
        if "\n" in value or "\r" in value:
            raise ValueError(
                f"{name}: its value has several lines, which no environment file can hold: write it in one"
            )
    return "".join(f"{name}={value}\n" for name, value in sorted(variables.items()))


def container_unit(
    workload: Workload,
    *,
    fleet: str,
    after: Sequence[str] = (),
    region: str = "",
    log_group: str | None = None,
) -> HostUnit:
    """The unit; `after` names workloads and units that must be healthy or done before it starts.

    Raises ValueError for what a host cannot give.
    """
    docker, name = "/usr/bin/docker", workload.name
    grace = workload.stop_grace_seconds
    order = [each if "." in each else unit_name(each) for each in after]
    probe = " ".join(_quoted(each) for each in workload.probe.command)
    stop = f"{docker} stop -t {grace} {name}"
    lines = [
        "[Unit]",
        f"Description=agent-fleet: {workload.role}",
        f"After=docker.service network-online.target {' '.join(order)}".rstrip(),
        f"Wants=network-online.target {' '.join(order)}".rstrip(),
        "Requires=docker.service",
        # It is tried for as long as it takes: nobody is there to start it again.
        "StartLimitIntervalSec=0",
        "PartOf=agent-fleet.target",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStartPre={PROGRAMS}/pull {_quoted(str(workload.image))}",
        f"ExecStartPre=-{docker} rm --force {name}",
        "ExecStartPre=" + " \\\n    ".join([f"{docker} run", *_options(workload, fleet, region, log_group)]),
        # Its output is the container's log, and not the journal's as well.
        f"ExecStart={docker} wait {name}",
        f"ExecStartPost={PROGRAMS}/wait-until-healthy {name} {probe}",
        f"ExecStop={stop}",
        # Also when it has never become healthy.
        f"ExecStopPost=-{stop}",
        "StandardOutput=null",
        "Restart=always",
        f"RestartSec={_RESTART_SECONDS}",
        f"TimeoutStartSec={START_SECONDS}",
        f"TimeoutStopSec={grace + _STOP_MARGIN_SECONDS}",
        "",
        "[Install]",
        "WantedBy=agent-fleet.target",
        "",
    ]
    return HostUnit(name=unit_name(name), text="\n".join(lines))


def _options(workload: Workload, fleet: str, region: str, log_group: str | None) -> list[str]:
    hardening, resources, user = workload.hardening, workload.resources, workload.user
    pairs: list[tuple[str, ...]] = [
        ("--detach",),
        ("--pull", "never"),
        ("--name", workload.name),
        ("--user", f"{user.uid}:{user.gid}"),
        *(("--group-add", str(gid)) for gid in user.supplementary_gids),
        *(("--label", f"{label}={value}") for label, value in sorted(labels(fleet, workload.role).items())),
        ("--network", _network(workload)),
        *((("--read-only",),) if hardening.read_only_root else ()),
        *(("--cap-drop", capability) for capability in hardening.dropped_capabilities),
        *(() if hardening.privilege_escalation_allowed else (("--security-opt", "no-new-privileges=true"),)),
        ("--memory", f"{int(str(resources.memory_mebibytes))}m"),
        ("--memory-swap", f"{int(str(resources.memory_mebibytes))}m"),
        ("--cpus", f"{resources.cpus:g}"),
        ("--pids-limit", str(resources.processes)),
        ("--restart", "no"),
        *_logging(workload, region, log_group),
        ("--env-file", _plain_variables(workload)),
        *((("--env-file", f"{SECRETS}/{workload.name}.env"),) if workload.secret_environment else ()),
        *(_mounted(workload, mount) for mount in workload.mounts),
    ]
    words = [" ".join(_host_named(word) for word in pair) for pair in pairs]
    return [*words, " ".join(_quoted(word) for word in (str(workload.image), *workload.command))]


def _network(workload: Workload) -> str:
    if any(port.published is not None for port in workload.ports):
        raise ValueError(
            f"{workload.name} publishes a port: on a host of systemd it is on the host's network, or has none"
        )
    if len(workload.networks) > 1:
        raise ValueError(
            f"{workload.name} is on {len(workload.networks)} networks; a unit's container is on one or none"
        )
    return str(workload.networks[0]) if workload.networks else "none"


def _logging(workload: Workload, region: str, log_group: str | None) -> list[tuple[str, ...]]:
    size, files = f"{workload.log_rotation.maximum_megabytes}m", str(workload.log_rotation.files)
    if log_group is None:
        options = {"max-size": size, "max-file": files}
        return [("--log-driver", "json-file"), *(("--log-opt", f"{key}={value}") for key, value in options.items())]
    options = {
        "awslogs-region": region,
        "awslogs-group": log_group,
        # Hosts of a group are alike: in one stream for all of them, nobody could tell whose a line is.
        _STREAM: f"{workload.name}/{_HOST_NAME}",
        # A program must neither wait for CloudWatch nor fail to start without it.
        "mode": "non-blocking",
        "max-buffer-size": "4m",
        # What `docker logs` shows.
        "cache-max-size": size,
        "cache-max-file": files,
    }
    return [("--log-driver", "awslogs"), *(("--log-opt", f"{key}={value}") for key, value in options.items())]


def _mounted(workload: Workload, mount: Mount) -> tuple[str, ...]:
    if isinstance(mount, ScratchMount):
        return "--tmpfs", f"{mount.path}:{tmpfs_options(mount)}"
    if isinstance(mount, CredentialsMount):
        raise ValueError(
            f"{workload.name} mounts credentials at {mount.path}, and a host has none to give: leave the mount out, or "
            "run the workload in a cluster"
        )
    source = mount.host_path if isinstance(mount, HostPathMount) else str(mount.volume)
    # A path is a folder of the host's, on its data volume; anything else is one of Docker's own volumes.
    kind = "bind" if isinstance(mount, HostPathMount) or source.startswith("/") else "volume"
    read_only = ",readonly" if mount.read_only else ""
    return "--mount", f"type={kind},source={source},target={mount.path}{read_only}"


def _plain_variables(workload: Workload) -> str:
    return f"{FOLDER}/{workload.name}.env"


def _texts(variables: Mapping[str, object]) -> Mapping[str, str]:
    return {name: str(value) for name, value in variables.items()}


def _host_named(word: str) -> str:
    """The word as systemd reads it, where one option has the host's name in it."""
    quoted = _quoted(word)
    return quoted.replace(_HOST_NAME.replace("%", "%%"), _HOST_NAME) if word.startswith(_STREAM) else quoted


def _quoted(word: str) -> str:
    """The word as systemd reads it: no specifier, no variable, one word."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(letter in " \t'\"\\;" for letter in word) or not word else escaped
