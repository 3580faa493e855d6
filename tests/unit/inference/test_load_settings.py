"""How each model is to be loaded: kept, forgotten, and never a reason not to load at all."""

from pathlib import Path

import pytest

from appliance.config import Inference
from appliance.errors import BadInputError, ModelNotFoundError
from appliance.inference.catalog import Catalog
from appliance.inference.engines import scripted
from appliance.inference.load_settings import LoadSettings, LoadSettingsStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model-settings.json"


@pytest.fixture
def store(path: Path, tmp_path: Path) -> LoadSettingsStore:
    scripted.install(tmp_path / "models", "talker", "chat")
    scripted.install(tmp_path / "models", "embedder", "embedding")
    return LoadSettingsStore(path, Catalog(tmp_path / "models"))


def test_settings_are_kept_for_their_model_and_seen_by_another_process(
    store: LoadSettingsStore, path: Path, tmp_path: Path
) -> None:
    wanted = LoadSettings(context=1024, pinned=True, overflow="middle", template="{{ messages }}")
    store.put("talker", wanted)
    other = LoadSettingsStore(path, Catalog(tmp_path / "models"))
    assert other.get("talker") == wanted
    assert other.get("embedder") == LoadSettings()
    assert path.stat().st_mode & 0o777 == 0o600


def test_settings_of_a_model_that_is_gone_are_forgotten_and_no_others(store: LoadSettingsStore, path: Path) -> None:
    store.put("talker", LoadSettings(threads=2))
    store.put("embedder", LoadSettings(pinned=True))
    store.forget("talker")
    store.forget("talker")
    assert store.get("talker") == LoadSettings()
    assert store.get("embedder").pinned
    store.put("embedder", LoadSettings())
    assert path.read_text("utf-8").strip() == "{}"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"talker": 5}', '{"talker": {"parallel": 9999}}', "\xff"])
def test_a_damaged_file_costs_the_settings_and_nothing_else(store: LoadSettingsStore, path: Path, content: str) -> None:
    path.write_bytes(content.encode("latin-1"))
    assert store.get("talker") == LoadSettings()
    store.put("talker", LoadSettings(parallel=3))
    assert store.get("talker").parallel == 3


def test_one_models_damaged_settings_leave_the_others(store: LoadSettingsStore, path: Path) -> None:
    path.write_text('{"talker": {"context": "much"}, "embedder": {"pinned": true}}', "utf-8")
    assert store.get("talker") == LoadSettings()
    assert store.get("embedder").pinned


def test_a_wish_for_guesses_of_an_earlier_release_is_kept_and_none_is_left_to_the_box(
    store: LoadSettingsStore, path: Path
) -> None:
    path.write_text('{"talker": {"speculation": "ngram"}, "embedder": {"pinned": true}}', "utf-8")
    assert store.get("talker").speculation == "ngram"
    assert store.get("embedder").speculation == "auto"
    store.put("talker", LoadSettings(speculation="off"))
    assert store.get("talker").speculation == "off"
    store.put("embedder", LoadSettings(speculation="off"))  # it doesn't guess anyway


@pytest.mark.parametrize("model", ["nobody", "../talker", ""])
def test_there_are_no_settings_of_a_model_that_is_not_there(store: LoadSettingsStore, model: str) -> None:
    with pytest.raises(ModelNotFoundError):
        store.put(model, LoadSettings(pinned=True))


@pytest.mark.parametrize(
    ("model", "field", "wish"),
    [
        ("talker", "context", LoadSettings(context=4097)),
        ("embedder", "context", LoadSettings(context=256)),
        ("embedder", "speculation", LoadSettings(speculation="ngram")),
        ("embedder", "cache_type", LoadSettings(cache_type="q8_0")),
        ("embedder", "max_tokens", LoadSettings(max_tokens=9)),
        ("embedder", "template", LoadSettings(template="x")),
        ("embedder", "overflow", LoadSettings(overflow="rolling")),
    ],
)
def test_what_a_model_can_not_follow_is_refused_by_its_field(
    store: LoadSettingsStore, path: Path, model: str, field: str, wish: LoadSettings
) -> None:
    with pytest.raises(BadInputError) as refused:
        store.put(model, wish)
    assert refused.value.params == {"field": field}
    assert not path.exists()


def test_what_is_not_said_follows_the_box_and_never_more_than_the_model_holds() -> None:
    box = Inference(context_tokens=2048, parallel=3)
    assert (LoadSettings().context_of(8192, box), LoadSettings().parallel_of(box)) == (2048, 3)
    own = LoadSettings(context=4096, parallel=1)
    assert (own.context_of(8192, box), own.context_of(1000, box), own.parallel_of(box)) == (4096, 1000, 1)


@pytest.mark.parametrize(
    ("changes", "template", "expected"),
    [
        ({"engine": "llama", "tools": True, "size_class": "tiny"}, "", True),
        ({"engine": "llama", "tools": False, "size_class": "large"}, "", False),
        ({"engine": "llama", "tools": None, "size_class": "large"}, "", True),
        ({"engine": "llama", "tools": None, "size_class": "tiny"}, "", False),
        ({"engine": "llama", "tools": True}, "{{ messages }}", False),
        ({"engine": "llama", "tools": False}, "{{ tools }}", True),
        ({"engine": "genai", "size_class": "large"}, "{{ tools }}", False),
        ({"engine": "ctransformers", "tools": True}, "", False),
        ({"engine": "llama", "kind": "embedding", "tools": True}, "", False),
    ],
)
def test_tools_are_taken_where_template_and_engine_do(
    store: LoadSettingsStore, tmp_path: Path, changes: dict[str, object], template: str, expected: bool
) -> None:
    manifest = Catalog(tmp_path / "models").get("talker").model_copy(update=changes)
    assert LoadSettings(template=template).tools_of(manifest) is expected
