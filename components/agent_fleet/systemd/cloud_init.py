"""A `HostPlan` as cloud-init's user data."""

import base64
import gzip
import json
from typing import Any

from agent_fleet.systemd.host_plan import SETUP_UNIT, HostPlan

LARGEST_USER_DATA = 16_384
"""Bytes before base64: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html"""
_UNITS = "/etc/systemd/system"


def render(plan: HostPlan) -> str:
    """The cloud-config. It is JSON, which is YAML too, and needs no library to be written."""
    files = [
        {"path": each.path, "content": each.content, "permissions": each.mode, "owner": each.owner}
        for each in plan.files
    ]
    files += [
        {"path": f"{_UNITS}/{each.name}", "content": each.text, "permissions": "0644", "owner": "root:root"}
        for each in plan.units
    ]
    document: dict[str, Any] = {
        "ssh_pwauth": False,
        "disable_root": True,
        "write_files": files,
        "runcmd": [
            # Nobody logs in: who must be there comes by Session Manager.
            ["systemctl", "mask", "--now", "sshd.service"],
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", SETUP_UNIT, *[each.name for each in plan.units if each.wanted]],
            # What comes up later is seen in the journal; cloud-init need not wait for it.
            ["systemctl", "start", "--no-block", SETUP_UNIT],
        ],
    }
    return "#cloud-config\n" + json.dumps(document, indent=1) + "\n"


def encoded(user_data: str) -> str:
    """The user data in base64, compressed as far as it must be. Raises ValueError where it is too much even so."""
    plain = user_data.encode()
    # No time in it, so that the same plan is the same user data.
    data = plain if len(plain) <= LARGEST_USER_DATA else gzip.compress(plain, mtime=0)
    if len(data) > LARGEST_USER_DATA:
        raise ValueError(
            f"the host's user data has {len(data)} bytes compressed, and EC2 takes {LARGEST_USER_DATA}: give the fleet "
            "fewer workers or fewer domains for egress"
        )
    return base64.b64encode(data).decode()
