"""Pod Security Standards, level `restricted`, requirement by requirement.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ as of Kubernetes 1.35, Linux pods.
"""

from collections.abc import Iterator

from agent_fleet_policies.pods import PodTemplate
from agent_fleet_policies.rule import Finding, require
from agent_fleet_policies.truth import decided, every
from agent_fleet_policies.value import Value

_VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip
_SECCOMP = ("RuntimeDefault", "Localhost")
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
)  # fmt: skip
_APP_ARMOR = ("RuntimeDefault", "Localhost")
_HANDLERS = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop")
_APP_ARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"


def restricted(pods: PodTemplate) -> Iterator[Finding]:
    """Everything that the level asks of a pod and its containers."""
    spec = pods.spec
    yield require(spec.given(), spec, "a workload needs pods to be judged")
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        yield require(~spec[name].on(), spec[name], "pods must not share the host's")
    for volume in spec["volumes"].items():
        for name, each in volume.entries():
            if name != "name":
                yield require(
                    decided(name in _VOLUMES) | ~each.given(),
                    each,
                    "not an allowed kind of volume",
                )
    context = spec["securityContext"]
    for each in context["sysctls"].items():
        yield require(each["name"].one_of(*_SYSCTLS), each["name"], "not a sysctl that is safe")
    for name, each in pods.annotations.entries():
        if name.startswith(_APP_ARMOR_ANNOTATION) or name == "*":
            fine = each.fits(lambda text: text == "runtime/default" or str(text).startswith("localhost/"))
            yield require(fine, each, "AppArmor must not be off")
    yield from _both(context)
    for container in pods.containers():
        yield from _container(container, context)


def _both(context: Value) -> Iterator[Finding]:
    """What a pod and a container may each say, and must not say wrongly."""
    yield require(~context["windowsOptions.hostProcess"].on(), context["windowsOptions.hostProcess"], "not on the host")
    yield require(
        context["seLinuxOptions.type"].one_of(*_SELINUX_TYPES, missing=True),
        context["seLinuxOptions.type"],
        "not an allowed type",
    )
    for name in ("user", "role"):
        given = context["seLinuxOptions"][name]
        yield require(~given.given(), given, "must not be set")
    profile = context["appArmorProfile.type"]
    yield require(profile.one_of(*_APP_ARMOR, missing=True), profile, "AppArmor must not be off")
    seccomp = context["seccompProfile.type"]
    yield require(seccomp.one_of(*_SECCOMP, missing=True), seccomp, f"{' or '.join(_SECCOMP)} is wanted")
    user = context["runAsUser"]
    yield require(user.fits(lambda _: user.number not in (0, None), missing=True), user, "must not be root")


def _container(container: Value, pod: Value) -> Iterator[Finding]:
    own = container["securityContext"]
    yield from _both(own)
    yield require(~own["privileged"].on(), own["privileged"], "must not be privileged")
    escalation = own["allowPrivilegeEscalation"]
    yield require(~escalation.on(default=True), escalation, "false is wanted")
    seccomp = own["seccompProfile.type"]
    set_by_pod = pod["seccompProfile.type"].one_of(*_SECCOMP)
    yield require(
        seccomp.one_of(*_SECCOMP) | (seccomp.fits(lambda _: False, missing=True) & set_by_pod),
        seccomp,
        "a seccomp profile is needed",
    )
    root = own["runAsNonRoot"]
    by_pod = root.fits(lambda _: False, missing=True) & pod["runAsNonRoot"].on()
    yield require(root.on() | by_pod, root, "true is wanted, here or for the pod")
    drop, add = own["capabilities.drop"], own["capabilities.add"]
    yield require(drop.includes("ALL"), drop, "ALL has to be dropped")
    added = every(each.one_of("NET_BIND_SERVICE") for each in add.items())
    yield require(added, add, "only NET_BIND_SERVICE may be added")
    yield require(own["procMount"].one_of("Default", missing=True), own["procMount"], "Default is wanted")
    for port in container["ports"].items():
        host_port = port["hostPort"]
        yield require(
            host_port.fits(lambda _, host_port=host_port: host_port.number == 0, missing=True),
            host_port,
            "no port of the host",
        )
    for name in _HANDLERS:
        for action in ("httpGet", "tcpSocket"):
            host = container[name][action]["host"]
            yield require(~host.given(), host, "probes must not name a host")
