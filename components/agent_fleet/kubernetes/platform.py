"""What a cluster needs beside the fleet: Istio, KEDA and Karpenter, as Helm releases at pinned versions."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes import platform_values
from agent_fleet.kubernetes.agent_routing import AMBIENT, ISTIO_CNI, MODES
from agent_fleet.kubernetes.platform_args import PlatformArgs
from agent_fleet.kubernetes.platform_namespace import ISTIO_QUOTA, KEDA_QUOTA, declare_platform_namespace
from agent_fleet.versions import ISTIO_VERSION, KARPENTER_VERSION, KEDA_VERSION

INSTALL = "install"
EXISTS = "exists"
OFF = "off"
CHOICES = (INSTALL, EXISTS, OFF)
ISTIO_NAMESPACE = "istio-system"
KEDA_NAMESPACE = "keda"
KARPENTER_NAMESPACE = "kube-system"
ISTIO_CHARTS = "https://istio-release.storage.googleapis.com/charts"
KEDA_CHARTS = "https://kedacore.github.io/charts"
KARPENTER_CHARTS = "oci://public.ecr.aws/karpenter"


class Platform(pulumi.ComponentResource):
    """The releases, in the order that they need one another; whatever depends on this finds their definitions there.

    The Gateway API's definitions, which a waypoint needs, are not among them: no chart brings them.
    """

    istio: pulumi.Output[str]
    """`install`, `exists` or `off`."""
    keda: pulumi.Output[str]
    """`install`, `exists` or `off`."""
    karpenter: pulumi.Output[str]
    """`install`, `exists` or `off`."""

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the releases; see `PlatformArgs`. Raises ValueError for a choice that is none."""
        super().__init__("agent-fleet:index:Platform", name, {}, opts)
        self._name = name
        self._timeout_seconds = args.get("timeout_seconds", 600)
        if self._timeout_seconds < 1:
            raise ValueError(f"timeout_seconds is {self._timeout_seconds}; it is at least 1.")
        choices = {
            "istio": args.get("istio", OFF),
            "keda": args.get("keda", OFF),
            "karpenter": args.get("karpenter", OFF),
        }
        for part, choice in choices.items():
            if choice not in CHOICES:
                raise ValueError(f"{part} is {choice!r}; it is one of: {', '.join(CHOICES)}.")
        if choices["istio"] == INSTALL:
            self._install_istio(args)
        if choices["keda"] == INSTALL:
            self._install_keda(args)
        if choices["karpenter"] == INSTALL:
            self._install_karpenter(args)
        self.istio = pulumi.Output.from_input(choices["istio"])
        self.keda = pulumi.Output.from_input(choices["keda"])
        self.karpenter = pulumi.Output.from_input(choices["karpenter"])
        self.register_outputs({"istio": self.istio, "keda": self.keda, "karpenter": self.karpenter})

    def _install_istio(self, args: PlatformArgs) -> None:
        settings = args.get("istio_settings", {})
        mode = settings.get("mode", AMBIENT)
        if mode not in MODES:
            raise ValueError(f"istio_settings.mode is {mode!r}; it is one of: {AMBIENT}, {ISTIO_CNI}.")
        ambient = mode == AMBIENT
        repository = settings.get("repository", ISTIO_CHARTS)
        # The nodes' agents change the nodes' own network, which no lower level lets them.
        namespace = self._namespace(ISTIO_NAMESPACE, "privileged", ISTIO_QUOTA)
        releases: list[tuple[str, Mapping[str, Any]]] = [
            ("base", platform_values.base_values()),
            ("istiod", platform_values.istiod_values(settings, ambient=ambient)),
            ("cni", platform_values.cni_values(settings, ambient=ambient)),
        ]
        if ambient:
            releases.append(("ztunnel", platform_values.ztunnel_values(settings)))
        before: list[pulumi.Resource] = namespace
        for chart, values in releases:
            release_name = chart if chart in ("istiod", "ztunnel") else f"istio-{chart}"
            before = [
                self._release(
                    release_name, repository, chart, ISTIO_VERSION, ISTIO_NAMESPACE, values, depends_on=before
                )
            ]

    def _install_keda(self, args: PlatformArgs) -> None:
        settings = args.get("keda_settings", {})
        namespace = self._namespace(KEDA_NAMESPACE, "restricted", KEDA_QUOTA)
        self._release(
            "keda",
            settings.get("repository", KEDA_CHARTS),
            "keda",
            KEDA_VERSION,
            KEDA_NAMESPACE,
            platform_values.keda_values(settings),
            depends_on=namespace,
        )

    def _install_karpenter(self, args: PlatformArgs) -> None:
        settings = args.get("karpenter_settings")
        if settings is None:
            raise ValueError(
                "karpenter is 'install' and karpenter_settings is not given; it needs the cluster's name and the "
                "interruption queue."
            )
        repository = settings.get("repository", KARPENTER_CHARTS)
        namespace = settings.get("namespace", KARPENTER_NAMESPACE)
        # Helm installs definitions once and never again, so they have a chart of their own that is updated.
        definitions = self._release("karpenter-crd", repository, "karpenter-crd", KARPENTER_VERSION, namespace, {})
        self._release(
            "karpenter",
            repository,
            "karpenter",
            KARPENTER_VERSION,
            namespace,
            platform_values.karpenter_values(settings),
            depends_on=[definitions],
            skip_crds=True,
        )

    def _namespace(self, namespace: str, level: str, quota: Mapping[str, str]) -> list[pulumi.Resource]:
        options = pulumi.ResourceOptions(parent=self)
        return declare_platform_namespace(f"{self._name}-{namespace}", namespace, level, quota, options)

    def _release(
        self,
        release_name: str,
        repository: str,
        chart: str,
        version: str,
        namespace: str,
        values: Mapping[str, Any],
        depends_on: Sequence[pulumi.Resource] = (),
        skip_crds: bool = False,
    ) -> pulumi.Resource:
        # A registry's charts are named by their whole address; only an index of charts is a repository to Helm.
        in_registry = repository.startswith("oci://")
        return k8s.helm.v3.Release(
            f"{self._name}-{release_name}",
            name=release_name,
            chart=f"{repository}/{chart}" if in_registry else chart,
            repository_opts=None if in_registry else {"repo": repository},
            version=version,
            namespace=namespace,
            values=dict(values),
            create_namespace=False,
            atomic=True,
            cleanup_on_fail=True,
            skip_await=False,
            skip_crds=skip_crds,
            timeout=self._timeout_seconds,
            max_history=5,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(depends_on)),
        )
