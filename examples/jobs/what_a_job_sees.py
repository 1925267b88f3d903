"""A first job: what a program finds around it in a sandbox."""

import os
import platform
import socket
from pathlib import Path


def reaches(host: str, port: int) -> bool:
    """Whether anything answers there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


print(f"Python {platform.python_version()} on {platform.node()}, as user {os.getuid()}, in {Path.cwd()}")
print(f"files here: {', '.join(sorted(path.name for path in Path().iterdir()))}")
print(f"environment: {', '.join(sorted(os.environ))}")
print(f"processes to be seen: {sum(entry.name.isdigit() for entry in Path('/proc').iterdir())}")
print(f"a way to the network: {'yes' if reaches('1.1.1.1', 443) else 'none'}")
print(f"to the cloud's metadata: {'yes' if reaches('169.254.169.254', 80) else 'none'}")
