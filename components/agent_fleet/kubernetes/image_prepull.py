"""Images on every node before a pod needs them (D9)."""

from typing import NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.object_labels import UNTRUSTED_NODE, metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there

ROLE = "image-prepull"
PREPULL_USER = 65532
"""Anybody who owns nothing."""


class ImagePrepullArgs(TypedDict):
    """What to pull, and where."""

    fleet: str
    """The fleet's name."""
    namespace: pulumi.Input[str]
    """A namespace of purpose `system`."""
    images: list[pulumi.Input[str]]
    """The images, by digest. Each must have /bin/true, the first one /bin/sleep as well."""
    tolerate_untrusted: NotRequired[bool]
    """Whether the nodes for untrusted work get them too. Default: no."""
    image_pull_policy: NotRequired[str]
    """`IfNotPresent` (the default, images being named by digest), `Always`, or `Never` for imported images."""


class ImagePrepull(pulumi.ComponentResource):
    """A DaemonSet whose pods do nothing but hold the images on their nodes, where the kubelet would collect them."""

    daemon_set_name: pulumi.Output[str]
    """The DaemonSet's name."""

    def __init__(self, name: str, args: ImagePrepullArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the DaemonSet; see `ImagePrepullArgs`."""
        super().__init__("agent-fleet:index:ImagePrepull", name, {}, opts)
        labels = object_labels(args["fleet"], ROLE)
        selected = selector_labels(args["fleet"], ROLE)
        inside = pulumi.ResourceOptions(parent=self)
        account = k8s.core.v1.ServiceAccount(
            name,
            metadata=metadata(ROLE, args["namespace"], labels),
            automount_service_account_token=False,
            opts=inside,
        )
        daemon_set = k8s.apps.v1.DaemonSet(
            name,
            metadata=metadata(ROLE, args["namespace"], labels),
            spec=k8s.apps.v1.DaemonSetSpecArgs(
                revision_history_limit=2,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
                # The pods serve nobody: a new set of images may come to all nodes at once.
                update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDaemonSetArgs(max_unavailable="100%"),
                ),
                template=_pod(args, labels),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[account]),
        )
        self.daemon_set_name = once_there(ROLE, [daemon_set])
        self.register_outputs({"daemon_set_name": self.daemon_set_name})


def _pod(args: ImagePrepullArgs, labels: dict[str, str]) -> k8s.core.v1.PodTemplateSpecArgs:
    untrusted = k8s.core.v1.TolerationArgs(key=UNTRUSTED_NODE, operator="Equal", value="true", effect="NoSchedule")
    policy = args.get("image_pull_policy", "IfNotPresent")
    images = args["images"]
    if not images:
        raise ValueError("images is empty: name at least one image that nodes are to hold")
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels),
        spec=k8s.core.v1.PodSpecArgs(
            service_account_name=ROLE,
            automount_service_account_token=False,
            enable_service_links=False,
            tolerations=[untrusted] if args.get("tolerate_untrusted", False) else None,
            # `sleep` as process 1 does not hear the signal to stop.
            termination_grace_period_seconds=1,
            security_context=k8s.core.v1.PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=PREPULL_USER,
                run_as_group=PREPULL_USER,
                seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
            ),
            init_containers=[
                _container(f"image-{number}", image, ["/bin/true"], policy) for number, image in enumerate(images, 1)
            ],
            containers=[_container("hold", images[0], ["/bin/sleep", "infinity"], policy)],
        ),
    )


def _container(name: str, image: pulumi.Input[str], command: list[str], policy: str) -> k8s.core.v1.ContainerArgs:
    amounts = {"memory": "16Mi", "ephemeral-storage": "16Mi"}
    return k8s.core.v1.ContainerArgs(
        name=name,
        image=image,
        image_pull_policy=policy,
        command=command,
        # A limit of what it needs while it sleeps would stretch each container's start to ten seconds.
        resources=k8s.core.v1.ResourceRequirementsArgs(
            limits={**amounts, "cpu": "200m"}, requests={**amounts, "cpu": "10m"}
        ),
        security_context=k8s.core.v1.SecurityContextArgs(
            privileged=False,
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
            run_as_non_root=True,
            run_as_user=PREPULL_USER,
            run_as_group=PREPULL_USER,
        ),
    )
