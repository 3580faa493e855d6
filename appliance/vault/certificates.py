"""Certificates of TLS: what one says, and whether it can serve this machine's pages together with its key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from appliance.errors import (
    CertificateKeyError,
    CertificateNameError,
    CertificateTimeError,
    CertificateUnreadableError,
)

_SHORTEST_RSA: Final = 2048
_NAMES_TOLD: Final = 5


@dataclass(frozen=True)
class Certificate:
    """Times in seconds since the epoch; `fingerprint`: SHA-256, in pairs of digits as browsers show it."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    since: float
    until: float
    fingerprint: str


def described(pem: str) -> Certificate:
    """The first certificate of a file. Raises CertificateUnreadableError."""
    return _described(_chain(pem)[0])


def checked(chain: str, key: str, names: Sequence[str], now: float) -> Certificate:
    """A certificate, its chain behind it, that can serve pages at one of these names or addresses from `now` on.

    Raises:
        CertificateUnreadableError: no PEM, an encrypted key, or one that browsers refuse (RSA below 2,048 bits).
        CertificateKeyError: it is another certificate's key.
        CertificateTimeError: not valid yet, or not any more.
        CertificateNameError: for other machines.
    """
    first, private = _chain(chain)[0], _private(key)
    if _public(private) != first.public_key().public_bytes(_DER, _SUBJECT):
        raise CertificateKeyError
    found = _described(first)
    if not found.since <= now < found.until:
        raise CertificateTimeError(since=_day(found.since), until=_day(found.until))
    if not any(_serves(found, name) for name in names):
        raise CertificateNameError(names=", ".join(found.names[:_NAMES_TOLD]) or "-")
    return found


_DER: Final = serialization.Encoding.DER
_SUBJECT: Final = serialization.PublicFormat.SubjectPublicKeyInfo


def _chain(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode("ascii"))
    except ValueError as error:
        raise CertificateUnreadableError(str(error), part="certificate") from error


def _private(pem: str) -> PrivateKeyTypes:
    try:
        key = serialization.load_pem_private_key(pem.encode("ascii"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
        raise CertificateUnreadableError(type(error).__name__, part="key") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _SHORTEST_RSA:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    raise CertificateUnreadableError(type(key).__name__, part="key")


def _public(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(_DER, _SUBJECT)


def _described(certificate: x509.Certificate) -> Certificate:
    try:
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = [str(each) for each in said.get_values_for_type(x509.IPAddress)]
        names = (*(name.lower() for name in said.get_values_for_type(x509.DNSName)), *addresses)
    except (x509.ExtensionNotFound, ValueError):  # browsers have not read the subject for years
        names = ()
    return Certificate(
        subject=_plain(certificate.subject),
        issuer=_plain(certificate.issuer),
        names=names,
        since=certificate.not_valid_before_utc.timestamp(),
        until=certificate.not_valid_after_utc.timestamp(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def _plain(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _serves(certificate: Certificate, name: str) -> bool:
    """By the rules of browsers: a star stands for one word in front."""
    try:
        return str(ip_address(name)) in certificate.names
    except ValueError:
        pass
    name = name.lower()
    _, dot, behind = name.partition(".")
    return name in certificate.names or (bool(dot) and f"*.{behind}" in certificate.names)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
