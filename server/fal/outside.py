"""Which addresses outside fal may be read: https, and nothing that lies in a private network."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

import anyio
import httpx

from tools.errors import MediaError

# The name and port of a host, and all addresses it has, as text.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Not public, whatever the version of Python in use says: protocol assignments (Oracle's metadata
# service is there) and Azure's wire server, which looks like any address.
_NOT_PUBLIC = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("168.63.129.16/32"))
# All of IPv6 that was ever given out (RFC 4291, section 2.4).
_UNICAST = ipaddress.ip_network("2000::/3")
# Prefixes under which a translator reaches any IPv4 address (RFC 6052, RFC 8215).
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


class UnresolvedError(MediaError):
    """No address is known for a host, now at least."""


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """Return every address of *host* as this machine resolves it.

    Raises:
        OSError: the name cannot be resolved.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [entry[4][0] for entry in found]


async def check_address(url: str, resolve: Resolve = addresses_of) -> tuple[str, ...]:
    """Return the addresses at which *url* may be read, IPv4 first; connect to these and no others.

    The name is resolved once and every address it has must be public: not private, loopback,
    link-local, carrier-grade NAT, multicast, reserved or a cloud's metadata service, nor one of
    these inside an IPv6 address (mapped, 6to4, Teredo, NAT64).

    Raises:
        UnresolvedError: the name has no address, which may pass.
        MediaError: *url* is not https, has no host or a password, or leads into a private network.
    """
    given = parsed(url)
    name = f"{given.scheme}://{given.host}" if given.host else given.scheme or "it"
    if given.scheme != "https" or not given.host:
        raise MediaError(f"{name[:120]!r} is not an https address", hint="give an https URL")
    if given.userinfo:
        raise MediaError(
            f"the address at {given.host[:120]!r} holds a user name or password",
            hint="give an https URL that opens without a login",
        )
    try:
        found = await resolve(given.host, given.port or 443)
        addresses = {ipaddress.ip_address(text.partition("%")[0]) for text in found}
    except (OSError, ValueError, UnicodeError):
        addresses = set[IPAddress]()
    if not addresses:
        raise UnresolvedError(
            f"no host {given.host[:120]!r} was found", hint="check the address and the network"
        )
    if not all(is_public(address) for address in addresses):
        raise MediaError(
            f"{given.host[:120]!r} lies in a private network",
            hint="give a public https URL or a file",
        )
    return tuple(map(str, sorted(addresses, key=lambda address: (address.version, int(address)))))


def is_public(address: IPAddress) -> bool:
    """Say whether *address* is one of the open internet, also under its disguises."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        return address.is_global and address in _UNICAST
    known = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not address.is_multicast and not known


def url_of(text: str) -> httpx.URL | None:
    """Return *text* as an address in its parts, None when it is not one."""
    try:
        url = httpx.URL(text)
        known = bool(url.host) or not url.is_absolute_url  # a host's name is decoded only here
    except (httpx.InvalidURL, UnicodeError):
        return None
    return url if known and (url.port or 0) <= 65535 else None


def parsed(url: str) -> httpx.URL:
    """Return *url* in its parts.

    Raises:
        MediaError: it is not an address.
    """
    given = url_of(url)
    if given is None:
        raise MediaError(f"{url[:80]!r} is not an address", hint="give an https URL")
    return given


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that *address* stands for, if any."""
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo:
        return address.teredo[1]
    if int(address) >> 32 == 0 and int(address) > 1:  # "IPv4-compatible", long abolished
        return ipaddress.IPv4Address(int(address))
    return address.ipv4_mapped or address.sixtofour
