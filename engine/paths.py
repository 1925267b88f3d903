"""Where everything lives: what belongs to this checkout under `.fleet/`, what is shared per user in the cache."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PROJECT = "agent-fleet"


def cache_directory(environment: Mapping[str, str] | None = None) -> Path:
    """The user's cache for big artefacts: `$XDG_CACHE_HOME/agent-fleet`, by default under `~/.cache`."""
    source = os.environ if environment is None else environment
    base = source.get("XDG_CACHE_HOME") or str(Path(source.get("HOME") or Path.home()) / ".cache")
    return Path(base) / "agent-fleet"


@dataclass(frozen=True)
class Paths:
    """The files of one checkout. `root` is the folder that holds Pulumi.yaml."""

    root: Path = CHECKOUT

    @property
    def fleet(self) -> Path:
        """Everything local to this checkout; git-ignored."""
        return self.root / ".fleet"

    @property
    def state(self) -> Path:
        """The file backend."""
        return self.fleet / "state"

    @property
    def passphrase(self) -> Path:
        """The passphrase that encrypts secrets in the state; mode 600."""
        return self.fleet / "passphrase"

    @property
    def logs(self) -> Path:
        """Full logs of commands; what is shown to the user is the short form."""
        return self.fleet / "logs"

    @property
    def engine_programs(self) -> Path:
        """The engine, its language host and the stand-ins' launchers."""
        return self.fleet / "engine" / "bin"

    def plugin_home(self, kind: str) -> Path:
        """PULUMI_HOME for one choice of plugins (`fleet` or `stand-ins`)."""
        return self.fleet / "engine" / f"home-{kind}"

    @property
    def virtual_environment(self) -> Path:
        """The Python environment made by bootstrap.sh."""
        return self.root / ".venv"

    def tracked_configuration(self, stack: str) -> Path:
        """The stack's settings as the user edits them."""
        return self.root / f"Pulumi.{stack}.yaml"

    @property
    def project(self) -> Path:
        """The folder that the engine takes for its project where it runs no program: it has the copies of settings."""
        return self.fleet

    def configuration(self, stack: str) -> Path:
        """The copy that the engine reads and writes its salt to, so that the tracked file stays untouched."""
        return self.project / f"Pulumi.{stack}.yaml"

    def endpoint(self, stack: str) -> Path:
        """`url` and `api_key` of a stack that is up; mode 600."""
        return self.fleet / f"{stack}.json"

    def kubeconfig(self, stack: str) -> Path:
        """The way to a cluster that the stack made; mode 600."""
        return self.fleet / f"{stack}.kubeconfig"

    def cluster_identity(self, stack: str) -> Path:
        """Which cluster the stack is in, where it did not make it itself; mode 600."""
        return self.fleet / f"{stack}.cluster"

    def lock(self, stack: str) -> Path:
        """Held by the command that changes this stack."""
        return self.fleet / "locks" / f"{stack}.lock"

    @property
    def stacks_lock(self) -> Path:
        """Held while a stack is entered into the state, and while the last one's secrets are removed."""
        return self.fleet / "locks" / "stacks.lock"

    def engine_process(self, stack: str) -> Path:
        """The process id of the engine that this checkout started last for the stack."""
        return self.fleet / "locks" / f"{stack}.engine.pid"
