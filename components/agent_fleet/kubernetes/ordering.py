"""Values that are only given out once what they stand for is ready."""

from collections.abc import Sequence

import pulumi


def once_there(value: pulumi.Input[str], resources: Sequence[pulumi.Resource]) -> pulumi.Output[str]:
    """The value, as an output that depends on all of these: what takes it is made after them and deleted before.

    A resource's URN is known in a preview, so the value is as well.
    """

    def first(given: list[str]) -> str:
        return given[0]

    return pulumi.Output.all(value, *(resource.urn for resource in resources)).apply(first)
