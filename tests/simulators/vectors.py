"""The sticks of `offline-bundle/vectors`, sound and broken, made anew: `python -m tests.simulators.vectors`.

Each vector is a base with some files laid over it and some taken away, what a box has seen before, which time it is,
and what has to come of it. The keys are known to everybody: no box may ever trust their root.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from appliance.bundle.publish import cutting
from appliance.bundle.reading import CONTENTS
from appliance.config import REPOSITORY
from tests.simulators.publisher import DAY, Publisher, resign
from tests.simulators.sticks import Sticks, plain

FOLDER: Final = REPOSITORY / "offline-bundle" / "vectors"
LIST: Final = "vectors.json"
NOW: Final = 1_795_000_000
TARGET: Final = "models/pack/1.0/index.json"
_PART: Final = 1000


def _keys() -> Callable[[], CryptoSigner]:
    numbers = count()

    def make() -> CryptoSigner:
        secret = hashlib.sha256(f"hako test vectors, key {next(numbers)}".encode()).digest()
        private = Ed25519PrivateKey.from_private_bytes(secret)
        return CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))

    return make


class _Maker:
    """One publisher, begun anew for each vector so that each stands alone."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self._count = scratch, 0
        plain(scratch / "content", "first", b"The weights of the first model.\n" * 80)
        plain(scratch / "content", "second", b"The weights of the second model.\n" * 40)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cutting, "PART_BYTES", _PART)
            self._files = cutting.cut(scratch / "content", scratch / "parts")

    def stick(self, change: Callable[[Sticks], object] = lambda _sticks: None) -> Path:
        """A stick of a publisher who does something first."""
        self._count += 1
        sticks = Sticks(self._scratch, NOW, Publisher(NOW, _keys()))
        sticks.add(self._scratch, "pack", files=self._files)
        change(sticks)
        return sticks.write(self._scratch / str(self._count))


def _index(change: Callable[[dict[str, Any]], object]) -> Callable[[Sticks], object]:
    def altered(sticks: Sticks) -> None:
        said = json.loads(sticks.indexes[TARGET])
        change(said)
        sticks.sign(json.dumps(said, sort_keys=True).encode(), TARGET)

    return altered


def _file(**more: Any) -> Callable[[Sticks], object]:
    return _index(lambda said: said["files"].append({**said["files"][0], **more}))


def _twice(sticks: Sticks) -> None:
    sticks.publisher.sign_with_one_key_twice()


def _rotated(sticks: Sticks) -> None:
    for role in ("root", "snapshot", "targets", "timestamp"):
        sticks.publisher.renew(role)
    sticks.publisher.new_root()


def _taken_over(sticks: Sticks) -> None:
    sticks.publisher.renew("root")
    sticks.publisher.new_root(signed_by=sticks.publisher.signers["root"])


def _one_of_two(sticks: Sticks) -> None:
    sticks.publisher.signers["targets"] = sticks.publisher.signers["targets"][:1]


def _strangers(sticks: Sticks) -> None:
    for role in ("root", "snapshot", "targets", "timestamp"):
        sticks.publisher.renew(role)


def _other_role(sticks: Sticks) -> None:
    sticks.publisher.delegated["content"] = sticks.publisher.delegated.pop("models")


def _newer(sticks: Sticks) -> None:
    sticks.publisher.version = 1


def _weights(stick: Path) -> Path:
    return min(part for part in stick.glob("parts/*/*") if not part.read_bytes().startswith(b"{"))


