"""Rules for whatever makes pods."""

import fnmatch
import re

from agent_fleet_policies.pod_security import restricted
from agent_fleet_policies.pods import WORKLOADS, env_values, pods_of
from agent_fleet_policies.resource import Resource, labelled
from agent_fleet_policies.rule import Findings, Option, Options, Severity, require, resource_rule
from agent_fleet_policies.truth import some
from agent_fleet_policies.user_data import tokens_in
from agent_fleet_policies.value import Value

_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}$")
_SECRET_NAME = re.compile(
    r"(?i)(password|passwd|secret|token|api_?key|private_?key|credential)s?($|_(?!path|file|name|arn|seconds|ttl))"
)
_URL_PASSWORD = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@$]+@")
_SYSTEM_NAMESPACES = ("", "default", "kube-system", "kube-public", "kube-node-lease")
_PROBES = ("livenessProbe", "readinessProbe")


@resource_rule(
    49,
    "pod-restricted",
    Severity.HIGH,
    *WORKLOADS,
    title="Pods meet the Pod Security Standard `restricted`",
    reason="Each thing that it forbids is a known way out of a container.",
    fix="What the message says; the namespace's label enforces the same for pods, but not before an update.",
    source="PSS restricted",
    demands=("*hostNetwork", "*hostPID", "*hostIPC", "*privileged", "*allowPrivilegeEscalation", "*capabilities*"),
)
def pod_restricted(workload: Resource, options: Options) -> Findings:
    """Every requirement, for containers that run first and for debugging too."""
    del options
    yield from restricted(pods_of(workload))


@resource_rule(
    50,
    "pod-image-digest",
    Severity.HIGH,
    *WORKLOADS,
    title="Images are named by digest, from listed registries",
    reason="What a tag shows can change after it was judged.",
    fix="registry/name@sha256:...",
    source="CKV_K8S_43",
    options={"registries": Option((), "registries that images may come from, as registry/path*; none: any")},
)
def image_digest(workload: Resource, options: Options) -> Findings:
    """For each container."""
    allowed: list[str] = list(options["registries"])
    for container in pods_of(workload).containers():
        image = container["image"]
        yield require(image.fits(lambda text: _DIGEST.match(str(text)) is not None), image, "name@sha256:... is wanted")
        if allowed:
            listed = image.fits(lambda text: any(_comes_from(str(text), each) for each in allowed))
            yield require(listed, image, f"allowed are {', '.join(allowed)}")


def _comes_from(image: str, allowed: str) -> bool:
    """Without a `*` or `/` at its end it is a whole name: `registry.example.com` is not registry.example.com.evil."""
    ends = ("*",) if allowed.endswith(("*", "/")) else ("/*", ":*", "@*")
    return any(fnmatch.fnmatchcase(image, f"{allowed.rstrip('*')}{end}") for end in ends)


@resource_rule(
    51,
    "pod-resources",
    Severity.MEDIUM,
    *WORKLOADS,
    title="Containers request and limit CPU, memory and scratch disk",
    reason="One without limits takes its node down, and whatever else runs there.",
    fix="resources.requests and resources.limits with cpu, memory and ephemeral-storage.",
    source="CKV_K8S_10 to 13",
)
def resources(workload: Resource, options: Options) -> Findings:
    """All six figures."""
    del options
    for container in pods_of(workload).containers():
        for kind in ("requests", "limits"):
            for name in ("cpu", "memory", "ephemeral-storage"):
                given = container["resources"][kind].key(name)
                yield require(given.given(), given, "it has to be set")


@resource_rule(
    52,
    "pod-read-only-root",
    Severity.MEDIUM,
    *WORKLOADS,
    title="Containers cannot write to their root file system",
    reason="What cannot be written cannot be replaced by an intruder.",
    fix="securityContext.readOnlyRootFilesystem true, and an emptyDir for what has to be written.",
    source="CKV_K8S_22",
    demands=("*readOnlyRootFilesystem",),
)
def read_only_root(workload: Resource, options: Options) -> Findings:
    """For each container."""
    del options
    for container in pods_of(workload).containers():
        given = container["securityContext.readOnlyRootFilesystem"]
        yield require(given.on(), given, "true is wanted")


@resource_rule(
    53,
    "pod-no-token",
    Severity.MEDIUM,
    *WORKLOADS,
    title="Pods get no service-account token unless they ask for one",
    reason="Whoever gets into a pod gets what its account may do.",
    fix="automountServiceAccountToken false; a projected volume where a container needs one.",
    source="CKV_K8S_38",
    options={"accounts": Option((), "service accounts whose pods may have one")},
)
def no_token(workload: Resource, options: Options) -> Findings:
    """Off for the pod, or its account is listed."""
    spec = pods_of(workload).spec
    given = spec["automountServiceAccountToken"]
    asked = spec["serviceAccountName"].one_of(*options["accounts"])
    yield require(~given.on(default=True) | asked, given, "false is wanted")


