"""How a VPC's address range is divided over its zones: pure arithmetic, so that settings can refuse a range early."""

import ipaddress
from dataclasses import dataclass

LARGEST_VPC_PREFIX = 16
"""AWS refuses a larger IPv4 range: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html"""
SMALLEST_PRIVATE_PREFIX = 24
"""Every pod takes an address of its private subnet (VPC CNI), so less than a /24 holds a handful of nodes."""
_PRIVATE = tuple(ipaddress.IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918's."""
_LARGEST_PUBLIC_PREFIX = 24
_SMALLEST_PUBLIC_PREFIX = 28
_MOST_ZONES = 6


@dataclass(frozen=True)
class SubnetPlan:
    """One private and one public range for each zone, in the zones' order; no two overlap."""

    private: tuple[str, ...]
    public: tuple[str, ...]


def plan_subnets(cidr: str, zone_count: int) -> SubnetPlan:
    """Divide `cidr`: equal private ranges for pods, small public ones for NAT and load balancers at its end.

    Raises ValueError with the field, what was given and what is allowed.
    """
    if not 1 <= zone_count <= _MOST_ZONES:
        raise ValueError(f"zones: {zone_count} were given; 1 to {_MOST_ZONES} are allowed, 3 are usual.")
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise ValueError(f"cidr: {cidr!r} is no IPv4 range ({error}); write it like 10.64.0.0/16.") from None
    # Python calls more than these private, such as 127.0.0.0/8 and 169.254.0.0/16, which AWS refuses.
    if not any(network.subnet_of(each) for each in _PRIVATE):
        raise ValueError(f"cidr: {cidr} is not private; take a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.")
    # One block for each zone, and at least one more that the public subnets share.
    bits = zone_count.bit_length()
    smallest = SMALLEST_PRIVATE_PREFIX - bits
    if not LARGEST_VPC_PREFIX <= network.prefixlen <= smallest:
        raise ValueError(
            f"cidr: {cidr} was given; for {zone_count} zones it must be between /{LARGEST_VPC_PREFIX} and /{smallest}, "
            f"so that each zone's private subnet is at least a /{SMALLEST_PRIVATE_PREFIX}."
        )
    blocks = list(network.subnets(prefixlen_diff=bits))
    wanted = max(blocks[-1].prefixlen + bits, _LARGEST_PUBLIC_PREFIX)
    public = blocks[-1].subnets(new_prefix=min(wanted, _SMALLEST_PUBLIC_PREFIX))
    return SubnetPlan(
        private=tuple(str(block) for block in blocks[:zone_count]),
        public=tuple(str(next(public)) for _ in range(zone_count)),
    )
