"""Reading a file or standard input up to a limit: what is too large is refused before it fills the memory."""

import sys
from pathlib import Path

from agent_fleet_client.errors import FleetError, InvalidJobError


def read_at_most(source: str, most_bytes: int, *, field: str, refusal: str, option: str = "") -> bytes:
    """Return the bytes of the file `source`, or of standard input for `-`.

    Raises FleetError where it cannot be read, which names the `option` it was given by, and InvalidJobError for `field`
    with the text `refusal` where there are more than `most_bytes`.
    """
    try:
        if source == "-":
            data = sys.stdin.buffer.read(most_bytes + 1)
        else:
            with Path(source).open("rb") as opened:
                data = opened.read(most_bytes + 1)
    except OSError as error:
        given = f"{option}: {source}" if option else source
        raise FleetError(f"{given} cannot be read: {error.strerror}.") from None
    if len(data) > most_bytes:
        raise InvalidJobError(field, refusal)
    return data
