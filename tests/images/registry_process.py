"""Debian's docker-registry on a free port of this machine, with or without a login."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
from local_processes import ready, start, stop

from engine.cluster.packages import ensure_packages
from tests.runtime.free_ports import free_port

USER, WORD = "pusher", "only for this test"


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False


@contextmanager
def registry(folder: Path, *, login: bool = False) -> Generator[str]:
    """Serve an empty registry from `folder`; its host and port."""
    lines: list[str] = []
    ensure_packages(lines.append, folder / "packages.log")
    program = shutil.which("docker-registry")
    assert program is not None
    address = f"127.0.0.1:{free_port()}"
    configuration = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    if login:
        (folder / "htpasswd").write_text(f"{USER}:{bcrypt.hashpw(WORD.encode(), bcrypt.gensalt(4)).decode()}\n")
        configuration["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "registry.yml").write_text(json.dumps(configuration))
    process = start([program, "serve", "registry.yml"], folder)
    try:
        ready(process, lambda: _answers(address), 30, "the registry")
        yield address
    finally:
        stop(process)