@resource_rule(
    54,
    "pod-own-account",
    Severity.MEDIUM,
    *WORKLOADS,
    title="Workloads have a service account and a namespace of their own",
    reason="Rights given to `default` are given to everything that names nothing.",
    fix="serviceAccountName, and a namespace other than default and kube-*.",
    source="CKV_K8S_41, CKV_K8S_21",
)
def own_account(workload: Resource, options: Options) -> Findings:
    """Neither default."""
    del options
    account = pods_of(workload).spec["serviceAccountName"]
    yield require(account.fits(lambda name: name not in ("", "default")), account, "an account of its own is wanted")
    space = workload.namespace
    yield require(space.fits(lambda name: name not in _SYSTEM_NAMESPACES), space, "a namespace of its own is wanted")


@resource_rule(
    55,
    "pod-environment-and-probes",
    Severity.HIGH,
    *WORKLOADS,
    title="No secret stands in a variable's value, and what serves has probes",
    reason="Whoever may read workloads reads it; a server without probes gets requests while it is dead.",
    fix="valueFrom.secretKeyRef; livenessProbe and readinessProbe where a port is declared.",
    source="CKV_K8S_35, CKV_K8S_8, CKV_K8S_9",
)
def environment_and_probes(workload: Resource, options: Options) -> Findings:
    """Values of variables that look like a secret, and probes of what listens and lasts."""
    del options
    pods = pods_of(workload)
    for container in pods.containers():
        for name, value in env_values(container):
            plain = name.fits(lambda text: _SECRET_NAME.search(str(text)) is None) | ~value.given()
            yield require(plain, name, "its value has to come from a Secret")
            yield require(
                value.fits(lambda text, value=value: _harmless(text, value), missing=True), value, "a secret in it"
            )
    if not pods.lasting:
        return
    for container in pods.spec["containers"].items():
        silent = ~container["ports"].given()
        for name in _PROBES:
            yield require(silent | container[name].given(), container[name], "what serves a port needs it")


def _harmless(text: object, value: Value) -> bool:
    return not value.secret and _URL_PASSWORD.search(str(text)) is None and not tokens_in(str(text))


@resource_rule(
    56,
    "pod-untrusted",
    Severity.CRITICAL,
    *WORKLOADS,
    title="Untrusted workloads run under a sandboxed runtime, on nodes of their own",
    reason="Strangers' code is one kernel fault away from whatever shares its kernel.",
    fix="runtimeClassName, nodeSelector and a toleration of the nodes for it, enableServiceLinks false.",
    source="AWS EKS best practices, tenant isolation",
    demands=("*runtimeClassName", "*nodeSelector*"),
    options={
        "labels": Option(("agent-fleet.role=sandbox",), "labels that mark pods as untrusted"),
        "runtime_classes": Option(("gvisor", "runsc", "kata*"), "runtime classes that count"),
        "nodes": Option(("agent-fleet.io/untrusted",), "labels and taints of nodes for untrusted work"),
    },
)
def untrusted(workload: Resource, options: Options) -> Findings:
    """Marked by a label, so kept apart."""
    pods = pods_of(workload)
    trusted = ~labelled(pods.labels, options["labels"])
    spec, nodes = pods.spec, list(options["nodes"])
    runtime = spec["runtimeClassName"]
    sandboxed = runtime.fits(
        lambda name: any(fnmatch.fnmatchcase(str(name), each) for each in options["runtime_classes"])
    )
    yield require(trusted | sandboxed, runtime, f"allowed are {', '.join(options['runtime_classes'])}")
    selector = spec["nodeSelector"]
    yield require(
        trusted | some(selector.key(each).given() for each in nodes), selector, f"{' or '.join(nodes)} is wanted"
    )
    tolerations = spec["tolerations"]
    tolerated = some(each["key"].one_of(*nodes) for each in tolerations.items())
    yield require(trusted | tolerated, tolerations, f"{' or '.join(nodes)} has to be tolerated")
    links = spec["enableServiceLinks"]
    yield require(trusted | ~links.on(default=True), links, "false is wanted")


RULES = (
    pod_restricted, image_digest, resources, read_only_root, no_token, own_account, environment_and_probes, untrusted,
)  # fmt: skip
