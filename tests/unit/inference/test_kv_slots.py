"""States of long prompts: where they are kept, what becomes of the oldest, and which child gets them back."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config import Inference, Settings
from appliance.errors import ModelFailedError
from appliance.inference.engine import EngineSpec
from appliance.inference.kv_slots import ENDING, KvSlots, root
from appliance.inference.manifest import Manifest

MIB = 1 << 20
MANIFEST = Manifest.model_validate(
    {
        "id": "m", "name": "M", "kind": "chat", "engine": "llama", "entry": "m.gguf", "licence": "MIT", "context": 512,
        "files": {"m.gguf": {"sha256": "0" * 64, "size": 5}}, "source": "test", "languages": ["en"],
    }
)  # fmt: skip
SPEC = EngineSpec(
    model="m", kind="chat", engine="llama", folder="/none", entry="m.gguf", socket="/none.sock", api_key="",
    threads=1, parallel=2, context=512, dimensions=0, provider="cpu", memory_bytes=1 << 30,
)  # fmt: skip


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("no /dev/shm")
    with tempfile.TemporaryDirectory(prefix="hako-test-", dir=shared) as folder:
        yield Path(folder)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, inference=Inference(kv_slots_mb=2))


def put(folder: str, name: str, used: int, size: int = MIB) -> Path:
    path = Path(folder, name + ENDING)
    path.write_bytes(bytes(size))
    os.utime(path, (used, used))
    return path


def test_states_are_kept_in_memory_only_and_for_this_user_only(settings: Settings, memory: Path) -> None:
    where = root(settings, (memory,))
    assert where is not None
    assert where.stat().st_mode & 0o777 == 0o700
    assert root(settings, (Path("/proc"), settings.data_dir / "none")) is None
    where.chmod(0o755)
    assert root(settings, (memory,)) is None


def test_none_are_kept_where_the_limit_is_nothing(tmp_path: Path, memory: Path) -> None:
    off = KvSlots(Settings(data_dir=tmp_path, inference=Inference(kv_slots_mb=0)), (memory,))
    assert off.folder(MANIFEST, SPEC) == ""
    assert list(memory.iterdir()) == []
    off.trim()
    off.close()


def test_each_way_of_loading_has_a_folder_of_its_own(settings: Settings, memory: Path) -> None:
    slots = KvSlots(settings, (memory,))
    longer = EngineSpec(**{**vars(SPEC), "context": 1024})
    other = MANIFEST.model_copy(update={"files": {"m.gguf": MANIFEST.files["m.gguf"].model_copy(update={"size": 6})}})
    assert slots.folder(MANIFEST, SPEC) == slots.folder(MANIFEST, SPEC) == slots.folder(other, SPEC)
    changed = MANIFEST.model_copy(
        update={"files": {"m.gguf": MANIFEST.files["m.gguf"].model_copy(update={"sha256": "1" * 64})}}
    )
    rounded = EngineSpec(**{**vars(SPEC), "cache_type": "q8_0"})
    ways = [(MANIFEST, SPEC), (MANIFEST, longer), (MANIFEST, rounded), (changed, SPEC)]
    assert len({slots.folder(*way) for way in ways}) == 4
    assert slots.folder(MANIFEST.model_copy(update={"engine": "scripted"}), SPEC) == ""


def test_what_was_used_longest_ago_makes_room(settings: Settings, memory: Path) -> None:
    slots = KvSlots(settings, (memory,))
    folder = slots.folder(MANIFEST, SPEC)
    old, middle, new = (put(folder, name, used) for name, used in (("old", 1), ("middle", 2), ("new", 3)))
    slots.trim()
    assert [path.exists() for path in (old, middle, new)] == [False, True, True]


def test_a_state_that_cannot_be_restored_is_erased(settings: Settings, memory: Path) -> None:
    slots = KvSlots(settings, (memory,))
    folder = slots.folder(MANIFEST, SPEC)
    state = put(folder, "cut", 1)
    assert slots.restore(MANIFEST, EngineSpec(**{**vars(SPEC), "slots": folder})) == 0  # nobody is at the socket
    assert not state.exists()


def test_a_state_is_known_by_its_name_alone_and_counts_as_used_when_asked_for(settings: Settings, memory: Path) -> None:
    slots = KvSlots(settings, (memory,))
    spec = EngineSpec(**{**vars(SPEC), "slots": slots.folder(MANIFEST, SPEC)})
    state = put(spec.slots, "0" * 40, 1)
    assert slots.is_kept(spec, state.name)
    assert state.stat().st_mtime > 1
    outside = put(str(memory), "1" * 40, 1)
    for name in (f"../../{outside.name}", str(outside), "2" * 40 + ENDING, "", "."):
        assert not slots.is_kept(spec, name)
    assert not slots.is_kept(SPEC, state.name)
    assert outside.stat().st_mtime == 1


def test_nothing_is_kept_that_would_take_more_than_there_is_room_for(settings: Settings, memory: Path) -> None:
    slots = KvSlots(settings, (memory,))
    spec = EngineSpec(**{**vars(SPEC), "slots": slots.folder(MANIFEST, SPEC)})
    assert slots.keep(spec, [1, 2, 3], 2 * MIB + 1) == ""
    with pytest.raises(ModelFailedError):  # it asks the child, and nobody is there
        slots.keep(spec, [1, 2, 3], 2 * MIB)
    assert slots.keep(SPEC, [1, 2, 3], 1) == ""


def test_under_systemd_they_lie_beside_the_socket(settings: Settings, memory: Path) -> None:
    shared = settings.model_copy(update={"sockets_dir": memory})
    (memory / "inference").mkdir()
    where = root(shared)
    assert where is not None
    assert where.parent == memory / "inference"


def test_at_the_end_states_stay_and_empty_folders_go(settings: Settings, memory: Path) -> None:
    slots = KvSlots(settings, (memory,))
    state = put(slots.folder(MANIFEST, SPEC), "kept", 1)
    slots.close()
    assert state.exists()
    state.unlink()
    slots.close()
    assert list(memory.iterdir()) == []


def test_the_states_of_a_box_that_is_gone_are_erased(settings: Settings, memory: Path, tmp_path: Path) -> None:
    home = tmp_path / "gone"
    home.mkdir()
    gone = KvSlots(settings.model_copy(update={"data_dir": home}), (memory,))
    state = put(gone.folder(MANIFEST, SPEC), "left", 1)
    KvSlots(settings, (memory,))
    assert state.exists()
    home.rmdir()
    KvSlots(settings, (memory,))
    assert not state.exists()
