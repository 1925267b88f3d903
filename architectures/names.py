"""The names of a cluster's namespaces, and amounts as Kubernetes writes them: each said once."""

from agent_fleet import PodResourcesArgs, QuotaArgs

from settings.cluster_model import PodLimits, Quota, Requests

DATABASE_PORT = 5432


def system_namespace(fleet: str) -> str:
    """The namespace of the fleet's API and its database."""
    return fleet


def pools_namespace(fleet: str, team: str) -> str:
    """The namespace of a team's pools: programs that the fleet itself runs."""
    return f"{fleet}-{team}"


def sandboxes_namespace(fleet: str, team: str) -> str:
    """The namespace of a team's sandboxes: strangers' code, and nothing else."""
    return f"{fleet}-{team}-sandboxes"


def pool_name(team: str, agent_type: str) -> str:
    """The Pulumi name of a pool, which is also the template of its jobs. Settings let no two be the same.

    Renaming it deletes the pool and makes another, which waits for its running jobs.
    """
    return f"{team}-{agent_type}"


def api_name(fleet: str) -> str:
    """The Pulumi name of the fleet's API."""
    return f"{fleet}-api"


def millicpus(cpus: float) -> str:
    """0.25 as `250m`."""
    return f"{round(cpus * 1_000)}m"


def mebibytes(amount: int) -> str:
    """512 as `512Mi`."""
    return f"{amount}Mi"


def pod_resources(requests: Requests, limits: PodLimits) -> PodResourcesArgs:
    """The figures of one pod."""
    return {
        "requests_cpu": millicpus(requests.cpus),
        "requests_memory": mebibytes(requests.memory_mebibytes),
        "limits_cpu": millicpus(limits.cpus),
        "limits_memory": mebibytes(limits.memory_mebibytes),
    }


def quota_args(quota: Quota) -> QuotaArgs:
    """The figures of a namespace."""
    return {
        "requests_cpu": millicpus(quota.requests_cpus),
        "requests_memory": mebibytes(quota.requests_memory_mebibytes),
        "limits_cpu": millicpus(quota.limits_cpus),
        "limits_memory": mebibytes(quota.limits_memory_mebibytes),
        "persistent_volume_claims": quota.persistent_volume_claims,
        "services": quota.services,
    }
