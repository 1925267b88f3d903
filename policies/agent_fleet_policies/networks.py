"""Networks by their size."""

import ipaddress

# Larger than any network that somebody owns: the internet, or a part of it that was written as two halves.
_LARGEST = {4: 8, 6: 16}


def network(cidr: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network, or None for text that is none."""
    try:
        return ipaddress.ip_network(str(cidr), strict=False)
    except ValueError:
        return None


def open_to_the_world(cidr: object) -> bool:
    """Whether it is the internet or a large part of it. What cannot be read counts as that."""
    found = network(cidr)
    return found is None or found.prefixlen < _LARGEST[found.version]


def overlap(cidr: object, other: object) -> bool:
    """Whether two networks have an address in common. What cannot be read counts as that."""
    one, two = network(cidr), network(other)
    if one is None or two is None:
        return True
    return one.version == two.version and one.overlaps(two)


def within(inner: object, outer: object) -> bool:
    """Whether all of one network is in the other. What cannot be read is in none."""
    one, two = network(inner), network(outer)
    if isinstance(one, ipaddress.IPv4Network) and isinstance(two, ipaddress.IPv4Network):
        return one.subnet_of(two)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(two, ipaddress.IPv6Network):
        return one.subnet_of(two)
    return False
