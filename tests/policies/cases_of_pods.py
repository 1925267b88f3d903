"""Cases of the rules for whatever makes pods."""

import copy
from typing import Any

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
    **{each: ("spec/template/spec", {"metadata": _METADATA, "spec": {"template": _TEMPLATE}}) for each in pods.LASTING},
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
)
