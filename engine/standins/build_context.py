"""A build's context: where it is, and a hash that changes exactly when the build could come out differently.

The hash covers what Docker would send (contents, names, links and the executable bit), the Dockerfile, build
arguments, target and platforms; not times, owners, the other permission bits, or where the context lies, so that it is
the same on every machine that has the same checkout.
"""

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.standins.dockerignore import IgnoreRules
from engine.standins.type_check import Failure
from engine.standins.values import has_unknown, reveal

_REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "docker-image://", "oci-layout://", "target:")
_CHUNK_BYTES = 1024 * 1024


def is_remote(location: str) -> bool:
    """Whether a context or Dockerfile is fetched by the builder and not read here."""
    return location.startswith(_REMOTE)


def location(inputs: Mapping[str, Any]) -> str:
    """The context as the program gave it; the working directory by default."""
    return str((reveal(inputs).get("context") or {}).get("location") or ".")


def dockerfile(inputs: Mapping[str, Any]) -> str:
    """The Dockerfile's path as the program gave it, by default the one in the context; empty when it is inline."""
    given = reveal(inputs).get("dockerfile") or {}
    if given.get("inline"):
        return ""
    return str(given.get("location") or Path(location(inputs)) / "Dockerfile")


def failures(inputs: Mapping[str, Any], folder: Path) -> list[Failure]:
    """Contexts and Dockerfiles that are not there."""
    plain = reveal(inputs)
    found: list[Failure] = []
    given = plain.get("dockerfile") or {}
    if has_unknown(plain.get("context")) or has_unknown(given):
        return found
    if given.get("inline") and given.get("location"):
        found.append(Failure("dockerfile", "takes either location or inline, not both."))
    context, named = location(inputs), (plain.get("context") or {}).get("named") or {}
    places = {"context.location": context} | {
        f"context.named.{name}.location": item["location"] for name, item in named.items()
    }
    for path, place in places.items():
        if not is_remote(place) and not (folder / place).is_dir():
            found.append(Failure(path, f"must be a folder or a URL; there is no folder {str(folder / place)!r}."))
    file = dockerfile(inputs)
    if file and not is_remote(file) and not is_remote(context) and not (folder / file).is_file():
        found.append(Failure("dockerfile.location", f"there is no file {str(folder / file)!r}."))
    return found


def context_hash(inputs: Mapping[str, Any], folder: Path) -> str:
    """The hash, as hexadecimal SHA-256; a remote context counts by its address only."""
    plain = reveal(inputs)
    digest = hashlib.sha256()
    settings = {key: plain.get(key) for key in ("buildArgs", "target", "platforms")}
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    context, file = location(inputs), dockerfile(inputs)
    content = (plain.get("dockerfile") or {}).get("inline") or ""
    digest.update(content.encode())
    if file and not is_remote(file) and (folder / file).is_file():
        digest.update((folder / file).read_bytes())
    rules = _rules(folder, context, file)
    named = {name: item["location"] for name, item in ((plain.get("context") or {}).get("named") or {}).items()}
    for name, place in [("", context), *sorted(named.items())]:
        digest.update(f"\0{name}\0".encode())
        if is_remote(place):
            digest.update(place.encode())
        else:
            _hash_folder(digest, folder / place, rules)
    return digest.hexdigest()


def _rules(folder: Path, context: str, file: str) -> IgnoreRules:
    # An ignore file beside the Dockerfile goes before the one in the context.
    candidates = ([folder / f"{file}.dockerignore"] if file else []) + [folder / context / ".dockerignore"]
    return IgnoreRules(next((path.read_text() for path in candidates if path.is_file()), ""))


def _hash_folder(digest: Any, root: Path, rules: IgnoreRules) -> None:
    for name, path in rules.files(root):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            digest.update(f"link\0{name}\0{path.readlink()}\0".encode())
        elif stat.S_ISREG(status.st_mode):
            executable = bool(status.st_mode & stat.S_IXUSR)
            digest.update(f"file\0{name}\0{executable}\0{status.st_size}\0".encode())
            with path.open("rb") as content:
                while chunk := content.read(_CHUNK_BYTES):
                    digest.update(chunk)
