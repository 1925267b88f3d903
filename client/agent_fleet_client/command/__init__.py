"""The command `fleet`: a thin face of `agent_fleet_client.Fleet` for terminals and scripts."""
