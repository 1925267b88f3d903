"""Images on every node before a pod needs them (D9)."""

from typing import NotRequired, TypedDict

import pulumi


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
        self.daemon_set_name = pulumi.Output.from_input("image-prepull")
        self.register_outputs({"daemon_set_name": self.daemon_set_name})
