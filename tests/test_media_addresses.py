"""Which URLs may be handed to a model."""

import pytest

from server.media.addresses import is_private, public_url
from server.settings import EMULATOR_BASE, Hosts
from tools.errors import MediaError


@pytest.mark.parametrize(
    "url",
    [
        "https://v3.fal.media/files/b/x/a.png",
        "https://example.com/a.png?signature=a%2Fb",
        "https://example.com:8443/a.png",
        "https://93.184.216.34/a.png",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/a.png",
    ],
)
def test_public_https_urls_pass_unchanged(url: str) -> None:
    assert public_url(url, Hosts()) == url


def test_blanks_in_a_url_are_encoded() -> None:
    assert public_url(" https://example.com/a b.png ", Hosts()) == "https://example.com/a%20b.png"


def test_plain_http_is_refused_with_the_reason() -> None:
    with pytest.raises(MediaError) as refused:
        public_url("http://example.com/a.png?token=secret", Hosts())
    assert str(refused.value) == (
        "'http://example.com/a.png' is not https, and can be read or changed on its way "
        "(use its https address, or download it and give the path)"
    )


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.1", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f000001", "0x7f.1",
        "0177.0.0.1", "127.1", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost", "LOCALHOST.", "printer.local", "nas",
        "metadata.google.internal", "a.home.arpa", "999.1.1.1",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(MediaError, match="leads to a private address"):
        public_url(f"https://{host}/a.png", Hosts())


def test_names_that_only_look_private_pass() -> None:
    for host in ("localhost.example.com", "10.example.com", "local.dev", "8.8.8.8"):
        assert not is_private(host)


def test_a_url_with_a_password_is_refused_and_the_password_not_repeated() -> None:
    with pytest.raises(MediaError) as refused:
        public_url("https://me:hunter2@example.com/a.png", Hosts())
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https://[::1/a",
        "https://a.com:x/b",
        "https://a.com\\@10.0.0.1/",
        "https://a\n.com",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(MediaError):
        public_url(url, Hosts())


def test_the_configured_hosts_are_accepted_where_they_are() -> None:
    emulated = Hosts.under(EMULATOR_BASE)
    url = f"{EMULATOR_BASE}/cdn/files/b/x/a.png"
    assert public_url(url, emulated) == url
    with pytest.raises(MediaError):
        public_url(url, Hosts())
    with pytest.raises(MediaError):
        public_url(f"{EMULATOR_BASE}/cdnother/a.png", emulated)
    local = Hosts(cdn="http://127.0.0.1:9000/cdn")
    assert public_url("http://127.0.0.1:9000/cdn/a.png", local)
    with pytest.raises(MediaError):
        public_url("http://127.0.0.1:9001/cdn/a.png", local)
