"""Cases of the rules for Kubernetes."""

import copy
from typing import Any

from agent_fleet_policies import kubernetes_namespaces as namespaces
from agent_fleet_policies import kubernetes_others as others
from agent_fleet_policies import pods
from analyzer_process import Given, secret
from policy_case import Case

IMAGE = f"registry.example.com/fleet/runtime@sha256:{'a' * 64}"
_FIGURES = {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
_CONTAINER: dict[str, Any] = {
    "name": "api",
    "image": IMAGE,
    "ports": [{"containerPort": 8080}],
    "env": [{"name": "FLEET_NAME", "value": "prod"}],
    "resources": {"requests": _FIGURES, "limits": _FIGURES},
    "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}},
    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
_FIRST = {name: value for name, value in _CONTAINER.items() if name not in ("ports", "livenessProbe", "readinessProbe")}
_POD: dict[str, Any] = {
    "serviceAccountName": "api",
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "runtimeClassName": "gvisor",
    "nodeSelector": {"agent-fleet.io/untrusted": "true"},
    "tolerations": [{"key": "agent-fleet.io/untrusted", "operator": "Exists", "effect": "NoSchedule"}],
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1001, "seccompProfile": {"type": "RuntimeDefault"}},
    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    "initContainers": [{**_FIRST, "name": "first"}],
    "containers": [_CONTAINER],
}
_LABELS = {"agent-fleet.role": "sandbox"}
_TEMPLATE: dict[str, Any] = {"metadata": {"labels": _LABELS}, "spec": _POD}
_METADATA: dict[str, Any] = {"name": "api", "namespace": "fleet"}
_PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    pods.POD: ("spec", {"metadata": {**_METADATA, "labels": _LABELS}, "spec": _POD}),
    pods.JOB: ("spec/template/spec", {"metadata": _METADATA, "spec": {"template": _TEMPLATE}}),
    pods.CRON_JOB: (
        "spec/jobTemplate/spec/template/spec",
        {"metadata": _METADATA, "spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": _TEMPLATE}}}},
    ),
    **{
        each: ("spec/template/spec", {"metadata": _METADATA, "spec": {"template": _TEMPLATE}})
        for each in (pods.DEPLOYMENT, pods.STATEFUL_SET, pods.DAEMON_SET, pods.REPLICA_SET)
    },
}


def _workload(kind: str) -> Given:
    return Given(kind, copy.deepcopy(_PLACES[kind][1]))


def _pods(
    rule: int,
    broken: list[tuple[str, Any]],
    unknown: list[tuple[str, str]],
    missing: list[tuple[str, str]],
    kinds: tuple[str, ...] = pods.WORKLOADS,
) -> list[Case]:
    """The same for each kind of workload; paths are the pod's, or the object's behind a `/`."""

    def at(kind: str, path: str) -> str:
        return path[1:] if path.startswith("/") else f"{_PLACES[kind][0]}/{path}"

    return [
        Case(
            rule,
            [_workload(kind)],
            [(at(kind, path), value) for path, value in broken],
            [(at(kind, path), value) for path, value in unknown],  # pyright: ignore[reportArgumentType]
            [(at(kind, path), value) for path, value in missing],  # pyright: ignore[reportArgumentType]
        )
        for kind in kinds
    ]


