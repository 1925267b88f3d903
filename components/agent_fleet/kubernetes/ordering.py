"""Values that are only given out once what they stand for is ready."""

from collections.abc import Sequence

import pulumi


def once_there(value: pulumi.Input[str], resources: Sequence[pulumi.Resource]) -> pulumi.Output[str]:
    """The value, as an output that depends on all of these: what takes it is made after them and deleted before.

    A resource's URN is known in a preview, so the value is as well.
    """

    if not isinstance(value, str):

        def first(given: list[str]) -> str:
            return given[0]

        return pulumi.Output.all(value, *(resource.urn for resource in resources)).apply(first)

    def known(_: object) -> str:
        return value

    # Each pool gives out several names that wait for one resource, and an output more for each is felt in previews.
    made = resources[0].urn if len(resources) == 1 else pulumi.Output.all(*(each.urn for each in resources))
    return made.apply(known)
