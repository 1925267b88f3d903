"""`python -m engine.commands.settings_copy STACK [FILE]`: the settings for plain `pulumi` in `make shell`."""

import sys
from pathlib import Path

from engine import configuration
from engine.errors import UserFacingError
from engine.paths import Paths


def main(arguments: list[str]) -> int:
    """Write the copy anew, so that plain pulumi sees the settings as they are now."""
    stack, *given = arguments
    try:
        configuration.copy(Paths(), stack, Path(given[0]) if given else None)
    except UserFacingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
