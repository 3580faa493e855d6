"""The certificate's end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from appliance.health.checks.certificate import CertificateCheck
from tests.unit.health.checks.machines import found, host, is_unknown

END = datetime(2027, 1, 1, tzinfo=UTC)
FILE = Path("/etc/hako/tls.pem")


@pytest.fixture(scope="module")
def pem() -> str:
    key, name = Ed25519PrivateKey.generate(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hako.test")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(END - timedelta(days=365)).not_valid_after(END)
    return made.sign(key, None).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (60, []), (59, [("expiring", "warning")]), (14, [("expiring", "warning")]), (13, [("expiring", "error")]),
        (-400, [("expiring", "error")]),
    ],
)  # fmt: skip
def test_days_left(tmp_path: Path, pem: str, left: int, expected: list[tuple[str, str]]) -> None:
    check = CertificateCheck(FILE, (END - timedelta(days=left)).timestamp)
    look = check.look(host(tmp_path, {str(FILE): pem}))
    assert found(look) == expected
    assert look.params == {"days": max(0, left)}


def test_none_is_well_and_an_unreadable_one_unknown(tmp_path: Path, pem: str) -> None:
    assert CertificateCheck(None).look(host(tmp_path)).state == "ok"
    assert is_unknown(CertificateCheck(FILE).look(host(tmp_path)))
    for odd in ("", "garbage", pem[:200], pem.replace("M", "A", 30)):
        assert is_unknown(CertificateCheck(FILE).look(host(tmp_path, {str(FILE): odd})))
