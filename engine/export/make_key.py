"""Makes an API key for an exported fleet: `python3 make_key.py`. Needs Python only, and keeps nothing."""

import hashlib
import json
import secrets
import sys

_TENANT = "default"


def made() -> tuple[str, str]:
    """A key, and what the API is told of it: its SHA-256, from which nobody makes the key again."""
    key_id = secrets.token_hex(4)
    key = f"fleet_{key_id}_{secrets.token_hex(32)}"
    told = [{"tenant": _TENANT, "key_id": key_id, "sha256": hashlib.sha256(key.encode()).hexdigest()}]
    return key, json.dumps(told)


def main() -> None:
    """Print both, each under its name."""
    key, told = made()
    sys.stdout.write(f"The key, for you:\n{key}\nThe secret FLEET_BOOTSTRAP_KEYS, for the API:\n{told}\n")


if __name__ == "__main__":
    main()
