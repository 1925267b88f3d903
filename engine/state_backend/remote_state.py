"""What the bucket holds of a stack, read as the file backend's is: from a copy that is fetched anew each time."""

import tempfile
from pathlib import Path
from typing import Any

from engine.paths import PROJECT
from engine.stack_state import Lock, StackState
from engine.state_backend.account import client, code, told
from engine.state_backend.location import StateLocation


class RemoteState(StackState):
    """One stack's checkpoint on S3. Its locks are the engine's own affair: they may be another machine's."""

    def __init__(self, location: StateLocation, stack: str, folder: Path) -> None:
        """Fetch the checkpoint below `folder`, where only this user reads it."""
        super().__init__(folder, stack)
        self._location = location
        fetched = fetch(location, f".pulumi/stacks/{PROJECT}/{stack}.json")
        if fetched is None:
            self.checkpoint.unlink(missing_ok=True)
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        with tempfile.NamedTemporaryFile(dir=self.checkpoint.parent, delete=False) as part:
            part.write(fetched)
        Path(part.name).replace(self.checkpoint)

    def restore(self) -> bool:
        """Never: S3 keeps every version, and which one is right is for people to say (docs/state.md)."""
        return False

    def drop_torn_attributes(self) -> int:
        """None: S3 shows a file whole or not at all."""
        return 0

    def locks(self) -> list[Lock]:
        """None that a command may clear by itself: whose they are, only people know (`make state-unlock`)."""
        return []


def fetch(location: StateLocation, key: str) -> bytes | None:
    """One file of the bucket; None where there is none."""
    from botocore.exceptions import ClientError

    s3 = client("s3", location)
    with told(f"read {key} in the bucket {location.bucket}"):
        try:
            answer: Any = s3.get_object(Bucket=location.bucket, Key=key)
            return bytes(answer["Body"].read())
        except ClientError as error:
            if code(error) in ("NoSuchKey", "NoSuchBucket", "404"):
                return None
            raise
