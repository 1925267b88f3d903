"""Settings of the kernel that the kubelet and kube-proxy change, remembered so that removal puts them back."""

import contextlib
import json
from pathlib import Path

from engine.report import private_file

_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/conf/all/route_localnet",
)


def remember(record: Path, kernel: Path = Path("/proc/sys")) -> None:
    """Note the settings as they are, the first time."""
    if record.exists():
        return
    found: dict[str, str] = {}
    for name in _SETTINGS:
        with contextlib.suppress(OSError):
            found[name] = (kernel / name).read_text().strip()
    private_file(record, json.dumps(found))


def restore(record: Path, kernel: Path = Path("/proc/sys")) -> None:
    """Put back what was noted."""
    try:
        noted = json.loads(record.read_text())
    except (OSError, ValueError):
        return
    for name in _SETTINGS:
        if name in noted:
            with contextlib.suppress(OSError):
                (kernel / name).write_text(noted[name])
