"""A registry, and one pool of agents with its quota and its autoscaler, on a cluster that exists already."""

import pulumi
import pulumi_kubernetes as kubernetes
from agent_fleet import AgentPool, PoolAutoscaler, Registry, TenantNamespace

FLEET, TEAM, KIND = "shop", "payments", "testing"
POOLS, SANDBOXES = f"{FLEET}-{TEAM}", f"{FLEET}-{TEAM}-sandboxes"

config = pulumi.Config()
# The identifier stays when the kubeconfig changes, so a new one replaces nothing.
cluster = kubernetes.Provider("cluster", kubeconfig=config.require_secret("kubeconfig"), cluster_identifier=FLEET)
here = pulumi.ResourceOptions(provider=cluster)

registry = Registry(FLEET, {"fleet": FLEET, "repositories": ["runtime", "sandbox"]})
pools = TenantNamespace(POOLS, {"fleet": FLEET, "team": TEAM, "name": POOLS, "purpose": "pools"}, here)
sandboxes = TenantNamespace(SANDBOXES, {"fleet": FLEET, "team": TEAM, "name": SANDBOXES, "purpose": "sandboxes"}, here)
pool = AgentPool(
    KIND,
    {
        "fleet": FLEET,
        "team": TEAM,
        "agent_type": KIND,
        "namespace": pools.namespace,
        "sandbox_namespace": sandboxes.namespace,
        "image": config.require("runtime_image"),
        "database_url": config.require_secret("database_url"),
        "sandbox": {"image": config.require("sandbox_image")},
    },
    here,
)
PoolAutoscaler(KIND, {"fleet": FLEET, "namespace": pools.namespace, "deployment": pool.deployment_name}, here)

pulumi.export("repositories", registry.urls)
pulumi.export("service", pool.service_name)
