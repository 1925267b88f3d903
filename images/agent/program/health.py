"""The health check of an agent's container (A5): its tools are there, and its workspace can be written to."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib would have to be loaded

from checks import RefusalError, check_tools, check_workspace


def main() -> int:
    """Return 0 if it is healthy; else say why, in a line."""
    try:
        check_tools()
        check_workspace()
    except (RefusalError, OSError, ValueError, KeyError) as error:
        print(f"unhealthy: {error}", file=sys.stderr)  # noqa: T201 - what `docker inspect` shows
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
