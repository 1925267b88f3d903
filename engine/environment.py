"""The environment in which the engine runs these stacks, for commands, tests and `make shell` alike."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from engine.paths import Paths
from engine.plugins import Plugins

_NOT_PASSED_ON = (
    "PULUMI_CONFIG_PASSPHRASE",  # would win over the file
    "PULUMI_STACK",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG",
    "PYTHONPATH",
)


def ensure_passphrase(path: Path) -> Path:
    """The passphrase that encrypts secrets in state: generated once, readable by this user only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        # A hard link fails when another run was first: then that one's passphrase holds for both.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(part)
        Path(part).unlink()
    path.chmod(0o600)
    return path


def engine_environment(
    paths: Paths | None = None,
    *,
    state: Path | None = None,
    passphrase: Path | None = None,
    plugins: Plugins = "fleet",
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Variables for running `pulumi`: `base` (default: this process's) with the engine's own on top.

    `state` is the file backend's folder, `passphrase` a file; both default to those of `.fleet`. `plugins` chooses the
    plugin home: "fleet" is what `make up` uses, "stand-ins" never has an official plugin. Makes folders and the
    passphrase where they are missing; the toolchain itself comes from `toolchain.ensure_toolchain` and
    `plugins.provide`.
    """
    paths = paths or Paths()
    state = state or paths.state
    state.mkdir(parents=True, exist_ok=True)
    home = paths.plugin_home(plugins)
    home.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ if base is None else base)
    for name in _NOT_PASSED_ON:
        environment.pop(name, None)
    programs = [str(paths.engine_programs), str(paths.virtual_environment / "bin")]
    inherited = [entry for entry in environment.get("PATH", os.defpath).split(os.pathsep) if entry not in programs]
    environment |= {
        "PATH": os.pathsep.join(programs + inherited),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": state.resolve().as_uri(),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(ensure_passphrase(passphrase or paths.passphrase)),
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # Plugins come from PULUMI_HOME, where each is chosen on purpose, and not from whatever PATH holds.
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "PULUMI_PYTHON_CMD": str(paths.virtual_environment / "bin" / "python"),
    }
    return environment
