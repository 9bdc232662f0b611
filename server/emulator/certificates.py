"""`certificate_of`: a self-made certificate for this machine's own names, kept in the folder."""

import ipaddress
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("localhost", "*.localhost", *(f"{name}.localhost" for name in ("queue", "rest", "ws")))
ADDRESSES = ("127.0.0.1", "::1")
LIFE = timedelta(days=90)
RENEWED_BEFORE = timedelta(days=30)
BACKDATED = timedelta(minutes=5)  # for clocks that are a little behind


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server shows, with its key (0600, in one file), and the part that clients trust."""

    with_key: Path
    public: Path
    ends: datetime


def certificate_of(folder: Path, now: datetime | None = None) -> Certificate:
    """Return the certificate in *folder*, made or renewed if it ends within 30 days of *now*.

    It is good for ``localhost``, names under it, ``127.0.0.1`` and ``::1``, signs nothing else, and
    is worth trusting to nobody but clients of this emulator. Synchronous. Where several processes
    make one at once, all use the one that was written last.
    """
    now = now or datetime.now(UTC)
    place = folder / "tls"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with_key, public = place / "server.pem", place / "certificate.pem"
    ends = _end(with_key)
    if ends is None or ends - now < RENEWED_BEFORE:
        _write(with_key, _made(now))
        ends = _end(with_key)
    assert ends is not None  # noqa: S101  # just written
    known = x509.load_pem_x509_certificate(with_key.read_bytes())
    shown = known.public_bytes(serialization.Encoding.PEM)
    if not public.exists() or public.read_bytes() != shown:
        _write(public, shown)
    return Certificate(with_key, public, ends)


def _end(with_key: Path) -> datetime | None:
    """Return until when the certificate in that file is good, None if it cannot be read."""
    try:
        content = with_key.read_bytes()
        serialization.load_pem_private_key(content, None)
        return x509.load_pem_x509_certificate(content).not_valid_after_utc
    except (OSError, ValueError, TypeError):
        return None


def _made(now: datetime) -> bytes:
    """Return a new key and its certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "falkit"),
            x509.NameAttribute(NameOID.COMMON_NAME, "falkit emulator on this machine"),
        ]
    )
    public = key.public_key()
    mark = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName(_names()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signs_handshakes_only(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(mark, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(mark), critical=False
        )
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = builder.sign(key, hashes.SHA256())
    return secret + made.public_bytes(serialization.Encoding.PEM)


def _names() -> Sequence[x509.GeneralName]:
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
    return [*(x509.DNSName(name) for name in NAMES), *addresses]


def _signs_handshakes_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    """Put *content* at *path* at once and for its owner alone."""
    arriving = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    handle = os.open(arriving, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    arriving.replace(path)
