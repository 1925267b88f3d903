"""Rules for rights, services, meshes, autoscalers and claims in Kubernetes."""

import fnmatch

from agent_fleet_policies.pods import DEPLOYMENT
from agent_fleet_policies.resource import Resource, Stack, labelled
from agent_fleet_policies.rule import (
    Findings,
    Option,
    Options,
    Severity,
    require,
    require_of,
    resource_rule,
    stack_rule,
)
from agent_fleet_policies.truth import Truth, decided, some
from agent_fleet_policies.value import Value

ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
CLUSTER_ROLE = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
ROLE_BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"
CLUSTER_ROLE_BINDING = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
BINDINGS = (ROLE_BINDING, CLUSTER_ROLE_BINDING)
SERVICE = "kubernetes:core/v1:Service"
PEER_AUTHENTICATION = "kubernetes:security.istio.io/v1:PeerAuthentication"
DESTINATION_RULE = "kubernetes:networking.istio.io/v1:DestinationRule"
VIRTUAL_SERVICE = "kubernetes:networking.istio.io/v1:VirtualService"
AUTOSCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
SCALED_OBJECT = "kubernetes:keda.sh/v1alpha1:ScaledObject"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
CUSTOM = (PEER_AUTHENTICATION, DESTINATION_RULE, VIRTUAL_SERVICE, SCALED_OBJECT)
"""Types that no SDK has a class for: custom resources, by their API group."""
_ESCALATING = ("*", "escalate", "bind", "impersonate")
_INTERNAL = {
    "service.beta.kubernetes.io/aws-load-balancer-scheme": ("internal",),
    "service.beta.kubernetes.io/aws-load-balancer-internal": ("true", "0.0.0.0/0"),
    "networking.gke.io/load-balancer-type": ("Internal",),
    "service.beta.kubernetes.io/azure-load-balancer-internal": ("true",),
}


@resource_rule(
    60,
    "rbac-no-escalation",
    Severity.CRITICAL,
    ROLE,
    CLUSTER_ROLE,
    *BINDINGS,
    title="No role is for everything, or lets its holder become somebody else",
    reason="A pod's token with such a role is the cluster's.",
    fix="List resources and verbs; leave out escalate, bind, impersonate and nodes/proxy.",
    source="CKV_K8S_49, 157, 158",
    demands=("rules*", "roleRef*"),
)
def rbac(role: Resource, options: Options) -> Findings:
    """No wildcard, none of the verbs, no way into the kubelet; and nobody is bound to cluster-admin."""
    del options
    if "roleRef" in _names(role):
        name = role["roleRef.name"]
        yield require(~name.one_of("cluster-admin"), name, "nobody may be bound to it")
        return
    for rule in role["rules"].items():
        for verb in rule["verbs"].items():
            yield require(~verb.one_of(*_ESCALATING), verb, "verbs are to be listed, without those that escalate")
        for resource in rule["resources"].items():
            wild = resource.fits(lambda name: str(name).startswith("*") or name in ("nodes/proxy", "nodes/*"))
            yield require(~wild, resource, "resources are to be listed, without nodes/proxy")
        for group in rule["apiGroups"].items():
            yield require(~group.one_of("*"), group, "API groups are to be listed")


def _names(resource: Resource) -> set[str]:
    return {name for name, _ in resource.properties.entries()}


@resource_rule(
    61,
    "service-no-public-balancer",
    Severity.HIGH,
    SERVICE,
    title="No service gets a public load balancer",
    reason="It would be open to the internet, past the ingress that does TLS and authentication.",
    fix="ClusterIP behind an ingress, or the annotation that makes the balancer internal.",
    source="CKV2_K8S, AWS Load Balancer Controller, scheme",
    demands=("spec.type",),
)
def no_public_balancer(service: Resource, options: Options) -> Findings:
    """Another type, or internal by an annotation."""
    del options
    kind = service["spec.type"]
    annotations = service["metadata.annotations"]
    internal = some(annotations.key(name).one_of(*wanted) for name, wanted in _INTERNAL.items())
    yield require(~kind.one_of("LoadBalancer") | internal, kind, "an internal one is wanted")


