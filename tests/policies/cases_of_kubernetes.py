"""Cases of the rules for Kubernetes, but for pods."""

from typing import Any

from agent_fleet_policies import kubernetes_namespaces as namespaces
from agent_fleet_policies import kubernetes_others as others
from agent_fleet_policies import pods
from analyzer_process import Given
from policy_case import Case

_METADATA: dict[str, Any] = {"name": "api", "namespace": "fleet"}
_DENY: dict[str, Any] = {
    "metadata": {"name": "deny", "namespace": "boxes"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
_BOXES: dict[str, Any] = {
    "metadata": {
        "name": "boxes",
        "labels": {"agent-fleet.purpose": "sandboxes", "pod-security.kubernetes.io/enforce": "restricted"},
    }
}
_WEB: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "boxes"},
    "spec": {
        "podSelector": {"matchLabels": {"web": "yes"}},
        "policyTypes": ["Egress"],
        "egress": [
            {
                "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}}],
                "ports": [{"port": 443}],
            }
        ],
    },
}
_ROLE: dict[str, Any] = {
    "metadata": _METADATA,
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
}
_DESTINATION: dict[str, Any] = {
    "metadata": _METADATA,
    "spec": {
        "host": "api",
        "trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}, "tls": {"mode": "ISTIO_MUTUAL"}},
        "subsets": [{"name": "v1", "trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 5}}}],
    },
}
_FAULT: dict[str, Any] = {
    "metadata": _METADATA,
    "spec": {"hosts": ["api"], "http": [{"fault": {"abort": {"percentage": {"value": 1}, "httpStatus": 503}}}]},
}
_SCALER: dict[str, Any] = {
    "metadata": _METADATA,
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}, "maxReplicas": 3},
}
_CLAIM: dict[str, Any] = {
    "metadata": {**_METADATA, "labels": {"app.kubernetes.io/component": "workspace"}},
    "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "agent-fleet-workspace"},
}

