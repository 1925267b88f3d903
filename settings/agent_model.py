"""The agent types of one Docker host: what runs an agent's job, and how many at once."""

from typing import Annotated, Literal

from pydantic import Field

from settings.values import NOT_A_TRUTH_VALUE, ImageByDigest, Number, Section, Text, WholeNumber, text

CREDENTIALS_TENANT = "default"
"""The tenant of a stack's own key, and the only one that may use a type with credentials."""
Toolchain = Literal["python", "node", "rust", "full"]
PythonTool = Literal["bandit", "coverage", "hypothesis", "mypy", "pip", "pytest", "ruff"]
"""Each is a list in images/agent/tools."""
CredentialsFile = Annotated[
    str,
    text(r"^/[^\x00-\x1f]*\.json$", "the absolute path of a .json file, such as /etc/agent-fleet/credentials.json"),
]


class HostAgent(Section):
    """One agent type: its sandboxes, each made for one job, and a worker of its own. Its jobs may name a workspace."""

    image: ImageByDigest | None = None
    """The image of its sandboxes, built from the fleet's sandbox image or from one of images/agent: it needs their
    runner. Left out: what `toolchain` says, or else the sandbox image."""
    toolchain: Toolchain | None = None
    """Build the image of its sandboxes from images/agent, with this in it: `python` (and `tools`), `node` (with npm and
    the Claude Code CLI), `rust` (a tool from crates.io) or `full` (all of them)."""
    hardened: bool = False
    """The image without shell, package manager, git and the CLI. Jobs of this type then give `command` as a list. With
    `image` it says that the image is such a one."""
    tools: tuple[PythonTool, ...] | None = None
    """What is installed in the image of toolchain `python` or `full`. `pip` not with
    `hardened`. Left out: pytest, ruff and bandit."""
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
    workspace_mebibytes: Annotated[int, Field(ge=1, le=1_073_741_824), NOT_A_TRUTH_VALUE] | None = None
    """Size of a workspace above which the API refuses further jobs that name it, as measured after each job. None is
    stopped while it writes. Left out: no limit."""
    egress: bool = False
    """Whether its jobs may reach what `fleet.sandbox.egress` allows."""
    credentials: CredentialsFile | None = None
    """A file on Docker's host that every sandbox of this type has, read-only, as `~/.claude/.credentials.json`: each of
    its jobs, and all that such a job runs, can read it and pass it on. User 10001 must be able to read it. Left out:
    none is there; `fleet.sandbox.egress.credentials` adds what jobs need outside of them."""
    single_tenant_and_trusted: bool = False
    """What `credentials` takes: this stack has no tenant but `default`, and you trust all that its jobs of this type
    run with the account. Jobs of another tenant are refused."""

    @property
    def target(self) -> str | None:
        """The target of images/agent that its image is of; None where the sandbox image or one of yours is taken."""
        return f"{self.toolchain}-hardened" if self.toolchain and self.hardened else self.toolchain
