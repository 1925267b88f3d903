"""What a stack may be called: its name is part of names that AWS judges only when it makes what has them."""

import re
from collections.abc import Iterator, Mapping

LONGEST_STACK_NAME = 40
"""A container's name is also its name in the network, where 63 characters are the most: `agent-fleet-` before the
stack's name, `-worker-8` or `-database` after it."""
LONGEST_ON_AWS: Mapping[str, int] = {"vm": 33, "queue": 33, "cluster": 25}
"""IAM takes 64 characters for a role's name: `agent-fleet-` before the stack's, the longest role's own part after it
(`-monitoring` on hosts, `-aws-ebs-csi-driver` on EKS), and the eight that Pulumi adds."""
_ON_AWS = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""RDS takes letters, digits and single hyphens, and makes small letters of large ones, which would be a change at
every run: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html"""


def stack_name_problems(stack: str, architecture: str, target: str) -> Iterator[str]:
    """Why a stack on AWS cannot have this name; nothing for what is elsewhere."""
    if target not in ("ec2", "eks"):
        return
    longest = LONGEST_ON_AWS[architecture]
    if len(stack) > longest:
        yield (
            f"stack name: given {stack!r} with {len(stack)} characters; allowed for `architecture: {architecture}` "
            f"with `target: {target}`: up to {longest}, because IAM's roles have the stack's name in theirs."
        )
    if _ON_AWS.fullmatch(stack) is None:
        yield (
            f"stack name: given {stack!r}; allowed with `target: {target}`: small letters, digits, and single hyphens "
            "between them, because databases and registries on AWS take no others in their names."
        )
