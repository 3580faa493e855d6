"""A stick that is spoilt, endless, pulled out, dying or lying: the attack cases on the medium itself."""

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from tuf.api.exceptions import DownloadError

from appliance.bundle.trust import patience
from appliance.bundle.trust.medium import Medium
from appliance.errors import BundleDamagedError, BundleSlowError, BundleUnreadableError
from tests.simulators.bundle_cases import (
    PIECES,
    digest_of,
    everything_is_whole,
    nothing_is_seen,
    refused,
    take,
    weights,
)
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox


@pytest.mark.parametrize(
    "spoil", [lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: data[:-1], lambda data: data + b"!"]
)
def test_case_08_a_swapped_or_cut_part_is_refused_and_not_kept(
    box: TakingBox, sticks: Sticks, stick: Path, spoil: Callable[[bytes], bytes]
) -> None:
    part = weights(stick)[0]
    honest = part.read_bytes()
    part.write_bytes(spoil(honest))
    assert take(box, sticks, stick) == BundleDamagedError.code
    assert nothing_is_seen(box)
    part.write_bytes(honest)
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)


@pytest.mark.parametrize("where", ["parts", "targets", "contents.json"])
def test_case_09_a_file_without_end_is_read_to_its_signed_length(
    box: TakingBox, sticks: Sticks, stick: Path, where: str
) -> None:
    victim = {
        "parts": weights(stick)[0],
        "targets": next(stick.glob("targets/*/*/*/*")),
        "contents.json": stick / "contents.json",
    }[where]
    os.truncate(victim, 1 << 40)  # a terabyte that takes no room; reading it would not end in time
    if where == "parts":
        assert take(box, sticks, stick) == BundleDamagedError.code
    else:
        refused(box, stick, BundleDamagedError)
    assert nothing_is_seen(box)


@pytest.mark.parametrize("role", ["timestamp", "1.snapshot", "1.targets", "1.models"])
def test_case_10_metadata_without_end_is_read_to_its_limit(box: TakingBox, stick: Path, role: str) -> None:
    os.truncate(stick / "metadata" / f"{role}.json", 1 << 30)
    refused(box, stick, BundleDamagedError)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "socketlike"])
@pytest.mark.parametrize("where", ["part", "index", "contents.json", "timestamp"])
def test_case_11_what_stands_in_a_files_place_is_refused_without_waiting(
    box: TakingBox, sticks: Sticks, stick: Path, kind: str, where: str
) -> None:
    places = {
        "part": weights(stick)[0],
        "index": next(stick.glob("targets/*/*/*/*")),
        "contents.json": stick / "contents.json",
        "timestamp": stick / "metadata" / "timestamp.json",
    }
    victim = places[where]
    kept = victim.rename(stick / "kept")
    if kind == "link":
        victim.symlink_to(kept)
    elif kind == "pipe":
        os.mkfifo(victim)
    elif kind == "folder":
        victim.mkdir()
    else:
        os.mknod(victim, stat.S_IFSOCK | 0o600)
    if where == "part":
        (found,) = box.bundles.look(str(stick)).bundles
        assert [type(error) for error in found.plan.refusals] == [BundleUnreadableError]
        with pytest.raises(BundleUnreadableError):
            box.bundles.take(str(stick), digest_of(sticks), "alice")
    else:
        refused(box, stick, BundleUnreadableError)


def test_case_11_a_link_that_appears_while_it_is_copied_is_not_followed(
    box: TakingBox, sticks: Sticks, stick: Path
) -> None:
    box.bundles.take(str(stick), digest_of(sticks), "alice")
    victim = weights(stick)[0]
    victim.rename(stick / "kept")
    victim.symlink_to(stick / "kept")
    assert box.work().error_code == BundleUnreadableError.code
    assert nothing_is_seen(box)


class Faulty(Medium):
    """Reads like any stick until the fault: pulled out after so many parts, dying, or lying the second time."""

    parts_left: ClassVar[int | None] = None
    lies: ClassVar[bool] = False
    seen: ClassVar[set[str]] = set()

    def read(self, path: str) -> Iterator[bytes]:
        if not path.startswith("parts/"):
            yield from super().read(path)
            return
        again, _ = path in Faulty.seen, Faulty.seen.add(path)
        for piece in super().read(path):
            if Faulty.parts_left is not None and not piece.startswith(b"{"):
                Faulty.parts_left -= 1
                if Faulty.parts_left < 0:
                    raise DownloadError("read: Input/output error")
            yield bytes(len(piece)) if again and Faulty.lies else piece


@pytest.mark.parametrize("parts", [0, 2, 4], ids=["0 %", "50 %", "99 %"])
def test_case_22_24_a_pulled_or_dying_stick_can_be_gone_on_with(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr("appliance.bundle.reading.Medium", Faulty)
    monkeypatch.setattr(Faulty, "parts_left", parts)
    assert take(box, sticks, stick) == BundleUnreadableError.code
    assert nothing_is_seen(box)
    (found,) = box.bundles.look(str(stick)).bundles
    assert found.plan.to_copy <= found.index.size - parts * PIECES
    monkeypatch.setattr(Faulty, "parts_left", 5 - parts)  # what has come is not read again, or this would not do
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)


