"""What a medium may and may not make the box believe: the attack cases of a TUF client, over folders."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadError
from tuf.api.metadata import Key, Root

from appliance.bundle.trust import medium as media
from appliance.bundle.trust.medium import Medium
from appliance.bundle.trust.state import TrustState, TrustStore
from appliance.bundle.trust.statement import Statement, inspect_root
from appliance.errors import (
    BundleDamagedError,
    BundleInvalidError,
    BundleRollbackError,
    BundleSignatureError,
    BundleStaleError,
    BundleUnreadableError,
    TrustDamagedError,
)
from tests.simulators.publisher import DAY, THRESHOLDS, Publisher, resign

NOW = 1_800_000_000.0
KEY = bytes(range(32))


class Believer:
    """A box as far as trust goes: remembers in a store, looks at media."""

    def __init__(self, folder: Path, anchor: bytes) -> None:
        self.store = TrustStore(folder / "trust", KEY)
        self.anchor = anchor
        self.state = TrustState()

    def look(self, folder: Path, *targets: str, now: float = NOW) -> list[int | None]:
        """The lengths that are signed for the targets."""
        with (
            Medium(folder) as medium,
            Statement(self.anchor, self.store.load(), medium, media.BASE + "metadata/", now) as statement,
        ):
            try:
                statement.refresh()
                return [found.length if (found := statement.target(path)) else None for path in targets]
            finally:
                self.state = self.store.save(statement.learned())


@pytest.fixture
def publisher() -> Publisher:
    made = Publisher(NOW)
    made.targets["release-1/index.json"] = b"{}"
    return made


@pytest.fixture
def box(tmp_path: Path, publisher: Publisher) -> Believer:
    return Believer(tmp_path, publisher.anchor)


@pytest.fixture
def stick(tmp_path: Path, publisher: Publisher) -> Path:
    return publisher.publish(tmp_path / "stick")


def version(state: TrustState, role: str) -> int:
    return int(json.loads(state.metadata[role])["signed"]["version"])


def test_a_newer_statement_is_believed_and_remembered(box: Believer, publisher: Publisher, stick: Path, tmp_path: Path):
    assert box.look(stick, "release-1/index.json", "nothing") == [2, None]
    publisher.targets["release-2/index.json"] = b"{} "
    assert box.look(publisher.publish(tmp_path / "newer"), "release-2/index.json") == [3]
    assert version(box.store.load(), "timestamp") == 2
    assert box.store.load().issued == NOW


def test_the_same_statement_again_is_no_rollback(box: Believer, stick: Path):
    for _ in range(2):
        assert box.look(stick, "release-1/index.json") == [2]


def test_an_older_statement_is_refused_and_nothing_changes(
    box: Believer, publisher: Publisher, stick: Path, tmp_path: Path
):
    box.look(publisher.publish(tmp_path / "newer"))
    with pytest.raises(BundleRollbackError):
        box.look(stick)
    assert version(box.store.load(), "timestamp") == 2


@pytest.mark.parametrize("emptied", [["trust-a.json"], ["trust-b.json"]])
def test_a_copy_that_a_power_cut_emptied_does_not_open_the_way_back(
    box: Believer, publisher: Publisher, stick: Path, tmp_path: Path, emptied: list[str]
):
    box.look(publisher.publish(tmp_path / "newer"))
    for name in emptied:
        (tmp_path / "trust" / name).write_bytes(b"")
    with pytest.raises(BundleRollbackError):
        box.look(stick)


def test_with_both_copies_emptied_nothing_is_believed(box: Believer, stick: Path, tmp_path: Path):
    box.look(stick)
    for path in (tmp_path / "trust").iterdir():
        path.write_bytes(b"")
    with pytest.raises(TrustDamagedError):
        box.look(stick)


def test_a_store_that_was_removed_or_put_back_is_noticed(
    box: Believer, publisher: Publisher, stick: Path, tmp_path: Path
):
    box.look(stick)
    old = (tmp_path / "trust" / "trust-a.json").read_bytes()
    box.look(publisher.publish(tmp_path / "newer"))
    known = box.state.serial
    for path in (tmp_path / "trust").iterdir():
        path.write_bytes(old)
    with pytest.raises(TrustDamagedError):
        box.store.load(at_least=known)
    for path in (tmp_path / "trust").iterdir():
        path.unlink()
    with pytest.raises(TrustDamagedError):
        box.store.load(at_least=known)


def test_a_store_of_another_box_is_not_believed(box: Believer, stick: Path, tmp_path: Path):
    box.look(stick)
    with pytest.raises(TrustDamagedError):
        TrustStore(tmp_path / "trust", bytes(32)).load()


def test_signatures_past_their_date_are_stale(box: Believer, stick: Path):
    with pytest.raises(BundleStaleError):
        box.look(stick, now=NOW + 366 * DAY)


def test_fewer_signatures_than_demanded_are_refused(box: Believer, publisher: Publisher, tmp_path: Path):
    publisher.signers["targets"] = publisher.signers["targets"][:1]
    with pytest.raises(BundleSignatureError):
        box.look(publisher.publish(tmp_path / "one"))


def test_unknown_keys_are_refused(box: Believer, tmp_path: Path):
    with pytest.raises(BundleSignatureError):
        box.look(Publisher(NOW).publish(tmp_path / "stranger"))


def test_a_root_signed_by_new_keys_only_is_refused(box: Believer, publisher: Publisher, tmp_path: Path):
    publisher.renew("root")
    publisher.new_root(signed_by=publisher.signers["root"])
    with pytest.raises(BundleSignatureError):
        box.look(publisher.publish(tmp_path / "stick"))
    assert list(box.store.load().roots) == [1]


def test_a_root_signed_by_old_and_new_keys_is_followed(box: Believer, publisher: Publisher, tmp_path: Path):
    publisher.renew("root")
    publisher.renew("targets")
    publisher.new_root()
    assert box.look(publisher.publish(tmp_path / "stick"), "release-1/index.json") == [2]
    assert sorted(box.store.load().roots) == [1, 2]


def test_a_gap_in_the_roots_leaves_the_old_one_and_is_seen(box: Believer, publisher: Publisher, tmp_path: Path):
    for _ in range(3):
        publisher.new_root()
    stick = publisher.publish(tmp_path / "stick")
    (stick / "metadata" / "3.root.json").unlink()
    with (
        Medium(stick) as medium,
        Statement(box.anchor, TrustState(), medium, media.BASE + "metadata/", NOW) as statement,
    ):
        statement.refresh()
        assert statement.broken_chain(medium.names("metadata")) == 4
        assert sorted(statement.learned().roots) == [1, 2]


def test_one_key_under_two_names_does_not_reach_a_threshold(box: Believer, publisher: Publisher, tmp_path: Path):
    signer = publisher.signers["targets"][0]
    twin = Key.from_dict("f" * 64, signer.public_key.to_dict())

    def change(root: Root) -> None:
        root.roles["targets"].keyids = [signer.public_key.keyid, twin.keyid]
        root.keys[twin.keyid] = twin

    publisher.new_root(change=change)
    publisher.signers["targets"] = [signer, CryptoSigner(signer._private_key, twin)]
    with pytest.raises(BundleSignatureError):
        box.look(publisher.publish(tmp_path / "stick"))


def test_a_stolen_timestamp_key_can_run_ahead_but_a_new_root_brings_the_box_back(
    box: Believer, publisher: Publisher, tmp_path: Path
):
    publisher.version = 1_999_999
    box.look(publisher.publish(tmp_path / "far"))
    publisher.version = 1
    with pytest.raises(BundleRollbackError):
        box.look(publisher.publish(tmp_path / "honest"))
    for role in ("timestamp", "snapshot", "targets"):
        publisher.renew(role)
    publisher.new_root()
    assert box.look(publisher.publish(tmp_path / "rotated"), "release-1/index.json") == [2]
    assert version(box.store.load(), "timestamp") == 3


def test_a_delegated_key_signs_for_its_own_paths_only(box: Believer, publisher: Publisher, tmp_path: Path):
    publisher.delegated["content"] = {"content/a/1/index.json": b"1", "app/a/1/index.json": b"22"}
    stick = publisher.publish(tmp_path / "stick")
    assert box.look(stick, "content/a/1/index.json", "app/a/1/index.json") == [1, None]


def test_parts_of_two_statements_do_not_mix(box: Believer, publisher: Publisher, stick: Path, tmp_path: Path):
    newer = publisher.publish(tmp_path / "newer")
    old = (stick / "metadata" / "1.targets.json").read_bytes()
    (newer / "metadata" / "2.targets.json").write_bytes(old)
    with pytest.raises(BundleRollbackError):
        box.look(newer)


def test_metadata_without_end_is_read_to_its_limit_only(box: Believer, stick: Path):
    with (stick / "metadata" / "timestamp.json").open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(BundleDamagedError):
        box.look(stick)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "socket", "gone", "empty"])
def test_what_stands_in_a_file_s_place_is_refused_without_waiting(box: Believer, stick: Path, kind: str):
    place = stick / "metadata" / "timestamp.json"
    kept = place.rename(stick / "kept.json")
    listener = socket.socket(socket.AF_UNIX)
    if kind == "link":
        place.symlink_to(kept)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(place.parent)
        listener.bind(place.name)
        os.chdir(here)
    elif kind == "empty":
        place.touch()
    with listener, pytest.raises((BundleUnreadableError, BundleInvalidError)):
        box.look(stick)


BOMBS = {
    "deep": b"[" * 5000 + b"]" * 5000,
    "huge number": b'{"signed": {"version": ' + b"9" * 5000 + b"}}",
    "not text": b'{"signed": "\xff\xfe"}',
    "nothing": b"{}",
    "not an object": b"[1]",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=list(BOMBS))
def test_metadata_made_to_break_a_reader_is_refused(box: Believer, stick: Path, bomb: bytes):
    (stick / "metadata" / "timestamp.json").write_bytes(bomb)
    with pytest.raises(BundleInvalidError):
        box.look(stick)


def test_a_timestamp_s_key_alone_can_not_move_the_time(box: Believer, publisher: Publisher, stick: Path):
    place = stick / "metadata" / "timestamp.json"
    signers = publisher.signers["timestamp"]
    place.write_bytes(resign(place.read_bytes(), signers, lambda said: said.update({"x-hako-issued": 10**12})))
    box.look(stick)
    assert box.store.load().issued == NOW


def test_a_missing_next_root_is_the_normal_end(box: Believer, stick: Path):
    assert not (stick / "metadata" / "2.root.json").exists()
    box.look(stick)


@pytest.mark.parametrize("path", ["../a", "a//b", "/a", "a/./b", "a\0b", "x" * 5000, "a/" * 40 + "b", ""])
def test_impossible_names_reach_nothing(stick: Path, path: str):
    with Medium(stick) as medium, pytest.raises(DownloadError):
        medium.read(path)


def test_a_link_on_the_way_is_not_followed(stick: Path, tmp_path: Path):
    (stick / "other").symlink_to(stick / "metadata")
    with Medium(stick) as medium:
        assert b"".join(medium.read("metadata/timestamp.json"))
        with pytest.raises(DownloadError):
            medium.read("other/timestamp.json")


def test_roots_describe_themselves(publisher: Publisher):
    assert inspect_root(publisher.anchor).roles["root"].threshold == THRESHOLDS["root"]
    with pytest.raises(BundleInvalidError):
        inspect_root(b"junk")


@pytest.fixture(autouse=True)
def _no_files_left_open(tmp_path: Path) -> Iterator[None]:
    """Of the test's own: a box of other tests may open its database at any moment."""
    yield
    opened = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            opened.append(os.readlink(each))  # noqa: PTH115 - no path, a name
    assert [name for name in opened if name.startswith(str(tmp_path))] == []
