"""Model files against their digests, and the memory that saves computing them again."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from appliance.errors import LoadCancelledError, ModelDamagedError
from appliance.inference import manifest, verify
from appliance.inference.engines import scripted
from appliance.inference.manifest import Manifest
from appliance.inference.verify import Verifier, verify_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return scripted.install(tmp_path / "models", "talker", "chat", b"0123456789")


@pytest.fixture
def expected(folder: Path) -> Manifest:
    return manifest.read(folder)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "verified.json"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each digest that was really computed."""
    seen: list[object] = []
    real = hashlib.sha256

    def counting(*given: bytes) -> object:
        seen.append(given)
        return real(*given)

    monkeypatch.setattr(verify.hashlib, "sha256", counting)
    return seen


def alter(path: Path) -> None:
    """Other content of the same size, with the time put back."""
    state = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_good_files_pass(folder: Path, expected: Manifest, memory: Path) -> None:
    verify_files(folder, expected)
    Verifier(memory).check(expected, folder)


@pytest.mark.parametrize("content", [b"", b"012345678", b"0123456789x", b"9876543210"])
def test_other_content_is_damage(folder: Path, expected: Manifest, memory: Path, content: bytes) -> None:
    (folder / "script").write_bytes(content)
    for check in (lambda: verify_files(folder, expected), lambda: Verifier(memory).check(expected, folder)):
        with pytest.raises(ModelDamagedError) as caught:
            check()
        assert caught.value.params == {"name": "Scripted chat"}


def test_a_missing_file_is_damage(folder: Path, expected: Manifest, memory: Path) -> None:
    (folder / "script").unlink()
    with pytest.raises(ModelDamagedError):
        verify_files(folder, expected)
    with pytest.raises(ModelDamagedError):
        Verifier(memory).check(expected, folder)


def test_a_digest_is_computed_once_also_across_restarts(
    folder: Path, expected: Manifest, memory: Path, computed: list[object]
) -> None:
    for _ in range(2):
        verifier = Verifier(memory)
        verifier.check(expected, folder)
        verifier.check(expected, folder)
    assert len(computed) == 1
    assert memory.stat().st_mode & 0o777 == 0o600


def test_what_has_to_be_read_for_it_is_told_and_whoever_is_told_may_end_it(
    folder: Path, expected: Manifest, memory: Path
) -> None:
    told: list[int] = []

    def stop(_size: int) -> None:
        raise LoadCancelledError(name="it")

    verifier = Verifier(memory)
    with pytest.raises(LoadCancelledError):
        verifier.check(expected, folder, stop)
    verifier.check(expected, folder, told.append)
    assert sum(told) == expected.size
    verifier.check(expected, folder, told.append)
    assert sum(told) == expected.size  # known by now


def test_an_alteration_with_the_old_time_is_noticed_and_the_memory_does_not_grow(
    folder: Path, expected: Manifest, memory: Path
) -> None:
    verifier = Verifier(memory)
    verifier.check(expected, folder)
    for _ in range(3):
        alter(folder / "script")
        with pytest.raises(ModelDamagedError):
            verifier.check(expected, folder)
        alter(folder / "script")
        verifier.check(expected, folder)
    assert len(json.loads(memory.read_text("utf-8"))) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"x": 1}'])
def test_a_damaged_memory_only_costs_time(folder: Path, expected: Manifest, memory: Path, content: bytes) -> None:
    memory.write_bytes(content)
    Verifier(memory).check(expected, folder)


def test_a_memory_that_cannot_be_written_only_costs_time(folder: Path, expected: Manifest, tmp_path: Path) -> None:
    Verifier(tmp_path / "none" / "verified.json").check(expected, folder)
