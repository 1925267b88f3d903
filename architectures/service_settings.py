"""What the execution service on a Docker host is given by the settings, whatever starts its programs there."""

import ipaddress

import pulumi
from agent_fleet import ExecutionServiceArgs, SandboxEgressArgs

from architectures.budgets import budget_args
from settings.model import Settings

DOCKER_SOCKET = "/var/run/docker.sock"


def service_args(
    fleet: str,
    settings: Settings,
    *,
    runtime: pulumi.Input[str],
    sandbox: pulumi.Input[str],
    database_url: pulumi.Input[str],
    frontend_network: pulumi.Input[str],
    backend_network: pulumi.Input[str],
) -> ExecutionServiceArgs:
    """All of it but agents and doorbell, which not every host has."""
    args: ExecutionServiceArgs = {
        "fleet": fleet,
        "image": runtime,
        "database_url": database_url,
        "frontend_network": frontend_network,
        "backend_network": backend_network,
        "docker_socket": DOCKER_SOCKET,
        "log_level": settings.log_level,
        "api": {
            "bind_address": settings.api.bind_address,
            "port": settings.api.port,
            "languages": settings.sandbox.languages,
            "default_timeout_seconds": settings.api.default_timeout_seconds,
            "max_timeout_seconds": settings.limits.task_timeout_seconds,
            "max_attempts": settings.limits.max_attempts,
            "result_ttl_seconds": settings.api.result_ttl_seconds,
            "tombstone_ttl_seconds": settings.api.tombstone_ttl_seconds,
            "queue_limit": settings.api.queue_limit,
            "budgets": budget_args(settings.tenants),
        },
        "workers": {
            "count": settings.workers.count,
            "concurrency": settings.workers.concurrency,
            "drain_seconds": settings.workers.drain_seconds,
            "lease_seconds": settings.workers.lease_seconds,
            "lease_renew_seconds": settings.workers.lease_renew_seconds,
        },
        "sandbox": {
            "image": sandbox,
            "runtime": settings.sandbox.runtime,
            "memory_mebibytes": settings.sandbox.memory_mebibytes,
            "cpus": settings.sandbox.cpus,
            "processes": settings.sandbox.processes,
            "scratch_mebibytes": settings.sandbox.scratch_mebibytes,
            "warm": settings.sandbox.warm,
            "maximum": settings.sandbox.maximum,
            "start_timeout_seconds": settings.sandbox.start_timeout_seconds,
        },
    }
    if settings.sandbox.cpu_seconds is not None:
        args["sandbox"]["cpu_seconds"] = settings.sandbox.cpu_seconds
    if settings.sandbox.egress.domains:
        args["egress"] = _egress(settings)
    if settings.telemetry.otlp_endpoint is not None:
        args["otlp_endpoint"] = settings.telemetry.otlp_endpoint
    return args


def _egress(settings: Settings) -> SandboxEgressArgs:
    egress, bind_address = settings.sandbox.egress, ipaddress.ip_address(settings.api.bind_address)
    refused = list(egress.refused_networks)
    if bind_address.is_global:
        # The fleet's own API must not be a way back in.
        refused.append(str(ipaddress.ip_network(bind_address)))
    return {
        "domains": egress.domains,
        "credentials": {
            domain: {"header": each.header, "value": pulumi.Output.secret(each.value)}
            for domain, each in egress.credentials.items()
        },
        "connections": egress.connections,
        "job_mebibytes": egress.job_mebibytes,
        "tenant_daily_mebibytes": egress.tenant_daily_mebibytes,
        "tenant_daily_requests": egress.tenant_daily_requests,
        "refused_networks": refused,
    }
