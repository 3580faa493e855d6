"""Which root the box trusts: set once, replaced only by who knows the old one, and never with less memory."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bundle.trust import anchors
from appliance.bundle.trust.anchors import Anchors
from appliance.errors import (
    BundleInvalidError,
    BundleSignatureError,
    ConflictError,
    FingerprintError,
    NoPublisherError,
)
from appliance.storage.database import Database
from tests.simulators.publisher import Publisher

NOW = 1_800_000_000.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "hako.db", bytes(range(32)))
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def known(database: Database) -> Anchors:
    return Anchors(database)


@pytest.fixture(scope="module")
def ours() -> bytes:
    return Publisher(NOW).anchor


@pytest.fixture(scope="module")
def theirs() -> bytes:
    return Publisher(NOW).anchor


def sha(root: bytes) -> str:
    return hashlib.sha256(root).hexdigest()


def test_a_box_trusts_nobody_until_it_is_told(known: Anchors) -> None:
    assert known.current() is None
    with pytest.raises(NoPublisherError):
        known.demand()


def test_a_root_is_set_once_its_fingerprint_was_confirmed(known: Anchors, ours: bytes, theirs: bytes) -> None:
    with pytest.raises(FingerprintError):
        known.put(ours, sha(theirs), by="alice")
    assert known.current() is None
    grouped = " ".join(sha(ours)[place : place + 8].upper() for place in range(0, 64, 8))
    assert known.put(ours, grouped, by="alice").root == ours
    assert (known.demand().fingerprint, known.demand().set_by, known.demand().serial) == (sha(ours), "alice", 0)
    with pytest.raises(ConflictError):
        known.put(ours, sha(ours), by="alice", replaces=sha(ours))


@pytest.mark.parametrize("replaces", ["", "0" * 64])
def test_replacing_a_root_takes_the_old_ones_fingerprint(
    known: Anchors, ours: bytes, theirs: bytes, replaces: str
) -> None:
    known.put(ours, sha(ours), by="alice")
    with pytest.raises(FingerprintError):
        known.put(theirs, sha(theirs), by="mallory", replaces=replaces)
    assert known.demand().root == ours
    assert known.put(theirs, sha(theirs), by="alice", replaces=sha(ours)).root == theirs


def test_coming_back_to_a_publisher_finds_what_was_learned(known: Anchors, ours: bytes, theirs: bytes) -> None:
    known.put(ours, sha(ours), by="alice")
    known.seen(sha(ours), 5)
    known.seen(sha(ours), 3)
    assert known.put(theirs, sha(theirs), by="alice", replaces=sha(ours)).serial == 0
    assert known.put(ours, sha(ours), by="alice", replaces=sha(theirs)).serial == 5


def test_a_root_is_described_only_if_its_own_keys_signed_it(ours: bytes) -> None:
    described = anchors.describe(ours)
    assert (described.fingerprint, described.version, described.roles["root"]) == (sha(ours), 1, (3, 2))
    assert described.expires > NOW
    unsigned = Publisher(NOW)
    unsigned.roots.clear()
    unsigned.new_root(signed_by=unsigned.signers["root"][:1])
    with pytest.raises(BundleSignatureError):
        anchors.describe(unsigned.anchor)


def test_one_key_under_two_names_makes_no_root() -> None:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Key, Root

    lone = CryptoSigner.generate_ed25519()
    twin = Key.from_dict("f" * 64, lone.public_key.to_dict())

    class Twin(CryptoSigner):
        @property
        def public_key(self) -> Key:
            return twin

    def doubled(root: Root) -> None:
        for keyid in list(root.roles["root"].keyids):
            root.revoke_key(keyid, "root")
        root.add_key(lone.public_key, "root")
        root.add_key(twin, "root")

    publisher = Publisher(NOW)
    publisher.roots.clear()
    publisher.new_root(signed_by=[lone, Twin(lone._private_key, twin)], change=doubled)
    with pytest.raises(BundleSignatureError):
        anchors.describe(publisher.anchor)


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b" " * (anchors.LONGEST + 1)])
def test_what_is_no_root_is_refused(data: bytes) -> None:
    with pytest.raises(BundleInvalidError):
        anchors.describe(data)
