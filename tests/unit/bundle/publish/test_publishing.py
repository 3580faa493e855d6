"""From a key ceremony to a stick that a box believes, and what a publisher can't do by mistake."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.bundle.index import Index, Requires, Text
from appliance.bundle.publish import cutting, keys
from appliance.bundle.publish.keys import Holder
from appliance.bundle.publish.repository import DELEGATED, Repository, Share
from appliance.bundle.reading import Reading
from appliance.bundle.staging import Staging
from appliance.bundle.trust.state import TrustStore
from appliance.errors import (
    BundleIncompleteError,
    BundleInvalidError,
    BundleSignatureError,
    ConflictError,
    WeakPasswordError,
    WrongPassphraseError,
)
from appliance.vault.signing import SigningKey

NOW = 1_800_000_000
ROLES = {"root": (3, 2), "targets": (2, 2), "snapshot": (1, 1), "timestamp": (1, 1), **dict.fromkeys(DELEGATED, (2, 1))}


class Office:
    """A publisher with every holder at one table."""

    def __init__(self, folder: Path) -> None:
        self.holders = {role: [Holder(SigningKey.new()) for _ in range(count)] for role, (count, _) in ROLES.items()}
        self.repository = Repository(folder, NOW)

    def share(self, role: str) -> Share:
        return Share(tuple(holder.public_key for holder in self.holders[role]), ROLES[role][1])

    def found(self) -> None:
        self.repository.found({role: self.share(role) for role in ROLES})

    def sign(self, *roles: str) -> None:
        for role in roles or ROLES:
            for holder in self.holders[role]:
                self.repository.sign(holder)

    def publish(self, content: Path, version: str = "1.0", **more: object) -> str:
        files = cutting.cut(content, self.repository.folder / "parts")
        index = Index(
            format=1,
            kind="models",
            name="tiny",
            version=version,
            issued=NOW,
            title=Text(ja="小さい", en="Tiny"),
            licence="MIT",
            files=files,
        ).model_copy(update=more)
        return self.repository.add(index)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office")
    made.found()
    return made


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.json").write_bytes(b"{}")
    (folder / "deep" / "weights.bin").write_bytes(bytes(range(256)) * 1000)
    (folder / "empty").touch()
    return folder


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "PART_BYTES", 100_000)


def anchor(office: Office) -> bytes:
    return (office.repository.metadata / "1.root.json").read_bytes()


def test_what_is_published_arrives_byte_for_byte(office: Office, content: Path, tmp_path: Path, small_parts: None):
    digest = office.publish(content)
    office.sign()
    stick = tmp_path / "stick"
    assert cutting.write(office.repository, stick) == 256_002
    store = TrustStore(tmp_path / "trust", bytes(32))
    with Reading(stick, anchor(office), store, at_least=0, clock=NOW) as reading:
        offer = reading.offer(digest)
        with Staging(tmp_path / "in", offer.index, offer.digest) as coming:
            list(coming.bring([reading.medium]))
            files = coming.finish()
    for path in (path for path in content.rglob("*") if path.is_file()):
        assert (files / path.relative_to(content)).read_bytes() == path.read_bytes()
    assert reading.state.issued == NOW


@pytest.mark.parametrize("role", ["root", "targets", "models", "snapshot", "timestamp"])
def test_nothing_is_written_while_a_signature_is_missing(office: Office, content: Path, tmp_path: Path, role: str):
    office.publish(content)
    office.sign(*(each for each in ROLES if each != role))
    with pytest.raises(BundleSignatureError):
        cutting.write(office.repository, tmp_path / "stick")
    assert not (tmp_path / "stick").exists()
    assert [standing.role for standing in office.repository.standing() if not standing.is_complete] == [role]


def test_one_of_two_is_not_enough(office: Office):
    office.repository.sign(office.holders["targets"][0])
    standing = next(each for each in office.repository.standing() if each.role == "targets")
    assert (standing.signed, standing.threshold, standing.is_complete) == (1, 2, False)


def test_signing_twice_adds_nothing(office: Office):
    holder = office.holders["targets"][0]
    assert office.repository.sign(holder) == ["targets"]
    assert office.repository.sign(holder) == []


def test_a_stranger_s_signature_goes_nowhere(office: Office):
    assert office.repository.sign(Holder(SigningKey.new())) == []


def test_a_rotation_needs_old_and_new_holders_and_is_followed_by_a_box(office: Office, content: Path, tmp_path: Path):
    office.publish(content)
    office.sign()
    first = anchor(office)
    old = dict(office.holders)
    for role in ("root", "targets"):
        office.holders[role] = [Holder(SigningKey.new()) for _ in range(ROLES[role][0])]
    office.repository.rotate({role: office.share(role) for role in ("root", "targets")})
    office.sign()
    assert [each.role for each in office.repository.standing() if not each.is_complete] == ["root"]
    for holder in old["root"]:
        office.repository.sign(holder)
    cutting.write(office.repository, tmp_path / "stick")
    store = TrustStore(tmp_path / "trust", bytes(32))
    with Reading(tmp_path / "stick", first, store, at_least=0, clock=NOW) as reading:
        assert sorted(reading.state.roots) == [1, 2]
        assert len(reading.offers) == 1


def test_a_thin_stick_leaves_out_what_the_box_has_and_says_what_it_builds_on(
    office: Office, content: Path, tmp_path: Path, small_parts: None
):
    office.publish(content)
    (content / "deep" / "weights.bin").write_bytes(bytes(range(256)) * 1000 + b"more")
    digest = office.publish(content, "1.1", requires=Requires(base="tiny 1.0"))
    office.sign()
    first = office.repository.indexes()[0][1]
    had = {part.sha256 for file in first.files for part in file.parts}
    assert cutting.write(office.repository, tmp_path / "stick", [digest], had) == 56_004
    store = TrustStore(tmp_path / "trust", bytes(32))
    with (
        Reading(tmp_path / "stick", anchor(office), store, at_least=0, clock=NOW) as reading,
        Staging(tmp_path / "in", reading.offer(digest).index, digest) as coming,
        pytest.raises(BundleIncompleteError) as caught,
    ):
        list(coming.bring([reading.medium]))
    assert caught.value.params == {"base": "tiny 1.0"}


def test_links_and_empty_folders_are_not_published(office: Office, tmp_path: Path):
    folder = tmp_path / "odd"
    folder.mkdir()
    with pytest.raises(BundleInvalidError):
        cutting.cut(folder, office.repository.folder / "parts")
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(BundleInvalidError):
        cutting.cut(folder, office.repository.folder / "parts")


def test_a_ceremony_happens_once_and_needs_every_role(office: Office, tmp_path: Path):
    with pytest.raises(ConflictError):
        office.found()
    fresh = Office(tmp_path / "fresh")
    shares = {role: fresh.share(role) for role in ROLES}
    with pytest.raises(BundleInvalidError):
        fresh.repository.found({role: share for role, share in shares.items() if role != "models"})
    for wrong in (replace(shares["root"], threshold=4), replace(shares["root"], keys=shares["root"].keys[:1] * 3)):
        with pytest.raises(BundleInvalidError):
            Repository(tmp_path / "another", NOW).found({**shares, "root": wrong})


def test_a_key_file_opens_with_its_passphrase_only(tmp_path: Path):
    made = keys.generate(tmp_path, "alice", "correct horse battery")
    assert keys.public(tmp_path / "alice.pub.json") == made
    assert keys.opened(tmp_path / "alice.key.json", "correct horse battery").public_key == made
    assert (tmp_path / "alice.key.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(WrongPassphraseError):
        keys.opened(tmp_path / "alice.key.json", "wrong horse battery")
    with pytest.raises(BundleInvalidError):
        keys.generate(tmp_path, "alice", "correct horse battery")
    with pytest.raises(WeakPasswordError):
        keys.generate(tmp_path, "bob", "short")
    for junk in (b"", b"[]", b"{}", json.dumps({"keyid": 5}).encode(), b"\xff"):
        (tmp_path / "junk").write_bytes(junk)
        with pytest.raises(BundleInvalidError):
            keys.public(tmp_path / "junk")
