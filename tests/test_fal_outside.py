"""Which addresses outside fal may be read."""

import ipaddress
from collections.abc import Sequence

import pytest

from server.fal.outside import UnresolvedError, addresses_of, check_address, is_public
from tools.errors import MediaError


def names(*addresses: str) -> "Names":
    return Names(addresses)


class Names:
    """Resolves every name to the same addresses and remembers what was asked."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.addresses


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("127.8.9.1", id="loopback, further in"),
        pytest.param("0.0.0.0", id="this host"),  # noqa: S104  # nothing listens
        pytest.param("10.1.2.3", id="private"),
        pytest.param("172.16.0.1", id="private, second range"),
        pytest.param("192.168.1.1", id="private, third range"),
        pytest.param("169.254.169.254", id="link-local, metadata"),
        pytest.param("100.64.0.1", id="carrier-grade NAT"),
        pytest.param("100.100.100.200", id="metadata in carrier-grade NAT"),
        pytest.param("168.63.129.16", id="metadata at a public address"),
        pytest.param("192.0.0.192", id="metadata of protocol assignments"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("198.18.0.1", id="benchmarks"),
        pytest.param("203.0.113.9", id="documentation"),
        pytest.param("::1", id="loopback 6"),
        pytest.param("::", id="this host 6"),
        pytest.param("fe80::1", id="link-local 6"),
        pytest.param("fd00:ec2::254", id="metadata, unique local 6"),
        pytest.param("ff02::1", id="multicast 6"),
        pytest.param("fec0::1", id="site-local 6"),
        pytest.param("2001:db8::1", id="documentation 6"),
        pytest.param("::ffff:127.0.0.1", id="mapped"),
        pytest.param("::ffff:169.254.169.254", id="mapped metadata"),
        pytest.param("::127.0.0.1", id="compatible"),
        pytest.param("64:ff9b::a01:203", id="NAT64"),
        pytest.param("2002:7f00:1::", id="6to4"),
        pytest.param("2001:0:53aa:64c:0:0:f5fe:fdfc", id="Teredo"),
    ],
)
async def test_a_name_that_leads_into_a_private_network_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))

    with pytest.raises(MediaError, match="private network"):
        await check_address("https://files.test/x", names("93.184.216.34", address))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://127.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data/",
    ],
)
async def test_no_spelling_of_a_private_address_passes_this_machines_resolver(url: str) -> None:
    with pytest.raises(MediaError, match=r"private network|is not an address"):
        await check_address(url, addresses_of)


async def test_the_addresses_to_connect_to_come_back_ipv4_first() -> None:
    resolve = names("2606:4700::1111", "1.1.1.1", "1.0.0.1", "1.1.1.1")

    found = await check_address("https://files.test:8443/x?signature=s", resolve)

    assert found == ("1.0.0.1", "1.1.1.1", "2606:4700::1111")
    assert resolve.asked == [("files.test", 8443)]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://files.test/x", "'http://files.test' is not an https address"),
        ("ftp://files.test/x", "is not an https address"),
        ("file:///etc/passwd", "is not an https address"),
        ("/etc/passwd", "is not an https address"),
        ("https:///x", "is not an https address"),
        ("https://me:word@files.test/x", "holds a user name or password"),
        ("https://files.test:99999999/x", "is not an address"),
        ("https://files.test:x/x", "is not an address"),
        ("https://xn--a/x", "is not an address"),
    ],
)
async def test_what_is_no_plain_https_address_is_refused_without_a_look(
    url: str, words: str
) -> None:
    resolve = names("1.1.1.1")

    with pytest.raises(MediaError, match=words) as caught:
        await check_address(url, resolve)

    assert resolve.asked == []
    assert "word@" not in str(caught.value)


async def test_a_name_without_an_address_is_told_apart() -> None:
    async def fails(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(UnresolvedError, match=r"no host 'files\.test' was found"):
        await check_address("https://files.test/x", fails)
    with pytest.raises(UnresolvedError):
        await check_address("https://files.test/x", names())
