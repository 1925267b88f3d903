"""Which addresses the proxy never connects to, whatever a name resolves to.

From IANA's special-purpose registries (IPv4 and IPv6, RFC 6890 and its updates): all that is not globally reachable,
and all that is only another way to write or to reach an IPv4 address.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "a carrier's own (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "Azure's own services, on every host there"),
        ("169.254.0.0/16", "link-local, where metadata services are"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "special purpose"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "special purpose"),
        ("192.52.193.0/24", "special purpose"),
        ("192.88.99.0/24", "a relay to IPv6 (6to4)"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "special purpose"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
        ("2001::/23", "special purpose (Teredo and others)"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "an IPv4 address in disguise (6to4)"),
        ("2620:4f:8000::/48", "special purpose"),
        ("3fff::/20", "documentation"),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is handed out of IPv6. Outside are loopback, private (ULA), link-local and multicast addresses, and IPv4
ones in disguise (mapped, compatible, NAT64)."""


def refusal(address: Address, own: Iterable[Network] = ()) -> str | None:
    """Return why an address is not connected to, or None. `own` are networks that are the fleet's or its host's."""
    for network in own:
        if address.version == network.version and address in network:
            return f"in {network}, which is the fleet's own"
    for network, why in _REFUSED:
        if address.version == network.version and address in network:
            return why
    if isinstance(address, IPv6Address) and (address not in _GLOBAL_UNICAST or address.scope_id is not None):
        return "not a global unicast address"
    # What the tables above have and what Python's own have should be the same; neither alone decides.
    return None if address.is_global else "not globally reachable"


def parsed(text: str) -> Address:
    """Return the address that a resolver gave; raises ValueError."""
    return ip_address(text)
