"""What the cluster's add-ons may send and receive, where a new pod is closed until a policy opens it."""

from typing import TypedDict

import pulumi
import pulumi_kubernetes as kubernetes

from agent_fleet.aws.cluster_addons import SYSTEM_NAMESPACE

DNS_PORTS = (("UDP", 53), ("TCP", 53))
METRICS_SERVER_PORT = 10251


class AddonTrafficArgs(TypedDict):
    """Whose cluster it is."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the labels."""


class AddonTraffic(pulumi.ComponentResource):
    """NetworkPolicies of `kube-system` for EKS's add-ons.

    The VPC CNI runs in strict mode, so DNS does not answer, and no volume is attached, before these are there. Give it
    the cluster's kubeconfig and never `depends_on` the `Cluster`: that one waits for its add-ons, which wait for this.
    """

    namespace: pulumi.Output[str]
    """The namespace, known only when its policies are there."""

    def __init__(self, name: str, args: AddonTrafficArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the policies; see `AddonTrafficArgs`. `opts` brings the Kubernetes provider."""
        super().__init__("agent-fleet:index:AddonTraffic", name, {}, opts)
        self._name, self._fleet = name, args["fleet"]
        policies = [
            # The API server, the AWS APIs and the nodes: none has an address that a policy could name.
            self._policy(
                "addons-out",
                kubernetes.networking.v1.NetworkPolicySpecArgs(
                    pod_selector=kubernetes.meta.v1.LabelSelectorArgs(),
                    policy_types=["Egress"],
                    egress=[kubernetes.networking.v1.NetworkPolicyEgressRuleArgs()],
                ),
            ),
            self._ingress("dns-in", {"k8s-app": "kube-dns"}, DNS_PORTS),
            self._ingress("metrics-in", {"app.kubernetes.io/name": "metrics-server"}, (("TCP", METRICS_SERVER_PORT),)),
        ]
        self.namespace = pulumi.Output.all(*[each.id for each in policies]).apply(lambda _: SYSTEM_NAMESPACE)
        self.register_outputs({"namespace": self.namespace})

    def _ingress(
        self, own_name: str, selector: dict[str, str], ports: tuple[tuple[str, int], ...]
    ) -> kubernetes.networking.v1.NetworkPolicy:
        return self._policy(
            own_name,
            kubernetes.networking.v1.NetworkPolicySpecArgs(
                pod_selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels=selector),
                policy_types=["Ingress"],
                ingress=[
                    kubernetes.networking.v1.NetworkPolicyIngressRuleArgs(
                        ports=[
                            kubernetes.networking.v1.NetworkPolicyPortArgs(protocol=protocol, port=port)
                            for protocol, port in ports
                        ]
                    )
                ],
            ),
        )

    def _policy(
        self, own_name: str, spec: kubernetes.networking.v1.NetworkPolicySpecArgs
    ) -> kubernetes.networking.v1.NetworkPolicy:
        return kubernetes.networking.v1.NetworkPolicy(
            f"{self._name}-{own_name}",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=f"agent-fleet-{own_name}",
                namespace=SYSTEM_NAMESPACE,
                labels={
                    "app.kubernetes.io/name": own_name,
                    "app.kubernetes.io/part-of": "agent-fleet",
                    "app.kubernetes.io/managed-by": "pulumi",
                    "agent-fleet.fleet": self._fleet,
                    "agent-fleet.role": "addon-traffic",
                },
            ),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self),
        )
