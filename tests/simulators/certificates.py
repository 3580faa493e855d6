"""Certificates for tests: made on the spot, for these names, by themselves or by an authority."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AT = datetime(2027, 1, 1, tzinfo=UTC)
"""From here on they are good."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key(bits: int = 0) -> Key:
    """RSA of so many bits; else on a curve."""
    return rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())


def pem_of(key: Key, password: bytes = b"") -> str:
    """Encrypted by the password, if there is one."""
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed).decode()


def certificate(key: Key, *names: str, since: datetime = AT, days: int = 90) -> str:
    """Signed by its own key."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "box")])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=days))
    )
    if names:
        built = built.add_extension(x509.SubjectAlternativeName([_named(name) for name in names]), critical=False)
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
