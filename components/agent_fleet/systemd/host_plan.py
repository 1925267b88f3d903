"""`HostPlan`: everything that a fresh instance is told, as plain values, so that it can be tested and booted anywhere.

It becomes user data, which whoever may describe the instance can read: no secret is in it. Secrets are fetched at boot.
"""

from dataclasses import dataclass

FOLDER = "/etc/agent-fleet"
"""Where the host has the settings of its programs."""
PROGRAMS = "/usr/local/lib/agent-fleet"
"""Where the host has the scripts of its units."""
SECRETS = "/run/agent-fleet/secrets"
"""Where the host has fetched secrets, in memory, for root alone."""
TARGET = "agent-fleet.target"
"""What starts everything, and is started at every boot."""
SETUP_UNIT = "agent-fleet-setup.service"
"""What starts that target for the first time, once the host has what its units need."""

DOCKER_PACKAGES = ("docker", "amazon-ecr-credential-helper")
"""Amazon Linux 2023's. Its machine images have the AWS CLI, Python and the agent of Session Manager already."""
METRICS_PACKAGE = "amazon-cloudwatch-agent"


@dataclass(frozen=True, kw_only=True)
class HostFile:
    """A file that is written before any unit starts."""

    path: str
    content: str
    mode: str = "0644"
    owner: str = "root:root"


@dataclass(frozen=True, kw_only=True)
class HostUnit:
    """A unit of systemd."""

    name: str
    """With its kind: `agent-fleet-dev-api.service`."""
    text: str
    wanted: bool = True
    """Whether it starts with the host. A service that a timer starts does not."""


@dataclass(frozen=True, kw_only=True)
class DataVolume:
    """A disk that outlives the instance. It is given a file system if it has none, and never another one."""

    device: str
    """Its block device, once it is attached."""
    path: str
    """Where it is mounted."""
    folders: tuple[tuple[str, str], ...] = ()
    """Folders in it, each with its owner as `uid:gid`."""


@dataclass(frozen=True, kw_only=True)
class HostSecret:
    """A secret of Secrets Manager: a JSON object that has, by the name of a workload, its secret variables."""

    arn: str
    version: str
    """The version's id. A changed secret is a changed plan, and so a new instance."""


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """A host of the fleet."""

    fleet: str
    region: str
    """Where its secrets and its logs are."""
    units: tuple[HostUnit, ...]
    files: tuple[HostFile, ...] = ()
    secret: HostSecret | None = None
    data_volume: DataVolume | None = None
    log_group: str | None = None
    """The CloudWatch log group that programs write to; None: to files on the host, of bounded size."""
