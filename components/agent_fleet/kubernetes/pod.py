"""The pod renderer: `Workload`s as the containers of one pod, at Pod Security `restricted`."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.inputs import applied
from agent_fleet.kubernetes.pod_volumes import container_mounts, pod_volumes
from agent_fleet.sandbox_spec import whole_number
from agent_fleet.workload import HttpTarget, Probe, Resources, TcpTarget, Workload

ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"


@dataclass(frozen=True, kw_only=True)
class PodSettings:
    """What a pod needs beside its workloads."""

    labels: Mapping[str, str]
    """All labels of the pod."""
    selector: Mapping[str, str]
    """Those by which it is selected; pods of the same are spread over hosts and zones."""
    service_account: str
    pull_policy: str
    secrets: str
    """The Secret with the workloads' secret environment, by the variables' names."""
    configuration: str | None = None
    """The ConfigMap with the rest of it, by `configuration_key`. None: written into the pod."""
    claimed_volumes: frozenset[str] = frozenset()
    """Volumes that a StatefulSet's own claim templates bring."""
    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])


def configuration_key(workload: Workload, variable: str) -> str:
    """The key of a variable in the ConfigMap that all workloads of a pod share."""
    return f"{workload.role}.{variable}"


def configuration_data(workloads: Sequence[Workload]) -> dict[str, pulumi.Input[str]]:
    """The data of that ConfigMap."""
    return {
        configuration_key(workload, variable): value
        for workload in workloads
        for variable, value in sorted(workload.environment.items())
    }


def secret_data(workloads: Sequence[Workload]) -> dict[str, pulumi.Input[str]]:
    """The data of the Secret, encoded as Kubernetes keeps it. Its values are secrets in the state as well."""
    return {
        variable: pulumi.Output.secret(value).apply(_base64)
        for workload in workloads
        for variable, value in sorted(workload.secret_environment.items())
    }


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def grace_seconds(workloads: Sequence[Workload]) -> int:
    """From the order to stop until the kill: enough for the slowest of the pod's workloads."""
    return max(workload.routed_seconds + workload.stop_grace_seconds for workload in workloads)


def pod_template(workloads: Sequence[Workload], settings: PodSettings) -> k8s.core.v1.PodTemplateSpecArgs:
    """The template of a pod with these workloads as its containers.

    All run as one user. Raises ValueError for what no pod at `restricted` can have: root, or a path of the host.
    """
    users = {workload.user for workload in workloads}
    if len(users) != 1:
        raise ValueError(f"the workloads of one pod run as one user, and these name {len(users)}")
    (user,) = users
    if user.is_root:
        raise ValueError(f"{workloads[0].name} runs as root, which Pod Security restricted refuses: give it a user")
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(
            labels=dict(settings.labels), annotations=dict(settings.annotations) or None
        ),
        spec=k8s.core.v1.PodSpecArgs(
            service_account_name=settings.service_account,
            automount_service_account_token=False,
            enable_service_links=False,
            termination_grace_period_seconds=grace_seconds(workloads),
            security_context=k8s.core.v1.PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=user.uid,
                run_as_group=user.gid,
                fs_group=user.gid,
                fs_group_change_policy="OnRootMismatch",
                supplemental_groups=list(user.supplementary_gids) or None,
                seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
            ),
            affinity=spread_over_hosts(settings.selector),
            topology_spread_constraints=[spread_over_zones(settings.selector)],
            containers=[_container(workload, settings) for workload in workloads],
            volumes=pod_volumes(workloads, settings.claimed_volumes),
        ),
    )


def spread_over_hosts(selector: Mapping[str, str]) -> k8s.core.v1.AffinityArgs:
    """Pods of the same kind on different hosts, where there are several."""
    return k8s.core.v1.AffinityArgs(
        pod_anti_affinity=k8s.core.v1.PodAntiAffinityArgs(
            preferred_during_scheduling_ignored_during_execution=[
                k8s.core.v1.WeightedPodAffinityTermArgs(
                    weight=100,
                    pod_affinity_term=k8s.core.v1.PodAffinityTermArgs(
                        topology_key=HOST,
                        label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(selector)),
                    ),
                )
            ]
        )
    )


def spread_over_zones(selector: Mapping[str, str]) -> k8s.core.v1.TopologySpreadConstraintArgs:
    """Pods of the same kind in different zones, where there are several."""
    return k8s.core.v1.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key=ZONE,
        when_unsatisfiable="ScheduleAnyway",
        label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(selector)),
    )


