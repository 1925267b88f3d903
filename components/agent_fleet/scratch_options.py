"""How Docker is told of a directory in memory, whichever way it is asked."""

from agent_fleet.workload import ScratchMount


def tmpfs_options(mount: ScratchMount) -> str:
    """The mount options: bounded, and nothing in it can be executed."""
    options = f"rw,noexec,nosuid,nodev,size={mount.size_mebibytes}m"
    if mount.owner is None:
        return f"{options},mode=1777"
    return f"{options},mode=0750,uid={mount.owner.uid},gid={mount.owner.gid}"
