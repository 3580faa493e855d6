"""A certificate that an operator brings: taken only where browsers would take it, with its own key, for this box."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.errors import (
    CertificateKeyError,
    CertificateNameError,
    CertificateTimeError,
    CertificateUnreadableError,
    HakoError,
)
from appliance.vault import certificates
from tests.simulators.certificates import AT, certificate, new_key, pem_of

NOW = (AT + timedelta(days=1)).timestamp()
KEY = new_key()
NAMES = ("hako", "hako.local", "10.0.0.7")


@pytest.mark.parametrize("names", [("hako.local",), ("10.0.0.7",), ("*.local",), ("elsewhere.example", "HAKO")])
def test_one_that_is_for_this_box_is_taken_and_told(names: tuple[str, ...]) -> None:
    found = certificates.checked(certificate(KEY, *names), pem_of(KEY), NAMES, NOW)
    assert found.names == tuple(name.lower() for name in names)
    assert (found.since, found.until) == (AT.timestamp(), (AT + timedelta(days=90)).timestamp())
    assert (found.subject, found.issuer, len(found.fingerprint)) == ("box", "box", 95)


def test_a_long_rsa_key_is_good_as_well() -> None:
    key = new_key(2048)
    assert certificates.checked(certificate(key, "hako"), pem_of(key), NAMES, NOW).names == ("hako",)


@pytest.mark.parametrize(
    ("pair", "refused"),
    [
        (("no certificate", pem_of(KEY)), CertificateUnreadableError),
        ((certificate(KEY, "hako"), "no key"), CertificateUnreadableError),
        ((certificate(KEY, "hako"), pem_of(KEY, b"secret")), CertificateUnreadableError),
        ((certificate(KEY, "hako"), "-----BEGIN 日本語-----"), CertificateUnreadableError),
        ((certificate(KEY, "hako"), pem_of(new_key())), CertificateKeyError),
        ((certificate(KEY, "hako", since=AT + timedelta(days=2)), pem_of(KEY)), CertificateTimeError),
        ((certificate(KEY, "hako", days=1), pem_of(KEY)), CertificateTimeError),
        ((certificate(KEY, "elsewhere.example", "10.0.0.8"), pem_of(KEY)), CertificateNameError),
        ((certificate(KEY, "*.example"), pem_of(KEY)), CertificateNameError),
        ((certificate(KEY, "*"), pem_of(KEY)), CertificateNameError),
        ((certificate(KEY), pem_of(KEY)), CertificateNameError),
    ],
)
def test_one_that_browsers_would_refuse_is_refused_before(pair: tuple[str, str], refused: type[HakoError]) -> None:
    with pytest.raises(refused):
        certificates.checked(*pair, NAMES, NOW)


def test_a_short_key_is_refused_as_the_server_would_refuse_it(tmp_path: Path) -> None:
    key = new_key(1024)
    chain = certificate(key, "hako")
    with pytest.raises(CertificateUnreadableError) as seen:
        certificates.checked(chain, pem_of(key), NAMES, NOW)
    assert seen.value.params == {"part": "key"}
    (tmp_path / "both.pem").write_text(chain + pem_of(key))
    with pytest.raises(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "both.pem")
