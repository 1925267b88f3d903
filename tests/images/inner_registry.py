"""A registry on the host itself, from which its Docker pulls by digest: one on its loopback needs no TLS."""

import json

from agent_fleet.systemd.host_plan import HostFile, HostUnit

REGISTRY = "127.0.0.1:5000"
"""Its address, seen from the host."""
_SETTINGS = {
    "version": 0.1,
    "storage": {"filesystem": {"rootdirectory": "/srv/registry"}, "maintenance": {"readonly": {"enabled": True}}},
    "http": {"addr": REGISTRY},
}
_PATH = "/etc/agent-fleet/registry.json"
REGISTRY_FILE = HostFile(path=_PATH, content=json.dumps(_SETTINGS))
REGISTRY_UNIT = HostUnit(
    name="test-registry.service",
    text=f"""\
[Unit]
Description=A registry with the fleet's images
[Service]
ExecStart=/usr/bin/docker-registry serve {_PATH}
Restart=always
[Install]
WantedBy=agent-fleet.target
""",
)
