"""What a certificate for TLS says of itself."""

from cryptography import x509


def ends_at(pem: bytes) -> float:
    """When the first certificate in it ends, seconds since the epoch. Raises ValueError for anything else."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
