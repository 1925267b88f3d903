"""compose.yaml: the fleet for `docker compose up`, made from the same `Workload`s as every other form of it."""
