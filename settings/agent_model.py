"""The agent types of one Docker host: what runs an agent's job, and how many at once."""

from pydantic import Field

from settings.values import ImageByDigest, Number, Section, Text, WholeNumber


class HostAgent(Section):
    """One agent type: its sandboxes, each made for one job, and a worker of its own. Its jobs may name a workspace."""

    image: ImageByDigest | None = None
    """The image of its sandboxes, built from the fleet's sandbox image, whose runner it needs. Left out: that image."""
    memory_mebibytes: WholeNumber = Field(default=512, ge=64, le=1_048_576)
    """Memory of one sandbox, its scratch space included; a workspace is on disk and not counted. There is no swap."""
    cpus: Number = Field(default=0.5, ge=0.1, le=256)
    """CPUs of one sandbox."""
    scratch_mebibytes: WholeNumber = Field(default=256, ge=1, le=1_048_576)
    """Size of the job's own folder. It is in memory and counts towards `memory_mebibytes`."""
    maximum: WholeNumber = Field(default=2, ge=1, le=100)
    """Jobs of this type at once, each in a sandbox of its own."""
    prompt_command: tuple[Text, ...] = ()
    """The program and its arguments that a job's `prompt` is given to, on standard input. Have it read no configuration
    from the workspace: an earlier job may have left it there. Left out: jobs of this type come with `command`."""
    egress: bool = False
    """Whether its jobs may reach what `fleet.sandbox.egress` allows."""
