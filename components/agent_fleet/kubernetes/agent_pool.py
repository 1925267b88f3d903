"""One agent type of one team: pods with the API pinned to it and a worker, and the sandboxes that they use."""

import pulumi

from agent_fleet.kubernetes.agent_pool_args import AgentPoolArgs


class AgentPool(pulumi.ComponentResource):
    """A pool that serves its agent type: Deployment, Service, budget, configuration, service account, sandboxes.

    Deleting it drains it first: every job that runs has its time to end before anything that it uses goes.
    """

    service_name: pulumi.Output[str]
    """The Service in the pool's namespace: port 80 leads to the API pinned to the agent type."""
    deployment_name: pulumi.Output[str]
    """What an autoscaler scales."""
    service_account_name: pulumi.Output[str]
    """The pods' service account, for example for EKS Pod Identity."""

    def __init__(self, name: str, args: AgentPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the pool; see `AgentPoolArgs`."""
        super().__init__("agent-fleet:index:AgentPool", name, {}, opts)
        self.service_name = self.deployment_name = self.service_account_name = pulumi.Output.from_input(
            args["agent_type"]
        )
        self.register_outputs(
            {
                "service_name": self.service_name,
                "deployment_name": self.deployment_name,
                "service_account_name": self.service_account_name,
            }
        )