def test_case_23_a_stick_that_lies_the_second_time_gains_nothing(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.bundle.reading.Medium", Faulty)
    monkeypatch.setattr(Faulty, "lies", True)
    monkeypatch.setattr(Faulty, "seen", set())
    box.bundles.look(str(stick))
    with pytest.raises(BundleDamagedError):  # the manifests, which each look reads
        box.bundles.take(str(stick), digest_of(sticks), "alice")
    assert nothing_is_seen(box)
    # Weights are read once: who lies about them the second time is not asked.
    monkeypatch.setattr(Faulty, "lies", False)
    box.bundles.take(str(stick), digest_of(sticks), "alice")
    asked: list[str] = []
    real = Faulty.read
    monkeypatch.setattr(Faulty, "read", lambda self, path: (asked.append(path), real(self, path))[1])
    assert box.work().error_code is None
    heavy = [str(part.relative_to(stick)) for part in weights(stick)]
    assert sorted(path for path in asked if path in heavy) == heavy


def test_case_38_a_folder_of_many_files_and_names_of_escape_codes_holds_nobody_up(
    box: TakingBox, sticks: Sticks, stick: Path
) -> None:
    for number in range(3000):
        (stick / "metadata" / f"{number + 100_000_000_000}.root.json").touch()
    (stick / "metadata" / "\x1b[2J\x1b]0;owned\x07.json").touch()
    (stick / "\u202eevil").mkdir()
    look = box.bundles.look(str(stick))
    assert (look.broken_chain, len(look.bundles)) == (None, 1)
    assert take(box, sticks, stick) is None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WITHIN_S", 0.2)


def only_weights(monkeypatch: pytest.MonkeyPatch, stick: Path, fault: Callable[[int, int, int], bytes]) -> list[int]:
    """Let `fault` answer for reads of parts that are no manifest; returns the offsets that were asked for."""
    heavy, real, asked = {part.stat().st_ino for part in weights(stick)}, os.pread, list[int]()

    def read(opened: int, size: int, offset: int) -> bytes:
        if os.fstat(opened).st_ino not in heavy:
            return real(opened, size, offset)
        asked.append(offset)
        return fault(opened, size, offset)

    monkeypatch.setattr(os, "pread", read)
    return asked


def test_case_24_a_loose_contact_is_tried_again_and_a_dead_one_is_not_tried_for_ever(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fails = os.pread, [2]

    def loose(opened: int, size: int, offset: int) -> bytes:
        if fails[0]:
            fails[0] -= 1
            raise OSError(errno.EIO, "Input/output error")
        return real(opened, size, offset)

    asked = only_weights(monkeypatch, stick, loose)
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)
    assert asked[:3] == [0, 0, 0]


def test_case_24_a_dying_stick_is_given_up_after_three_tries(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(_opened: int, _size: int, _offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    asked = only_weights(monkeypatch, stick, dead)
    assert take(box, sticks, stick) == BundleUnreadableError.code
    assert asked == [0, 0, 0]
    assert nothing_is_seen(box)


@pytest.mark.usefixtures("impatient")
def test_case_24_a_stick_that_hangs_is_given_up_and_gone_on_with_in_another_port(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, real, came = threading.Event(), os.pread, [0]

    def hanging(opened: int, size: int, offset: int) -> bytes:
        came[0] += 1
        if came[0] > 4:
            end.wait(20)
        return real(opened, size, offset)

    with monkeypatch.context() as patch:
        only_weights(patch, stick, hanging)
        assert take(box, sticks, stick) == BundleSlowError.code
        assert nothing_is_seen(box)
        end.set()  # what hung comes back after all, and nobody waits for it any more
    (found,) = box.bundles.look(str(stick)).bundles
    assert found.plan.to_copy < found.index.size
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)


@pytest.mark.usefixtures("impatient")
def test_case_24_a_stick_of_a_kilobyte_a_second_is_given_up(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pread

    def crawling(opened: int, _size: int, offset: int) -> bytes:
        time.sleep(0.05)
        return real(opened, 50, offset)

    asked = only_weights(monkeypatch, stick, crawling)
    assert take(box, sticks, stick) == BundleSlowError.code
    assert len(asked) < 20  # one second, where the whole part would take twenty
    assert nothing_is_seen(box)


@pytest.mark.usefixtures("impatient")
def test_case_24_a_stick_that_hangs_from_the_beginning_is_refused_with_a_sentence(
    box: TakingBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, real = threading.Event(), os.pread

    def hanging(opened: int, size: int, offset: int) -> bytes:
        end.wait(20)
        return real(opened, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", hanging)
        refused(box, stick, BundleSlowError)
        end.set()
    assert box.bundles.look(str(stick)).bundles