CASES = (
    Case(
        57,
        [Given(namespaces.NAMESPACE, _BOXES)],
        [("metadata/labels", {"pod-security.kubernetes.io/enforce": "baseline"})],
        [("metadata/labels", "refused"), ("metadata/name", "clean")],
        [("metadata/labels", "broken")],
    ),
    Case(
        58,
        [
            Given(namespaces.NAMESPACE, _BOXES),
            Given(namespaces.NETWORK_POLICY, _DENY, "deny"),
            Given(namespaces.NETWORK_POLICY, _WEB, "web"),
            Given(namespaces.VPC, {"cidrBlock": "10.1.0.0/16"}, "vpc"),
        ],
        [
            ("1:spec/policyTypes", ["Ingress"]),
            ("1:spec/podSelector", {"matchLabels": {"some": "pods"}}),
            ("1:spec/egress", [{}]),
            ("1:metadata/namespace", "elsewhere"),
            ("2:spec/egress", [{}]),
            ("2:spec/egress/0/to/0/ipBlock/except", ["10.0.0.0/8"]),
            ("2:spec/egress/0/to/0/ipBlock/except", ["169.254.0.0/16"]),
            ("3:cidrBlock", "172.31.0.0/16"),
        ],
        [
            ("1:spec/policyTypes", "waits"),
            ("1:metadata/namespace", "waits"),
            ("2:spec/egress/0/to/0/ipBlock/except", "waits"),
            ("3:cidrBlock", "waits"),
            ("2:spec/egress/0/ports", "clean"),
        ],
        [("1:spec/policyTypes", "broken"), ("2:spec/egress", "clean"), ("2:spec/egress/0/to", "broken")],
    ),
    Case(
        59,
        [
            Given(namespaces.NAMESPACE, _BOXES),
            Given(namespaces.QUOTA, {"metadata": {"namespace": "boxes"}, "spec": {"hard": {"pods": "10"}}}, "quota"),
            Given(
                namespaces.LIMITS,
                {
                    "metadata": {"namespace": "boxes"},
                    "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]},
                },
                "limits",
            ),
        ],
        [("1:spec/hard", {}), ("2:metadata/namespace", "elsewhere")],
        [("1:spec/hard", "waits"), ("2:metadata/namespace", "waits"), ("metadata/name", "waits")],
        [("1:spec/hard", "broken"), ("2:spec/limits", "broken")],
    ),
    Case(
        60,
        [Given(others.ROLE, _ROLE)],
        [
            ("rules/0/verbs", ["*"]),
            ("rules/0/verbs", ["get", "impersonate"]),
            ("rules/0/verbs", ["escalate"]),
            ("rules/0/verbs", ["bind"]),
            ("rules/0/resources", ["nodes/proxy"]),
            ("rules/0/resources", ["*"]),
            ("rules/0/apiGroups", ["*"]),
        ],
        [("rules", "refused"), ("rules/0/verbs/0", "refused"), ("metadata/name", "clean")],
        [("rules", "clean")],
    ),
    Case(
        60,
        [
            Given(
                others.CLUSTER_ROLE_BINDING,
                {
                    "metadata": _METADATA,
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                },
            )
        ],
        [("roleRef/name", "cluster-admin")],
        [("roleRef/name", "refused")],
        [("roleRef/kind", "clean")],
    ),
    Case(
        61,
        [
            Given(
                others.SERVICE,
                {
                    "metadata": {
                        **_METADATA,
                        "annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"},
                    },
                    "spec": {"type": "LoadBalancer"},
                },
            )
        ],
        [
            ("metadata/annotations/service.beta.kubernetes.io%aws-load-balancer-scheme", "internet-facing"),
            ("metadata/annotations", {}),
        ],
        [("metadata/annotations", "waits"), ("spec/type", "clean")],
        [("metadata/annotations", "broken"), ("spec/type", "clean")],
    ),
    Case(
        61,
        [Given(others.SERVICE, {"metadata": _METADATA, "spec": {"type": "ClusterIP"}})],
        [("spec/type", "LoadBalancer")],
        [("spec/type", "refused")],
        [("spec/type", "clean")],
    ),
    Case(
        62,
        [
            Given(
                others.PEER_AUTHENTICATION,
                {
                    "metadata": _METADATA,
                    "spec": {"mtls": {"mode": "STRICT"}, "portLevelMtls": {"8080": {"mode": "STRICT"}}},
                },
            )
        ],
        [("spec/mtls/mode", "PERMISSIVE"), ("spec/portLevelMtls/8080/mode", "DISABLE")],
        [("spec/mtls/mode", "waits"), ("spec/portLevelMtls", "waits")],
        [("spec/mtls", "broken"), ("spec/portLevelMtls", "clean")],
    ),
    Case(
        62,
        [Given(others.DESTINATION_RULE, _DESTINATION)],
        [
            ("spec/trafficPolicy/loadBalancer/simple", "LEAST_CONN"),
            ("spec/trafficPolicy/tls/mode", "DISABLE"),
            ("spec/trafficPolicy/circuitBreaker", {"maxConnections": 1}),
            ("spec/subsets/0/trafficPolicy/circuitBreaker", {"maxConnections": 1}),
        ],
        [("spec/trafficPolicy", "waits"), ("spec/subsets", "waits")],
        [("spec/trafficPolicy", "clean")],
    ),
    Case(
        62,
        [Given(others.VIRTUAL_SERVICE, _FAULT)],
        [("spec/http/0/fault/abort/percent", 50)],
        [("spec/http/0/fault/abort", "waits"), ("spec/http", "waits")],
        [("spec/http", "clean")],
    ),
    Case(
        63,
        [Given(pods.DEPLOYMENT, {"metadata": _METADATA, "spec": {}}), Given(others.AUTOSCALER, _SCALER, "scaler")],
        [("spec/replicas", 2)],
        [("spec/replicas", "waits"), ("1:spec/scaleTargetRef/name", "clean")],
        [("1:spec/scaleTargetRef", "clean")],
    ),
    Case(
        63,
        [Given(pods.DEPLOYMENT, {"metadata": _METADATA, "spec": {}}), Given(others.SCALED_OBJECT, _SCALER, "scaler")],
        [("spec/replicas", 0)],
        [("spec/replicas", "waits")],
        [("1:spec/scaleTargetRef", "clean")],
    ),
    Case(
        64,
        [Given(others.CLAIM, _CLAIM)],
        [("spec/accessModes", ["ReadWriteOnce"]), ("spec/storageClassName", "gp3")],
        [("spec/accessModes", "waits"), ("spec/storageClassName", "waits"), ("metadata/labels", "clean")],
        [("spec/accessModes", "broken"), ("spec/storageClassName", "broken"), ("metadata/labels", "clean")],
    ),
)
