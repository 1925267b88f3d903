"""A mirror of packages on the host itself, which does not answer until it is started."""

from agent_fleet.systemd.host_plan import HostUnit
from systemd_host import MIRROR

MIRROR_UNIT = HostUnit(
    name="test-mirror.service",
    text=f"""\
[Unit]
Description=A mirror with one package
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind {MIRROR.partition(":")[0]} --directory /srv/mirror \
    {MIRROR.partition(":")[2]}
""",
    wanted=False,
)
