"""Which addresses the proxy connects to: the world's, and nothing that is nearer."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from fleet_runtime.egress.addresses import refusal
from hypothesis import example, given
from hypothesis import strategies as st

PRIVATE = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "100::/64",
    "5f00::/16",
]
# Of each, what it holds an IPv4 address in: the number of bits after it.
DISGUISES = {
    "::": 0,
    "::ffff:0:0": 0,
    "::ffff:0:0:0": 0,
    "64:ff9b::": 0,
    "64:ff9b:1::": 0,
    "2002::": 80,
    "2001::": 0,
}


@pytest.mark.parametrize("network", PRIVATE)
@given(data=st.data())
def test_nothing_that_is_not_public_is_connected_to(network: str, data: st.DataObject) -> None:
    """The host, the database and the metadata service are all in one of these."""
    wanted = ip_network(network)
    number = data.draw(st.integers(int(wanted.network_address), int(wanted.broadcast_address)))
    address = IPv4Address(number) if wanted.version == 4 else IPv6Address(number)
    assert refusal(address) is not None


@pytest.mark.parametrize("prefix", DISGUISES)
@given(inner=st.ip_addresses(v=4))
@example(inner=IPv4Address("169.254.169.254"))
@example(inner=IPv4Address("8.8.8.8"))
def test_no_ipv4_address_gets_through_dressed_as_another(prefix: str, inner: IPv4Address) -> None:
    """A check of IPv4 ranges means nothing where the kernel or a gateway turns another notation into one."""
    number = int(IPv6Address(prefix)) + (int(inner) << DISGUISES[prefix])
    assert refusal(IPv6Address(number)) is not None


@given(address=st.ip_addresses())
def test_what_is_let_through_is_global_by_pythons_own_tables_too(address: IPv4Address | IPv6Address) -> None:
    """A hole in one table must not be a hole in the wall."""
    if refusal(address) is None:
        assert address.is_global
        assert not any((address.is_private, address.is_multicast, address.is_reserved, address.is_loopback))


@given(address=st.ip_addresses(network="2a00::/12") | st.ip_addresses(network="8.0.0.0/8"))
def test_the_world_is_let_through(address: IPv4Address | IPv6Address) -> None:
    """A proxy that refuses everything would pass every other test here."""
    assert refusal(address) is None


@pytest.mark.parametrize(
    "text", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"]
)
def test_the_metadata_services_of_clouds_are_refused(text: str) -> None:
    """Whoever reads one holds the host's role in the cloud."""
    assert refusal(ip_address(text)) is not None


def test_an_address_with_a_zone_is_refused() -> None:
    """A zone picks an interface of this host."""
    assert refusal(IPv6Address("2a00::1%eth0")) is not None


@given(network=st.sampled_from(["8.8.0.0/16", "2a00:1450::/32"]), data=st.data())
def test_the_fleets_own_networks_are_refused_wherever_they_are(network: str, data: st.DataObject) -> None:
    """A host with a public address would be reached from its own sandboxes."""
    own = ipaddress.ip_network(network)
    address = data.draw(st.ip_addresses(network=own))
    assert refusal(address) is None
    assert refusal(address, [own]) is not None