def _container(workload: Workload, settings: PodSettings) -> k8s.core.v1.ContainerArgs:
    hardening = workload.hardening
    probe = workload.probe
    return k8s.core.v1.ContainerArgs(
        name=workload.role,
        image=workload.image,
        image_pull_policy=settings.pull_policy,
        args=list(workload.command) or None,
        env=_environment(workload, settings),
        ports=[
            k8s.core.v1.ContainerPortArgs(name=port.name, container_port=port.number, protocol="TCP")
            for port in workload.ports
        ],
        startup_probe=_probe(probe, failures=max(1, probe.start_period_seconds // probe.interval_seconds)),
        liveness_probe=_probe(workload.liveness or probe),
        readiness_probe=_probe(workload.readiness or probe),
        lifecycle=_lifecycle(workload.routed_seconds),
        resources=resource_requirements(workload.resources),
        security_context=k8s.core.v1.SecurityContextArgs(
            privileged=False,
            allow_privilege_escalation=hardening.privilege_escalation_allowed,
            read_only_root_filesystem=hardening.read_only_root,
            capabilities=k8s.core.v1.CapabilitiesArgs(drop=list(hardening.dropped_capabilities)),
            run_as_non_root=True,
            run_as_user=workload.user.uid,
            run_as_group=workload.user.gid,
        ),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=container_mounts(workload),
    )


def _environment(workload: Workload, settings: PodSettings) -> list[k8s.core.v1.EnvVarArgs]:
    found: list[k8s.core.v1.EnvVarArgs] = []
    for name, value in sorted(workload.environment.items()):
        if settings.configuration is None:
            found.append(k8s.core.v1.EnvVarArgs(name=name, value=value))
            continue
        reference = k8s.core.v1.ConfigMapKeySelectorArgs(
            name=settings.configuration, key=configuration_key(workload, name)
        )
        source = k8s.core.v1.EnvVarSourceArgs(config_map_key_ref=reference)
        found.append(k8s.core.v1.EnvVarArgs(name=name, value_from=source))
    for name in sorted(workload.secret_environment):
        secret = k8s.core.v1.SecretKeySelectorArgs(name=settings.secrets, key=name)
        found.append(k8s.core.v1.EnvVarArgs(name=name, value_from=k8s.core.v1.EnvVarSourceArgs(secret_key_ref=secret)))
    if workload.own_name_variable is not None:
        own_name = k8s.core.v1.ObjectFieldSelectorArgs(field_path="metadata.name")
        source = k8s.core.v1.EnvVarSourceArgs(field_ref=own_name)
        found.append(k8s.core.v1.EnvVarArgs(name=workload.own_name_variable, value_from=source))
    return found


def _probe(probe: Probe, failures: int | None = None) -> k8s.core.v1.ProbeArgs:
    http, tcp, command = None, None, None
    if isinstance(probe.target, HttpTarget):
        http = k8s.core.v1.HTTPGetActionArgs(port=probe.target.port, path=probe.target.path)
    elif isinstance(probe.target, TcpTarget):
        tcp = k8s.core.v1.TCPSocketActionArgs(port=probe.target.port)
    else:
        command = k8s.core.v1.ExecActionArgs(command=list(probe.command))
    return k8s.core.v1.ProbeArgs(
        http_get=http,
        tcp_socket=tcp,
        exec_=command,
        # While a container starts it is asked every second, so that it is of use as soon as it can be.
        period_seconds=probe.interval_seconds if failures is None else 1,
        timeout_seconds=probe.timeout_seconds,
        failure_threshold=probe.retries if failures is None else failures * probe.interval_seconds,
    )


def _lifecycle(routed_seconds: int) -> k8s.core.v1.LifecycleArgs | None:
    if not routed_seconds:
        return None
    return k8s.core.v1.LifecycleArgs(
        pre_stop=k8s.core.v1.LifecycleHandlerArgs(sleep=k8s.core.v1.SleepActionArgs(seconds=routed_seconds))
    )


def resource_requirements(resources: Resources) -> k8s.core.v1.ResourceRequirementsArgs:
    """Limits, and what is requested of the scheduler: without a reservation the same."""
    reserved = resources.reserved
    disk = f"{resources.disk_mebibytes}Mi"
    limits = _amounts(resources.memory_mebibytes, resources.cpus, disk)
    requests = limits if reserved is None else _amounts(reserved.memory_mebibytes, reserved.cpus, disk)
    return k8s.core.v1.ResourceRequirementsArgs(limits=limits, requests=requests)


def _amounts(memory: pulumi.Input[int], cpus: float, disk: str) -> dict[str, pulumi.Input[str]]:
    return {"cpu": f"{round(cpus * 1000)}m", "memory": memory_quantity(memory), "ephemeral-storage": disk}


def memory_quantity(mebibytes: pulumi.Input[int]) -> pulumi.Input[str]:
    """A number of mebibytes as a quantity."""
    return _quantity(mebibytes, "Mi")


def gibibytes_quantity(gibibytes: pulumi.Input[int]) -> pulumi.Input[str]:
    """A number of gibibytes as a quantity."""
    return _quantity(gibibytes, "Gi")


def _quantity(number: pulumi.Input[int], unit: str) -> pulumi.Input[str]:
    if isinstance(number, int):
        return f"{number}{unit}"
    return applied(whole_number(number), lambda value: f"{value}{unit}")