_CONTEXT = "containers/0/securityContext"
_RESTRICTED: list[tuple[str, Any]] = [
    ("hostNetwork", True),
    ("hostPID", True),
    ("hostIPC", True),
    ("volumes", [{"name": "host", "hostPath": {"path": "/"}}]),
    ("volumes", [{"name": "share", "nfs": {"server": "s", "path": "/"}}]),
    ("securityContext/sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    ("securityContext/runAsUser", 0),
    ("securityContext/runAsNonRoot", False),
    ("securityContext/seccompProfile/type", "Unconfined"),
    ("securityContext/windowsOptions", {"hostProcess": True}),
    ("securityContext/seLinuxOptions", {"type": "spc_t"}),
    ("securityContext/seLinuxOptions", {"user": "root"}),
    ("securityContext/appArmorProfile", {"type": "Unconfined"}),
    (f"{_CONTEXT}/privileged", True),
    (f"{_CONTEXT}/allowPrivilegeEscalation", True),
    (f"{_CONTEXT}/capabilities", {"drop": ["ALL"], "add": ["NET_ADMIN"]}),
    (f"{_CONTEXT}/capabilities/drop", ["NET_RAW"]),
    (f"{_CONTEXT}/runAsNonRoot", False),
    (f"{_CONTEXT}/runAsUser", 0),
    (f"{_CONTEXT}/procMount", "Unmasked"),
    (f"{_CONTEXT}/seccompProfile", {"type": "Unconfined"}),
    ("containers/0/ports/0/hostPort", 80),
    ("containers/0/livenessProbe/httpGet/host", "169.254.169.254"),
    ("containers/0/lifecycle", {"preStop": {"tcpSocket": {"host": "10.0.0.1", "port": 1}}}),
    ("initContainers/0/securityContext/privileged", True),
]
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
    *_pods(
        49,
        _RESTRICTED,
        [
            ("hostNetwork", "refused"),
            (f"{_CONTEXT}/privileged", "refused"),
            ("volumes", "waits"),
            ("containers", "waits"),
        ],
        [
            (f"{_CONTEXT}/allowPrivilegeEscalation", "broken"),
            (f"{_CONTEXT}/capabilities", "broken"),
            ("securityContext", "broken"),
            ("initContainers", "clean"),
        ],
    ),
    *_pods(
        50,
        [("containers/0/image", "registry.example.com/fleet/runtime:1.0"), ("initContainers/0/image", "busybox")],
        [("containers/0/image", "waits"), ("containers", "waits"), ("hostNetwork", "clean")],
        [("containers/0/image", "broken")],
    ),
    *_pods(
        51,
        [
            (f"containers/0/resources/{kind}", {**_FIGURES, name: ""})
            for kind in ("requests", "limits")
            for name in _FIGURES
        ],
        [("containers/0/resources/limits/cpu", "waits"), ("initContainers/0/resources", "waits")],
        [("containers/0/resources/requests/memory", "broken"), ("initContainers/0/resources", "broken")],
    ),
    *_pods(
        52,
        [(f"{_CONTEXT}/readOnlyRootFilesystem", False)],
        [(f"{_CONTEXT}/readOnlyRootFilesystem", "refused"), ("containers", "waits")],
        [(f"{_CONTEXT}/readOnlyRootFilesystem", "broken")],
    ),
    *_pods(
        53,
        [("automountServiceAccountToken", True)],
        [("automountServiceAccountToken", "waits")],
        [("automountServiceAccountToken", "broken")],
    ),
    *_pods(
        54,
        [("serviceAccountName", "default"), ("/metadata/namespace", "default"), ("/metadata/namespace", "kube-system")],
        [("serviceAccountName", "waits"), ("/metadata/namespace", "waits")],
        [("serviceAccountName", "broken"), ("/metadata/namespace", "broken")],
    ),
    *_pods(
        55,
        [
            ("containers/0/env", [{"name": "DATABASE_PASSWORD", "value": "hunter2"}]),
            ("containers/0/env", [{"name": "API_KEY", "value": "hunter2"}]),
            ("containers/0/env", [{"name": "DATABASE_URL", "value": "postgresql://me:hunter2@database/fleet"}]),
            ("containers/0/env", [{"name": "HARMLESS", "value": secret("hunter2")}]),
        ],
        [("containers/0/env/0/name", "waits"), ("containers/0/env/0/value", "waits"), ("volumes", "clean")],
        [("containers/0/env", "clean")],
    ),
    *_pods(
        55,
        [("containers/0/livenessProbe", {}), ("containers/0/readinessProbe", {})],
        [("containers/0/livenessProbe", "waits"), ("containers/0/ports", "clean")],
        [("containers/0/livenessProbe", "broken"), ("containers/0/ports", "clean")],
        pods.LASTING,
    ),
    *_pods(
        56,
        [
            ("runtimeClassName", "runc"),
            ("nodeSelector", {"other": "true"}),
            ("tolerations", []),
            ("enableServiceLinks", True),
        ],
        [("runtimeClassName", "refused"), ("nodeSelector", "refused"), ("tolerations", "waits")],
        [("runtimeClassName", "broken"), ("enableServiceLinks", "broken")],
    ),
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
