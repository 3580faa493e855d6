"""A holder's key in a hardware token, for which SoftHSM stands: it is asked through the same kind of driver."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.bundle.publish import keys, tokens
from appliance.bundle.publish.repository import ROLE_NAMES, Repository, Share
from appliance.bundle.trust.statement import inspect_root
from appliance.errors import BundleInvalidError, TokenUnusableError, WrongPassphraseError

DRIVER = Path("/usr/lib/softhsm/libsofthsm2.so")
NOW = 1_790_000_000.0
PIN, OFFICERS_PIN = "438121", "99887766"

needs_softhsm = pytest.mark.skipif(
    not DRIVER.exists() or shutil.which("softhsm2-util") is None, reason="this machine has no SoftHSM (softhsm2)"
)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The label of a token with one key on the curve P-256, number 2."""
    folder = tmp_path / "softhsm"
    (folder / "tokens").mkdir(parents=True)
    (folder / "conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n", "utf-8")
    monkeypatch.setenv("SOFTHSM2_CONF", str(folder / "conf"))
    monkeypatch.setenv(tokens.DRIVER, str(DRIVER))
    pem = folder / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pem],
        check=True,
        capture_output=True,
    )
    for words in (
        ["--init-token", "--free", "--label", "dave", "--so-pin", OFFICERS_PIN, "--pin", PIN],
        ["--import", pem, "--token", "dave", "--label", "root", "--id", "02", "--pin", PIN],
    ):
        subprocess.run(["softhsm2-util", *map(str, words)], check=True, capture_output=True)
    return "dave"


@needs_softhsm
def test_a_root_that_a_token_signed_is_one_that_a_box_takes(token: str, tmp_path: Path) -> None:
    in_token = keys.from_token(tmp_path, "dave", token, 2, PIN)
    in_file = keys.generate(tmp_path, "carol", "correct horse battery")
    repository = Repository(tmp_path / "publisher", NOW)
    repository.found({role: Share((in_token, in_file), 2) for role in ROLE_NAMES})
    holders = ((tmp_path / "dave.key.json", PIN), (tmp_path / "carol.key.json", "correct horse battery"))
    assert [keys.is_in_token(path) for path, _secret in holders] == [True, False]
    for path, secret in holders:
        assert repository.sign(keys.opened(path, secret)) == list(ROLE_NAMES)
    repository.demand_signed()
    assert inspect_root((repository.metadata / "1.root.json").read_bytes()).version == 1


@needs_softhsm
def test_no_secret_is_in_either_file_and_none_is_overwritten(token: str, tmp_path: Path) -> None:
    made = keys.from_token(tmp_path, "dave", token, 2, PIN)
    said = (tmp_path / "dave.key.json").read_text("utf-8")
    assert PIN not in said
    assert set(json.loads(said)) == {"token", "keyid", "keytype", "scheme", "keyval"}
    assert keys.public(tmp_path / "dave.pub.json") == made
    with pytest.raises(BundleInvalidError):
        keys.from_token(tmp_path, "dave", token, 2, PIN)


@needs_softhsm
def test_what_keeps_a_token_from_signing_is_told(token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys.from_token(tmp_path, "dave", token, 2, PIN)
    repository = Repository(tmp_path / "publisher", NOW)
    repository.found({role: Share((made,), 1) for role in ROLE_NAMES})
    path = tmp_path / "dave.key.json"
    with pytest.raises(WrongPassphraseError):
        repository.sign(keys.opened(path, "000000"))
    assert not any(standing.signed for standing in repository.standing())
    with pytest.raises(TokenUnusableError) as absent:
        tokens.found("somebody else's", 2, PIN)
    assert absent.value.params == {"why": "token"}
    with pytest.raises(TokenUnusableError) as keyless:
        tokens.found(token, 7, PIN)
    assert keyless.value.params == {"why": "key"}
    monkeypatch.delenv(tokens.DRIVER)
    with pytest.raises(TokenUnusableError) as driverless:
        keys.opened(path, PIN)
    assert driverless.value.params == {"why": "driver"}


@pytest.mark.parametrize(
    "text",
    ["hsm:", "hsm:x", "gnupg:ABC", "hsm:2?module=/tmp/evil.so", "hsm:2?label=" + "a" * 400, "file:/etc/passwd", 2],
)
def test_a_key_file_names_nothing_but_a_token(text: object, tmp_path: Path) -> None:
    path = tmp_path / "mallory.key.json"
    path.write_text(json.dumps({"token": text, "keyid": "a", "keytype": "ecdsa", "scheme": "x", "keyval": {}}), "utf-8")
    assert not tokens.is_uri(text)
    assert not keys.is_in_token(path)
