"""Imports: what becomes of a file, what is refused, and that an interrupted one leaves nothing."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    ConflictError,
    DiskFullError,
    HakoError,
    ModelFileError,
    ModelPathError,
    ModelSplitError,
    ModelUnsupportedError,
)
from appliance.inference import importing
from appliance.inference.catalog import Catalog
from appliance.inference.gguf_roles import Vectors
from appliance.inference.importing import Imported, Importer, Wish
from appliance.inference.verify import verify_files
from tests.simulators import encoder_gguf, gguf

ALIASES = {"taken"}
SIZES = ("block_count", "embedding_length", "context_length", "attention__head_count")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def importer(settings: Settings) -> Importer:
    return Importer(settings, lambda name: name in ALIASES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return gguf.tiny_llama(tmp_path / "Tiny Llama-F32.gguf")


def wish(path: Path | str, **more: object) -> Wish:
    return Wish(path=str(path), licence="CC0-1.0", **more)  # type: ignore[arg-type]


def bring(importer: Importer, wanted: Wish) -> Imported:
    with importer.begin(wanted) as incoming:
        assert list(incoming.copy())[-1] == incoming.plan.size
        return incoming.finish()


def leftovers(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.models.glob("*")) if settings.models.exists() else []


def test_a_file_becomes_a_model_with_everything_it_and_its_bringer_say(
    importer: Importer, settings: Settings, file: Path
) -> None:
    imported = bring(importer, wish(file, source="a stick"))
    manifest = imported.manifest
    assert (imported.is_new, manifest.id, manifest.name) == (True, "tiny-llama-f32", "Tiny Llama")
    assert (manifest.kind, manifest.engine, manifest.size_class) == ("chat", "llama", "tiny")
    assert (manifest.architecture, manifest.tools) == ("llama", False)
    assert (manifest.licence, manifest.source, manifest.languages) == ("CC0-1.0", "a stick", ("en", "ja"))
    assert (manifest.context, manifest.quantization, manifest.parameters > 0) == (512, "F32", True)
    assert manifest.files[manifest.entry].sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert Catalog(settings.models).get("tiny-llama-f32") == manifest
    verify_files(settings.models / manifest.id, manifest)
    assert leftovers(settings) == ["tiny-llama-f32"]
    assert (settings.models / manifest.id / manifest.entry).stat().st_mode & 0o777 == 0o600
    assert file.exists()


def test_what_a_person_says_goes_before_what_the_file_says(importer: Importer, file: Path) -> None:
    manifest = bring(importer, wish(file, name="小さなモデル", languages=("ja",))).manifest
    assert (manifest.name, manifest.languages, manifest.source) == ("小さなモデル", ("ja",), file.name)


def test_languages_that_nobody_named_are_unknown(importer: Importer, tmp_path: Path) -> None:
    silent = gguf.tiny_llama(tmp_path / "silent.gguf", general__languages=None)
    assert importer.plan(wish(silent)).languages == (importing.UNKNOWN_LANGUAGE,)
    odd = gguf.tiny_llama(tmp_path / "odd.gguf", general__languages=["../../etc", "en", "x" * 50])
    assert importer.plan(wish(odd)).languages == ("en",)


def test_a_look_writes_nothing_and_tells_the_memory_it_takes(
    importer: Importer, settings: Settings, file: Path
) -> None:
    plan = importer.plan(wish(file))
    assert (plan.model, plan.size, plan.size_class) == ("tiny-llama-f32", file.stat().st_size, "tiny")
    estimate = plan.estimate
    assert (estimate.context, estimate.parallel) == (512, settings.inference.parallel)
    assert estimate.cache == plan.header.cache_bytes_per_token * 512 * settings.inference.parallel
    assert estimate.needed == plan.size + estimate.cache + estimate.scratch
    assert not settings.models.exists()


def test_a_link_shares_the_bytes(importer: Importer, settings: Settings, file: Path) -> None:
    manifest = bring(importer, wish(file, link=True)).manifest
    assert (settings.models / manifest.id / manifest.entry).samefile(file)


def test_a_link_that_can_not_be_is_refused_and_leaves_nothing(
    importer: Importer, settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_device(*_paths: object, **_more: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_device)
    with pytest.raises(BadInputError), importer.begin(wish(file, link=True)) as incoming:
        list(incoming.copy())
    assert leftovers(settings) == []


def test_the_same_bytes_are_said_to_be_there_already(importer: Importer, settings: Settings, file: Path) -> None:
    first = bring(importer, wish(file)).manifest
    other = file.with_name("other-name.gguf")
    shutil.copyfile(file, other)
    second = bring(importer, wish(other))
    assert (second.is_new, second.manifest) == (False, first)
    assert leftovers(settings) == [first.id]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("モデル.gguf", "model"),
        ("..gguf", "model"),
        ("-rf --no.gguf", "rf---no"),
        ("Ａ＋Ｂ.gguf", "a-b"),
        ("taken.gguf", "taken-2"),
        ("a;touch x.gguf", "a-touch-x"),
        ("x.incoming", "x"),
        ("x.incoming.gguf", "x.incoming-2"),
        ("y" * 200 + ".gguf", "y" * 80),
    ],
)
def test_a_name_becomes_an_id_that_is_safe(importer: Importer, name: str, model: str) -> None:
    assert importer.free_id(Path(name).stem) == model


def test_ids_are_unique(importer: Importer, tmp_path: Path) -> None:
    ids = []
    for seed in (1, 2, 3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        ids.append(bring(importer, wish(gguf.tiny_llama(folder / "same.gguf", seed=seed))).manifest.id)
    assert ids == ["same", "same-2", "same-3"]


def test_control_signs_of_the_file_do_not_reach_its_name(importer: Importer, tmp_path: Path) -> None:
    path = gguf.tiny_llama(tmp_path / "a.gguf", general__name="\x1b[2JHarm\u202eless\n")
    assert importer.plan(wish(path)).name == "[2JHarmless"


# -- refused


def link(path: Path, file: Path) -> None:
    path.symlink_to(file)


PATHS: dict[str, Callable[[Path, Path], object]] = {
    "nothing": lambda _path, _file: None,
    "link": link,
    "link to nothing": lambda path, _file: path.symlink_to(path.with_name("gone")),
    "folder": lambda path, _file: path.mkdir(),
    "pipe": lambda path, _file: os.mkfifo(path),
    "no rights": lambda path, _file: path.mkdir() or path.chmod(0),
}


@pytest.mark.parametrize("kind", PATHS)
def test_what_is_not_an_ordinary_file_is_refused_alike(
    importer: Importer, settings: Settings, file: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "x.gguf"
    PATHS[kind](path, file)
    with pytest.raises(ModelPathError) as caught:
        importer.begin(wish(path))
    assert caught.value.params == {"name": "x.gguf"}
    assert leftovers(settings) == []


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/../etc/passwd", "etc/passwd", "", "/", "/dev/zero", "/dev/tty", "/a\0b", "~/x.gguf"],
)
def test_paths_that_wander_and_devices_are_refused(importer: Importer, path: str) -> None:
    with pytest.raises(ModelPathError):
        importer.plan(wish(path))


def test_a_file_that_is_no_model_is_refused_and_told_by_its_name_only(importer: Importer) -> None:
    with pytest.raises(ModelFileError) as caught:
        importer.plan(wish("/etc/passwd"))
    assert caught.value.params == {"name": "passwd"}


@pytest.mark.parametrize(
    "changes",
    [
        {"general__type": "adapter"},
        {"general__type": "mmproj"},
        {"tokenizer__ggml__model": None},
        {"tokenizer__ggml__model": "none"},
        {"llama__pooling_type": 4},
        {"general__architecture": "t5encoder", **{f"t5encoder__{key}": 1 for key in SIZES}},
    ],
)
def test_a_whole_file_that_writes_neither_words_nor_vectors_is_refused_as_such(
    importer: Importer, settings: Settings, tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(ModelUnsupportedError):
        importer.begin(wish(gguf.tiny_llama(tmp_path / "part.gguf", **changes)))
    assert leftovers(settings) == []


@pytest.mark.parametrize(("number", "pooling"), [(None, "mean"), (0, "mean"), (1, "mean"), (2, "cls"), (3, "last")])
def test_an_embedding_model_is_known_by_its_file(
    importer: Importer, settings: Settings, tmp_path: Path, number: int | None, pooling: str
) -> None:
    file = tmp_path / "nomic-embed-text-v1.5.f32.gguf"
    network = encoder_gguf.small(file, pooling=number)
    manifest = bring(importer, wish(file)).manifest
    assert (manifest.kind, manifest.engine, manifest.pooling) == ("embedding", "llama", pooling)
    assert (manifest.dimensions, manifest.context, manifest.architecture) == (network.hidden, 64, "bert")
    assert (manifest.query_prefix, manifest.passage_prefix) == ("search_query: ", "search_document: ")
    assert (manifest.tools, manifest.thinking, manifest.vision) == (False, False, False)
    assert Catalog(settings.models).get(manifest.id) == manifest


def test_of_an_embedding_model_a_person_may_say_how_it_pools_and_what_it_wants(
    importer: Importer, tmp_path: Path
) -> None:
    file = tmp_path / "own.gguf"
    encoder_gguf.small(file)
    plan = importer.plan(wish(file, pooling="cls", query_prefix="問: ", passage_prefix=""))
    assert plan.vectors == Vectors(32, "cls", "問: ", "")
    assert plan.estimate.cache == 0  # it keeps nothing of what it has read
    decoder = gguf.tiny_llama(tmp_path / "decoder.gguf", llama__pooling_type=3)
    plan = importer.plan(wish(decoder))
    assert plan.vectors == Vectors(gguf.WIDTH, "last", "", "")
    assert plan.estimate.cache > 0


def test_the_same_file_used_in_another_way_is_another_model(importer: Importer, tmp_path: Path) -> None:
    file = tmp_path / "own.gguf"
    encoder_gguf.small(file)
    first = bring(importer, wish(file)).manifest.id
    assert bring(importer, wish(file)).manifest.id == first
    other = bring(importer, wish(file, query_prefix="問: "))
    assert (other.is_new, other.manifest.id) == (True, "own-2")


@pytest.mark.parametrize(
    ("said", "field"),
    [({"engine": "ctransformers"}, "engine"), ({"projector": "/tmp/mmproj.gguf"}, "projector")],
)
def test_what_means_nothing_for_an_embedding_model_is_refused_by_its_name(
    importer: Importer, tmp_path: Path, said: dict[str, str], field: str
) -> None:
    file = tmp_path / "own.gguf"
    encoder_gguf.small(file)
    with pytest.raises(BadInputError) as refused:
        importer.plan(wish(file, **said))
    assert refused.value.params == {"field": field}


@pytest.mark.parametrize("field", ["pooling", "query_prefix", "passage_prefix"])
def test_what_means_nothing_for_a_chat_model_is_refused_by_its_name(importer: Importer, file: Path, field: str) -> None:
    with pytest.raises(BadInputError) as refused:
        importer.plan(wish(file, **{field: "mean"}))
    assert refused.value.params == {"field": field}


def test_one_part_of_a_split_model_is_told_as_that_whichever_it_is(
    importer: Importer, settings: Settings, tmp_path: Path
) -> None:
    first = gguf.tiny_llama(tmp_path / "part.gguf", split__count=3)
    later = gguf.build({"split.no": 1, "split.count": 3}, gguf.tensors())  # nothing of what the model is
    (tmp_path / "big-00002-of-00003.gguf").write_bytes(later)
    (tmp_path / "big-00001-of-00001.gguf").write_bytes(later)
    for path in (first, tmp_path / "big-00002-of-00003.gguf"):
        with pytest.raises(ModelSplitError) as caught:
            importer.begin(wish(path))
        assert caught.value.params == {"name": path.name, "parts": 3}
    with pytest.raises(ModelFileError):
        importer.begin(wish(tmp_path / "big-00001-of-00001.gguf"))
    assert leftovers(settings) == []


def test_a_full_disk_is_seen_before_anything_is_written(
    importer: Importer, settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(file)
    monkeypatch.setattr(importing.shutil, "disk_usage", lambda _path: usage._replace(free=100 << 20))
    with pytest.raises(DiskFullError):
        importer.begin(wish(file))
    assert leftovers(settings) == []
    assert importer.plan(wish(file)).model


def test_a_disk_that_fills_in_the_middle_leaves_nothing(settings: Settings, file: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from appliance.config import Settings
from appliance.errors import HakoError
from appliance.inference.importing import Importer, Wish
importer = Importer(Settings(data_dir=Path({str(settings.data_dir)!r})), lambda name: False)
incoming = importer.begin(Wish(path={str(file)!r}, licence="x"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
try:
    with incoming:
        list(incoming.copy())
except HakoError as error:
    print(error.code)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == HakoError.code
    assert leftovers(settings) == []


def test_a_file_that_grows_meanwhile_is_refused(importer: Importer, settings: Settings, file: Path) -> None:
    with importer.begin(wish(file)) as incoming:
        file.write_bytes(file.read_bytes() + bytes(100))
        with pytest.raises(ModelFileError):
            list(incoming.copy())
    assert leftovers(settings) == []


def test_a_file_that_becomes_another_meanwhile_is_refused(importer: Importer, settings: Settings, file: Path) -> None:
    with importer.begin(wish(file)) as incoming:
        gguf.tiny_llama(file, general__name="Evil Llama")
        file.write_bytes(file.read_bytes()[: incoming.plan.size].ljust(incoming.plan.size, b"\0"))
        list(incoming.copy())
        with pytest.raises(ModelFileError):
            incoming.finish()
    assert leftovers(settings) == []


# -- interrupted


def test_leaving_in_the_middle_leaves_nothing(importer: Importer, settings: Settings, file: Path) -> None:
    incoming = importer.begin(wish(file))
    next(incoming.copy())
    assert leftovers(settings) == ["tiny-llama-f32.incoming"]
    assert Catalog(settings.models).all() == {}
    incoming.close()
    incoming.close()
    assert leftovers(settings) == []


def test_after_a_crash_the_next_start_clears_up_and_the_same_import_works(
    importer: Importer, settings: Settings, file: Path
) -> None:
    code = f"""
