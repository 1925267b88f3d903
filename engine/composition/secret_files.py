"""The secrets of compose.yaml: made once, as files that only this user can reach. Needs nothing but Python itself.

`python3 engine/composition/secret_files.py` makes those that are missing.
"""

import hashlib
import json
import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

FOLDER = ".fleet/compose"
"""Below the checkout, and git-ignored with all of `.fleet`."""
NAMES = ("fleet_bootstrap_keys", "fleet_database_url", "fleet_redis_url", "postgres_password", "redis_password")
ENDPOINT = ".fleet/compose.json"
"""Where the API is and its key, in the form that the command `fleet` reads."""
_TENANT = "default"
_DATABASE = "postgresql://fleet:{}@database:5432/fleet"
_REDIS = "redis://fleet:{}@redis:6379"


def ensure(root: Path, port: int) -> list[str]:
    """Make the files below `root` that are missing, and return their paths relative to it.

    The folder is this user's alone (0700). The files in it can be read by all (0444): they are mounted one by one into
    containers whose users are numbers of their own. `port` is where the API is published.
    """
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    made: list[str] = []

    def have(path: Path, content: str, mode: int) -> str:
        if not path.exists() and _written(path, content, mode):
            made.append(str(path.relative_to(root)))
        return path.read_text()

    database = have(folder / "postgres_password", secrets.token_hex(24), 0o444)
    redis = have(folder / "redis_password", secrets.token_hex(24), 0o444)
    have(folder / "fleet_database_url", _DATABASE.format(database), 0o444)
    have(folder / "fleet_redis_url", _REDIS.format(redis), 0o444)
    fresh = {
        "url": f"http://127.0.0.1:{port}",
        "api_key": f"fleet_{secrets.token_hex(4)}_{secrets.token_hex(32)}",
    }
    endpoint = json.loads(have(root / ENDPOINT, json.dumps(fresh, indent=2) + "\n", 0o600))
    key = str(endpoint["api_key"])
    described = [{"tenant": _TENANT, "key_id": key.split("_")[1], "sha256": hashlib.sha256(key.encode()).hexdigest()}]
    have(folder / "fleet_bootstrap_keys", json.dumps(described), 0o444)
    return made


def _written(path: Path, content: str, mode: int) -> bool:
    """Write the file whole or not at all; False where another run was first."""
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(mode)
        # A hard link fails when another run was first: then that one's secret holds for both.
        with suppress(FileExistsError):
            path.hardlink_to(part)
            return True
        return False
    finally:
        Path(part).unlink()


def main() -> None:
    """Make what is missing in the checkout that this file is in."""
    root = Path(__file__).resolve().parents[2]
    port = os.environ.get("FLEET_API_PORT") or "8080"
    if not (port.isdecimal() and 1 <= int(port) <= 65_535):
        sys.exit(f"FLEET_API_PORT is {port!r}; allowed is a TCP port, 1 to 65535.")
    made = ensure(root, int(port))
    sys.stdout.write(f"Made {', '.join(made)}.\n" if made else "All secrets of compose.yaml are there.\n")
    sys.stdout.write(f"The API's address and key are in {ENDPOINT}, readable by you only.\n")


if __name__ == "__main__":
    main()
