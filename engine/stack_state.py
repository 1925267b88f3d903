"""What the file backend holds of a stack, read straight from its checkpoint: no engine, no passphrase needed."""

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.paths import PROJECT

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"
_STATE_ONLY = ("docker-build", "random", "pulumi")


@dataclass(frozen=True)
class Lock:
    """A lock file of the backend: the process that says it is changing the stack."""

    path: Path
    process: int
    host: str


class StackState:
    """One stack's files under a state folder."""

    def __init__(self, state: Path, stack: str) -> None:
        """`state` is the folder of the file backend."""
        self.stack = stack
        self._root = state / ".pulumi"
        self.checkpoint = self._root / "stacks" / PROJECT / f"{stack}.json"
        self._locks = self._root / "locks" / "organization" / PROJECT / stack

    def exists(self) -> bool:
        """Whether the stack has been initialised."""
        return self.checkpoint.exists()

    @property
    def backup(self) -> Path:
        """The checkpoint before the last one, which the engine keeps."""
        return self.checkpoint.with_name(f"{self.checkpoint.name}.bak")

    def readable(self) -> bool:
        """Whether the checkpoint is there and whole."""
        return self._latest(self.checkpoint) is not None

    def restore(self) -> bool:
        """Put the backup in the place of a damaged checkpoint; False where that is no better."""
        if self._latest(self.backup) is None:
            return False
        shutil.copyfile(self.checkpoint, self.checkpoint.with_name(f"{self.checkpoint.name}.damaged"))
        whole = self.checkpoint.with_name(f"{self.checkpoint.name}.restored")
        shutil.copyfile(self.backup, whole)
        # In one step: without a checkpoint, the next run would take the fleet for another checkout's.
        whole.replace(self.checkpoint)
        return True

    def drop_torn_attributes(self) -> int:
        """Remove attribute files (`….json.attrs`) that were cut off; return how many.

        The engine renames a new checkpoint into its place, but writes the attributes beside it in place. With an empty
        one it says "failed to load checkpoint: EOF", without one it goes on. Those of all stacks: a file that another
        engine is just writing is one that it can do without too.
        """
        torn = 0
        for path in self._root.rglob("*.attrs"):
            try:
                json.loads(path.read_bytes())
            except FileNotFoundError:
                continue
            except ValueError:
                path.unlink(missing_ok=True)
                torn += 1
        return torn

    def _latest(self, path: Path) -> dict[str, Any] | None:
        try:
            document = json.loads(path.read_text())
            # `pulumi stack import` writes these two names with capitals; the engine reads both.
            checkpoint = {name.lower(): value for name, value in document["checkpoint"].items()}
            return checkpoint.get("latest") or {}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return None

    def resources(self) -> list[dict[str, Any]]:
        """All resources, as the engine wrote them."""
        return (self._latest(self.checkpoint) or {}).get("resources") or []

    def pending(self) -> list[dict[str, Any]]:
        """Operations that had begun when the engine ended."""
        return (self._latest(self.checkpoint) or {}).get("pending_operations") or []

    def identities(self, kind: str) -> set[str]:
        """The ids of all resources of one type."""
        return {resource["id"] for resource in self.resources() if resource["type"] == kind and resource.get("id")}

    def named(self, *ends: str) -> list[str]:
        """The URNs of all resources whose names end so."""
        return sorted(resource["urn"] for resource in self.resources() if resource["urn"].endswith(ends))

    def holds(self, package: str) -> bool:
        """Whether any resource of a provider is in the state."""
        return any(str(resource["type"]).startswith(f"{package}:") for resource in self.resources())

    def foreign_types(self, labelled: Collection[str]) -> set[str]:
        """Types of resources that are lost when the state is: of providers other than the `labelled` ones.

        A Helm release is such a one: what its chart makes carries no label of ours.
        """
        local = {*_STATE_ONLY, *labelled}
        types = {resource["type"] for resource in self.resources() if resource.get("custom")}
        names = {
            kind.removeprefix("pulumi:providers:") if kind.startswith("pulumi:providers:") else kind for kind in types
        }
        return {name for name in names if name.split(":")[0] not in local or name.startswith("kubernetes:helm.sh/")}

    def locks(self) -> list[Lock]:
        """Locks that are held, by whomever."""
        found: list[Lock] = []
        for path in sorted(self._locks.glob("*.json")) if self._locks.is_dir() else ():
            try:
                content = json.loads(path.read_text())
            except (OSError, ValueError):
                content = {}
            found.append(Lock(path, int(content.get("pid") or 0), str(content.get("hostname") or "")))
        return found