def _altered(stick: Path, path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return stick


def _without(data: bytes) -> bytes:
    return json.dumps({**json.loads(data), "signatures": []}).encode()


def make(folder: Path) -> None:
    """Write every vector below an empty folder."""
    with TemporaryDirectory(prefix="hako-vectors-") as scratch:
        maker = _Maker(Path(scratch))
        base = maker.stick()
        shutil.copytree(base, folder / "good")
        shutil.copy(base / "metadata" / "1.root.json", folder / "root.json")
        vectors = [
            _described(folder, base, stick, name, expect, why, **more)
            for name, expect, why, stick, more in _all(maker, base)
        ]
    said = {
        "format": 1,
        "base": "good",
        "root": "root.json",
        "now": NOW,
        "box": {"name": "Hako", "version": "0.1.0"},
        "vectors": vectors,
    }
    (folder / LIST).write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", "utf-8")


def _described(folder: Path, base: Path, stick: Path, name: str, expect: str, why: str, **more: Any) -> dict[str, Any]:
    """Keep of a stick what is another than in the base."""
    ours = {path.relative_to(base): path.read_bytes() for path in base.rglob("*") if path.is_file()}
    theirs = {path.relative_to(stick): path.read_bytes() for path in stick.rglob("*") if path.is_file()}
    for path, content in theirs.items():
        if ours.get(path) != content:
            place = folder / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    removed = sorted(str(path) for path in ours.keys() - theirs.keys())
    return {"name": name, "removed": removed, "outcome": expect, "why": why, "seen": [], **more}


Row = tuple[str, str, str, Path, dict[str, Any]]


def _all(maker: _Maker, base: Path) -> Iterator[Row]:
    yield "good", "taken", "everything is as it should be", base, {}
    yield "newer", "taken", "the same with version 2 of everything", maker.stick(_newer), {"seen": ["good"]}
    yield "again", "taken", "the same statement once more", base, {"seen": ["good"]}
    yield "rollback", "HK-BND-003", "version 1 after version 2", base, {"seen": ["newer"]}
    yield "expired", "HK-BND-004", "the signatures held for a year", base, {"now": NOW + 400 * DAY}
    yield "clock-of-1970", "taken", "before what was signed, no clock counts", base, {"now": 0}
    yield "clock-far-ahead", "taken", "nor 15 years after it", base, {"now": NOW + 20 * 365 * DAY, "seen": ["good"]}
    yield from _signatures(maker, base)
    yield from _indexes(maker)
    yield from _media(maker, base)


def _signatures(maker: _Maker, base: Path) -> Iterator[Row]:
    refused = "HK-BND-002"
    stick = maker.stick()
    yield (
        "unsigned",
        refused,
        "a timestamp without signatures",
        _altered(stick, stick / "metadata" / "timestamp.json", _without),
        {},
    )
    yield "one-of-two", refused, "targets take two signatures", maker.stick(_one_of_two), {}
    yield "strangers", refused, "signed by keys that no root names", maker.stick(_strangers), {}
    yield "one-key-twice", refused, "one key under two names reaches no threshold", maker.stick(_twice), {}
    yield "rotated", "taken", "root 2, signed by old and new keys", maker.stick(_rotated), {"seen": ["good"]}
    yield "taken-over", refused, "root 2, signed by new keys only", maker.stick(_taken_over), {"seen": ["good"]}
    stick = maker.stick()
    shutil.copy(base / "metadata" / "1.root.json", stick / "metadata" / "3.root.json")
    yield "gap-in-the-roots", "taken", "root 2 is missing; root 3 is reported", stick, {"broken_chain": 3}
    yield "other-role", "HK-BND-006", "the keys for content sign for models", maker.stick(_other_role), {}
    stick = maker.stick()
    place = stick / "metadata" / "1.models.json"
    place.write_bytes(resign(place.read_bytes(), [_keys()()], lambda _signed: None))
    yield "stranger-in-a-role", refused, "a delegated role signed by another key", stick, {}


def _indexes(maker: _Maker) -> Iterator[Row]:
    refused = "HK-BND-006"
    paths = {
        "path-upwards": "../first/model.onnx", "path-from-the-root": "/etc/passwd", "path-empty-part": "first//x",
        "path-backslash": "first\\x", "path-device-name": "first/con", "path-dot-at-the-end": "first/x.",
        "path-direction-mark": "first/\u202ex",
        "path-not-composed": "first/e\u0301", "path-case-twin": "FIRST/model.onnx",
        "path-file-and-folder": "first/model.onnx/x", "path-twice": "first/model.onnx",
    }  # fmt: skip
    for name, path in paths.items():
        yield name, refused, "a path that no bundle may name", maker.stick(_file(path=path)), {}
    odd: dict[str, Callable[[dict[str, Any]], object]] = {
        "setuid": lambda said: said["files"][0].update(mode="setuid"),
        "parts-do-not-add-up": lambda said: said["files"][0].update(size=1),
        "part-too-large": lambda said: said["files"][0].update(
            size=(64 << 20) + 1, parts=[{"sha256": "0" * 64, "size": (64 << 20) + 1}]
        ),
        "unknown-field": lambda said: said.update(extra=1),
        "format-2": lambda said: said.update(format=2),
        "number-as-text": lambda said: said.update(issued=str(NOW)),
        "counter-of-no-release": lambda said: said.update(counter=1),
        "name-of-another": lambda said: said.update(name="other"),
        "no-files": lambda said: said.update(files=[]),
    }
    for name, change in odd.items():
        yield name, refused, "an index of a shape that is not allowed", maker.stick(_index(change)), {}
    yield (
        "for-another-box",
        "HK-BND-008",
        "it names the one box that it is for",
        maker.stick(_index(lambda said: said["requires"].update(device="Another"))),
        {},
    )
    yield (
        "for-a-later-release",
        "HK-BND-008",
        "it takes a later release",
        maker.stick(_index(lambda said: said["requires"].update(at_least="99"))),
        {},
    )
    yield "other-weights-than-its-manifest", refused, "a model's own manifest says another digest", maker.stick(
        _index(lambda said: said["files"].pop(next(
            number for number, file in enumerate(said["files"]) if file["path"] == "first/model.onnx"
        )))
    ), {}  # fmt: skip


def _media(maker: _Maker, base: Path) -> Iterator[Row]:
    refused = "HK-BND-005"
    part = _weights(base).relative_to(base)
    stick = maker.stick()
    yield (
        "part-altered",
        refused,
        "one bit of a part",
        _altered(stick, stick / part, lambda data: bytes([data[0] ^ 1]) + data[1:]),
        {},
    )
    stick = maker.stick()
    yield (
        "part-short",
        refused,
        "a part without its last byte",
        _altered(stick, stick / part, lambda data: data[:-1]),
        {},
    )
    stick = maker.stick()
    yield "part-long", refused, "a part with a byte more", _altered(stick, stick / part, lambda data: data + b"!"), {}
    stick = maker.stick()
    (stick / part).unlink()
    yield "part-missing", "HK-BND-009", "thin, and the box has nothing of it", stick, {}
    stick = maker.stick()
    index = next(stick.glob("targets/*/*/*/*"))
    yield (
        "index-altered",
        refused,
        "an index that is not what was signed",
        _altered(stick, index, lambda data: data.replace(b"pack", b"pick")),
        {},
    )
    stick = maker.stick()
    index = next(stick.glob("targets/*/*/*/*"))
    index.unlink()
    yield "index-missing", "HK-BND-001", "a file that is listed and not there", stick, {}
    stick = maker.stick()
    yield (
        "timestamp-without-end",
        refused,
        "more than the 16,384 bytes that a timestamp may have",
        _altered(stick, stick / "metadata" / "timestamp.json", lambda data: data + b" " * 17_000),
        {},
    )
    stick = maker.stick()
    yield (
        "timestamp-empty",
        "HK-BND-006",
        "nothing in it",
        _altered(stick, stick / "metadata" / "timestamp.json", lambda _data: b""),
        {},
    )
    for name, said in {
        "contents-of-no-shape": {"format": 1, "targets": [1]},
        "contents-that-nobody-signs": {"format": 1, "targets": ["models/made-up/1.0/index.json"]},
    }.items():
        stick = maker.stick()
        (stick / CONTENTS).write_text(json.dumps(said))
        yield name, "HK-BND-006", "contents.json only says where to look", stick, {}


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    make(FOLDER)
