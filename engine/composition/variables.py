"""What a user may set for compose.yaml, in the environment or in `.env`; each has a default."""

from images.base.ensure import OFFICIAL

FLEET = "${FLEET_NAME:-agent-fleet-compose}"
"""The label of everything that is made. Two compositions on one host need two names."""
SUBNET = "${FLEET_SUBNET:-172.25.0.0/16}"
"""G4's; another where the host has that network already."""
BASE = f"${{FLEET_BASE:-{OFFICIAL}}}"
"""What the images are built from. Where no image registry answers: what `make images` has made."""
MCP_PROXY_URL = "${MCP_PROXY_URL:-http://mcp-proxy:8096}"


def image(name: str) -> str:
    """One of the project's images, under the tag that the user chose; `dev` is what `make images` gives by default."""
    return f"agent-fleet/{name}:${{FLEET_TAG:-dev}}"


def published(port: int) -> str:
    """The host's port of the API, the only one that is published."""
    return f"${{FLEET_API_PORT:-{port}}}"
