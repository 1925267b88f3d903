"""The units of a host that run no container: what must be done before the programs start, and what is done daily."""

import json
import re
from collections.abc import Sequence

from agent_fleet.systemd.host_plan import (
    FOLDER,
    PROGRAMS,
    SECRETS,
    SETUP_UNIT,
    TARGET,
    DataVolume,
    HostFile,
    HostSecret,
    HostUnit,
)
from agent_fleet.systemd.host_scripts import (
    CLEAN_UP,
    FETCH_SECRETS,
    INSTALL_PACKAGES,
    MOUNT_DATA,
    PULL,
    WAIT_UNTIL_HEALTHY,
)

DATA_UNIT = "agent-fleet-data.service"
SECRETS_UNIT = "agent-fleet-secrets.service"
IMAGES_UNIT = "agent-fleet-images.service"
DOCKER_SETTINGS = f"{FOLDER}/docker"
_ECR = re.compile(r"\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$")
_IMAGES = f"{FOLDER}/images"
_SET_UP = f"{FOLDER}/set-up"
"""A file that is there once the host has all that its units need."""
_SETUP_LIMIT_SECONDS = 3_600
_DATA_LIMIT_SECONDS = 960


def scripts() -> tuple[HostFile, ...]:
    """The scripts of all units."""
    named = {
        "install-packages": INSTALL_PACKAGES,
        "pull": PULL,
        "wait-until-healthy": WAIT_UNTIL_HEALTHY,
        "mount-data": MOUNT_DATA,
        "fetch-secrets": FETCH_SECRETS,
        "clean-up": CLEAN_UP,
    }
    return tuple(HostFile(path=f"{PROGRAMS}/{name}", content=text, mode="0755") for name, text in named.items())


def target(units: Sequence[str]) -> HostUnit:
    """What starts all the others."""
    lines = ["[Unit]", "Description=agent-fleet", *(f"Wants={each}" for each in units)]
    return HostUnit(name=TARGET, text="\n".join([*lines, "", "[Install]", "WantedBy=multi-user.target", ""]))


def setup_unit(packages: Sequence[str], commands: Sequence[Sequence[str]]) -> HostUnit:
    """Installs what the units need, once, and starts them. cloud-init would ask for packages once and go on without."""
    control = "/usr/bin/systemctl"
    steps = [
        " ".join((f"{PROGRAMS}/install-packages", *packages)),
        f"{control} daemon-reload",
        f"{control} enable --now docker.service",
        # Nothing of the fleet waits for what only watches it.
        *(f"-{' '.join(each)}" for each in commands),
        f"/usr/bin/touch {_SET_UP}",
        f"{control} start --no-block {TARGET}",
    ]
    lines = [
        "[Unit]",
        "Description=agent-fleet: set-up",
        "After=network-online.target",
        "Wants=network-online.target",
        f"ConditionPathExists=!{_SET_UP}",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=oneshot",
        *(f"ExecStart={step}" for step in steps),
        "Restart=on-failure",
        "RestartSec=60",
        f"TimeoutStartSec={_SETUP_LIMIT_SECONDS}",
        "",
        "[Install]",
        # Not by the target, which it starts: a host that was restarted before it was set up goes on.
        "WantedBy=multi-user.target",
        "",
    ]
    return HostUnit(name=SETUP_UNIT, text="\n".join(lines), wanted=False)


def data_unit(volume: DataVolume) -> HostUnit:
    """Mounts the data volume."""
    folders = " ".join(f"{folder} {owner}" for folder, owner in volume.folders)
    return _once(
        DATA_UNIT,
        "agent-fleet: data volume",
        f"{PROGRAMS}/mount-data {volume.device} {volume.path} {folders}".rstrip(),
        limit_seconds=_DATA_LIMIT_SECONDS,
    )


def secrets_unit(region: str, secret: HostSecret) -> HostUnit:
    """Fetches the secrets."""
    return _once(
        SECRETS_UNIT,
        "agent-fleet: secrets",
        f"{PROGRAMS}/fetch-secrets {region} {secret.arn} {secret.version} {SECRETS}",
        after="network-online.target",
    )


def images_unit(images: Sequence[str]) -> tuple[HostUnit, HostFile]:
    """Pulls every image, also those that only sandboxes run, before anything is started from one."""
    wanted = [f"{PROGRAMS}/pull {image}" for image in images]
    unit = _once(IMAGES_UNIT, "agent-fleet: images", *wanted, after="docker.service network-online.target")
    return unit, HostFile(path=_IMAGES, content="".join(f"{image}\n" for image in images))


def registry_access(images: Sequence[str]) -> HostFile:
    """Docker's settings: for ECR it asks for a token whenever it needs one, with the instance's role; none is kept."""
    registries = sorted({registry for image in images if _ECR.search(registry := image.partition("/")[0])})
    return HostFile(
        path=f"{DOCKER_SETTINGS}/config.json",
        content=json.dumps({"credHelpers": dict.fromkeys(registries, "ecr-login")}) + "\n",
        mode="0600",
    )


def clean_up_units() -> tuple[HostUnit, HostUnit]:
    """The clean-up, and the timer that starts it every day."""
    service = HostUnit(
        name="agent-fleet-clean-up.service",
        text="\n".join(
            [
                "[Unit]",
                "Description=agent-fleet: clean-up",
                "Requires=docker.service",
                "After=docker.service",
                "",
                "[Service]",
                "Type=oneshot",
                f"ExecStart={PROGRAMS}/clean-up {_IMAGES}",
                "",
            ]
        ),
        wanted=False,
    )
    timer = HostUnit(
        name="agent-fleet-clean-up.timer",
        text="\n".join(
            [
                "[Unit]",
                "Description=agent-fleet: clean-up, every day",
                "",
                "[Timer]",
                "OnCalendar=daily",
                # Not all hosts at once, and also where the host was off at that time.
                "RandomizedDelaySec=1h",
                "Persistent=true",
                "",
                "[Install]",
                f"WantedBy={TARGET}",
                "",
            ]
        ),
    )
    return service, timer


def _once(name: str, description: str, *commands: str, after: str = "", limit_seconds: int = 900) -> HostUnit:
    lines = ["[Unit]", f"Description={description}"]
    lines += [f"{kind}={names}" for kind, names in (("After", after), ("Wants", after)) if names]
    lines += ["StartLimitIntervalSec=0", "", "[Service]", "Type=oneshot", "RemainAfterExit=yes"]
    lines += [f"ExecStart={command}" for command in commands]
    lines += ["Restart=on-failure", "RestartSec=10", f"TimeoutStartSec={limit_seconds}"]
    return HostUnit(name=name, text="\n".join([*lines, "", "[Install]", f"WantedBy={TARGET}", ""]))
