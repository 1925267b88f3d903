"""The types that are made for real where an emulator answers. Every other type stays in the state only."""

from engine.standins.aws_emulator import (
    compute,
    databases,
    identities,
    load_balancing,
    messaging,
    network,
    observation,
    storage,
)
from engine.standins.aws_emulator.kind import Kind

KINDS: dict[str, Kind] = {
    **compute.KINDS,
    **databases.KINDS,
    **identities.KINDS,
    **load_balancing.KINDS,
    **messaging.KINDS,
    **network.KINDS,
    **observation.KINDS,
    **storage.KINDS,
}
