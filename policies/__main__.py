"""Starts the policy pack: what `pulumi preview --policy-pack` runs."""

import sys
from pathlib import Path

# The engine runs this file, not the package: nothing has to be installed beside Pulumi's SDK.
sys.path.insert(0, str(Path(__file__).parent))

from agent_fleet_policies.analyzer import serve

if __name__ == "__main__":
    serve()