@resource_rule(
    62,
    "istio-strict",
    Severity.HIGH,
    PEER_AUTHENTICATION,
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    title="The mesh takes mutual TLS only, and no field that Istio has dropped",
    reason="PERMISSIVE lets anybody in without a name; what a dropped field was for does not happen.",
    fix="mtls.mode STRICT; LEAST_REQUEST for LEAST_CONN, outlierDetection for circuitBreaker, percentage for percent.",
    source="Istio API reference 1.31",
)
def istio(resource: Resource, options: Options) -> Findings:
    """By kind of resource."""
    del options
    spec = resource["spec"]
    if resource.type.endswith(":PeerAuthentication"):
        mode = spec["mtls.mode"]
        yield require(mode.one_of("STRICT"), mode, "STRICT is wanted")
        for _, port in spec["portLevelMtls"].entries():
            yield require(port["mode"].one_of("STRICT"), port["mode"], "STRICT is wanted")
    elif resource.type.endswith(":DestinationRule"):
        policies = [spec["trafficPolicy"], *(each["trafficPolicy"] for each in spec["subsets"].items())]
        policies += [each for policy in policies for each in policy["portLevelSettings"].items()]
        for policy in policies:
            yield from _traffic(policy)
    else:
        for route in spec["http"].items():
            for fault in ("delay", "abort"):
                dropped = route["fault"][fault]["percent"]
                yield require(dropped.fits(lambda _: False, missing=True), dropped, "`percentage` is wanted")


def _traffic(policy: Value) -> Findings:
    mode = policy["tls.mode"]
    yield require(mode.one_of("ISTIO_MUTUAL", missing=True), mode, "ISTIO_MUTUAL is wanted")
    balancer = policy["loadBalancer.simple"]
    yield require(~balancer.one_of("LEAST_CONN"), balancer, "`LEAST_REQUEST` is wanted")
    dropped = policy["circuitBreaker"]
    yield require(dropped.fits(lambda _: False, missing=True), dropped, "`outlierDetection` is wanted")


@stack_rule(
    63,
    "autoscaled-no-replicas",
    Severity.MEDIUM,
    DEPLOYMENT,
    AUTOSCALER,
    SCALED_OBJECT,
    title="Deployments that are autoscaled leave `replicas` out",
    reason="Every update would put the pool back to that number, under load as well.",
    fix="Leave spec.replicas out, or name it in ignoreChanges.",
    source="pulumi-kubernetes #2491, Kubernetes HPA documentation",
)
def autoscaled(stack: Stack, options: Options) -> Findings:
    """Deployments that an HPA or a ScaledObject names. Under ignoreChanges the number is only the first one."""
    del options
    for deployment in stack.of(DEPLOYMENT):
        scalers = stack.within(deployment.namespace, AUTOSCALER, SCALED_OBJECT)
        scaled = some(here & _scales(each, deployment) for each, here in scalers)
        left_out = deployment["spec.replicas"].fits(lambda _: False, missing=True)
        left_out |= decided("spec.replicas" in deployment.ignored)
        message = f"spec.replicas is {deployment['spec.replicas'].shown()}, and an autoscaler sets it"
        yield require_of(deployment, ~scaled | left_out, message)


def _scales(scaler: Resource, deployment: Resource) -> Truth:
    target = scaler["spec.scaleTargetRef"]
    return target["kind"].one_of("Deployment", missing=True) & _same(target["name"], deployment["metadata.name"])


def _same(one: Value, other: Value) -> Truth:
    known = one.fits(lambda _: True, missing=True) & other.fits(lambda _: True, missing=True)
    return decided(one.text == other.text) if known.yes else known


@resource_rule(
    64,
    "workspace-claims",
    Severity.MEDIUM,
    CLAIM,
    title="Claims of a shared workspace can be shared",
    reason="A claim for one node leaves every other pod of the pool waiting for it.",
    fix="accessModes [ReadWriteMany] and a class from the list.",
    source="design, SharedWorkspace",
    options={
        "labels": Option(("app.kubernetes.io/component=workspace",), "labels that mark claims of a workspace"),
        "classes": Option(("*workspace*", "efs*"), "storage classes that can be shared"),
    },
)
def workspace_claims(claim: Resource, options: Options) -> Findings:
    """Marked by a label, so for many, and on a class that can."""
    other = ~labelled(claim.labels, options["labels"])
    modes, name = claim["spec.accessModes"], claim["spec.storageClassName"]
    yield require(other | modes.includes("ReadWriteMany"), modes, "ReadWriteMany is wanted")
    listed = name.fits(lambda text: any(fnmatch.fnmatchcase(str(text), each) for each in options["classes"]))
    yield require(other | listed, name, f"allowed are {', '.join(options['classes'])}")


RULES = (rbac, no_public_balancer, istio, autoscaled, workspace_claims)
