"""The catalogue of a store: what is found, what is left out, names that try to leave it."""

from pathlib import Path

import pytest

from appliance.errors import ModelDamagedError, ModelNotFoundError
from appliance.inference.catalog import Catalog
from appliance.inference.engines import scripted


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    scripted.install(tmp_path, "talker", "chat")
    scripted.install(tmp_path, "embedder", "embedding")
    return Catalog(tmp_path)


def test_models_are_listed_by_name(catalog: Catalog) -> None:
    assert list(catalog.all()) == ["embedder", "talker"]
    assert catalog.get("talker").kind == "chat"


def test_a_new_model_is_seen_at_once(catalog: Catalog, tmp_path: Path) -> None:
    scripted.install(tmp_path, "newcomer", "chat")
    assert "newcomer" in catalog.all()


def test_a_damaged_manifest_is_left_out_of_the_list_and_an_error_when_asked_for(
    catalog: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "talker" / "model.json").write_text("{", "utf-8")
    assert list(catalog.all()) == ["embedder"]
    with pytest.raises(ModelDamagedError):
        catalog.get("talker")


def test_folders_without_a_manifest_and_folders_being_made_are_no_models(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    scripted.install(tmp_path, ".new-half", "chat")
    (tmp_path / "file").touch()
    assert list(catalog.all()) == ["embedder", "talker"]


@pytest.mark.parametrize("name", ["", ".", "..", "../talker", "talker/../talker", "/etc", "Talker", "t\0", "x" * 200])
def test_a_name_cannot_leave_the_store(catalog: Catalog, name: str) -> None:
    with pytest.raises(ModelNotFoundError):
        catalog.get(name)


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Catalog(tmp_path / "none").all() == {}
