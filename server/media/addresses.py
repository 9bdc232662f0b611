"""Which URLs may be handed to a model or fetched, judged by their text; nothing is looked up."""

import ipaddress
import re
import socket
from urllib.parse import SplitResult, urlsplit

from server.settings import Hosts
from tools.errors import MediaError

MOST_LETTERS = 8192
_SHOWN = 120
# Names that only mean something inside a network or machine (RFC 6761, 6762, 8375 and custom).
_INNER = re.compile(
    r"(?:^|\.)(?:localhost|local|localdomain|internal|intranet|lan|home|corp|private|home\.arpa|onion)$"
)
_CARRIER_GRADE = ipaddress.ip_network("100.64.0.0/10")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ODD_IPV4 = re.compile(r"^(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}$")


def public_url(url: str, hosts: Hosts) -> str:
    """Return *url*, blanks encoded, if anyone on the internet may be sent there over https.

    The configured *hosts* are accepted whatever their address: a test or an emulator lives there.
    A host name that leads to a private address shows only when it is looked up, which whoever
    fetches does.

    Raises:
        MediaError: another scheme, a private address, a password in it, or no URL at all.
    """
    cleaned = url.strip().replace(" ", "%20")
    if len(cleaned) > MOST_LETTERS or re.search(r"[\x00-\x1f\x7f\\]", cleaned):
        raise MediaError(f"{shown_url(url)} is not a URL", hint="give an https URL or a path")
    try:
        parts = urlsplit(cleaned)
        host = (parts.hostname or "").rstrip(".").lower()
        _ = parts.port  # raises when it is no number
    except ValueError:
        raise MediaError(
            f"{shown_url(url)} is not a URL", hint="give an https URL or a path"
        ) from None
    if parts.username is not None or parts.password is not None:
        raise MediaError(
            f"the URL to {host!r} carries a user name or password",
            hint="others would read it; download the file and give its path",
        )
    if is_configured(parts, hosts):
        return cleaned
    if parts.scheme.lower() != "https":
        raise MediaError(
            f"{shown_url(url)} is not https, and can be read or changed on its way",
            hint="use its https address, or download it and give the path",
        )
    if not host:
        raise MediaError(f"{shown_url(url)} names no host", hint="give an https URL or a path")
    if is_private(host):
        raise MediaError(
            f"{shown_url(url)} leads to a private address, which models cannot reach",
            hint="download it and give the path",
        )
    return cleaned


def is_configured(parts: SplitResult, hosts: Hosts) -> bool:
    """Return whether a URL lies under one of the configured *hosts*."""
    for base in (hosts.cdn, hosts.rest, hosts.run, hosts.queue, hosts.models):
        known = urlsplit(base)
        path = known.path.rstrip("/")
        if (parts.scheme, parts.netloc) == (known.scheme, known.netloc) and (
            parts.path == path or parts.path.startswith(f"{path}/")
        ):
            return True
    return False


def is_private(host: str) -> bool:
    """Return whether *host*, a name or an address in any spelling, cannot be a public one."""
    address = _address(host)
    if address is None:
        return "." not in host or _INNER.search(host) is not None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    return not address.is_global or address.is_multicast or address in _CARRIER_GRADE


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that *host* spells, also as a number or in hex; None for names."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    if _ODD_IPV4.match(host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return ipaddress.IPv4Address(0)  # numbers that are no address are no public host either
    return None


def shown_url(url: str) -> str:
    """Return *url* in quotes without its query, which may hold a signature, cut when it is long."""
    plain = url.partition("?")[0]
    return repr(plain) if len(plain) <= _SHOWN else f"{plain[:_SHOWN]!r}…"