import os, signal
from pathlib import Path
from appliance.config import Settings
from appliance.inference.importing import Importer, Wish
importer = Importer(Settings(data_dir=Path({str(settings.data_dir)!r})), lambda name: False)
incoming = importer.begin(Wish(path={str(file)!r}, licence="x"))
next(incoming.copy())
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert leftovers(settings) == ["tiny-llama-f32.incoming"]
    (settings.models / "gone.removing").mkdir()
    importer.sweep()
    assert leftovers(settings) == []
    assert bring(importer, wish(file)).manifest.id == "tiny-llama-f32"


def test_clearing_up_leaves_what_still_goes_on(importer: Importer, settings: Settings, file: Path) -> None:
    with importer.begin(wish(file)) as incoming:
        Importer(settings, lambda _name: False).sweep()
        list(incoming.copy())
        assert incoming.finish().is_new
    importer.sweep()
    assert leftovers(settings) == ["tiny-llama-f32"]


def test_two_imports_of_one_file_at_once_do_not_meet(importer: Importer, file: Path, settings: Settings) -> None:
    with importer.begin(wish(file)) as one, importer.begin(wish(file)) as other:
        assert one.plan.model != other.plan.model
        for incoming in (one, other):
            list(incoming.copy())
        assert [one.finish().is_new, other.finish().is_new] == [True, False]
    assert leftovers(settings) == ["tiny-llama-f32"]


def test_the_folder_of_another_import_is_never_taken(importer: Importer, settings: Settings, file: Path) -> None:
    plan = importer.plan(wish(file))
    with importer.begin(wish(file)) as first, pytest.raises(ConflictError):
        importing.Incoming(Catalog(settings.models), settings.models, first._source, wish(file), plan)
