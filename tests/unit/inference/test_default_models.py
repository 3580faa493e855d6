"""The models that the box relies on: the operator's choice before the settings, whoever looks."""

from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.inference.default_models import DefaultModels


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    inference = {"chat_model": "talker", "embedding_model": "embedder", "reranker_model": "ranker"}
    return Settings.model_validate({"data_dir": tmp_path, "inference": inference})


def test_the_settings_hold_until_somebody_chooses(settings: Settings) -> None:
    defaults = DefaultModels(settings)
    assert (defaults.chat, defaults.reranker) == ("talker", "ranker")
    assert defaults.own() == ("embedder", "ranker", "talker")


def test_a_choice_comes_first_and_others_see_it_at_once(settings: Settings) -> None:
    elsewhere = DefaultModels(settings)
    DefaultModels(settings).choose("chat", "writer")
    assert (elsewhere.chat, elsewhere.reranker) == ("writer", "ranker")
    DefaultModels(settings).choose("reranker", "other")
    assert elsewhere.own() == ("embedder", "other", "writer")


def test_no_reranker_is_a_choice_too(settings: Settings) -> None:
    defaults = DefaultModels(settings)
    defaults.choose("reranker", "")
    assert defaults.reranker == ""
    assert defaults.own() == ("embedder", "talker")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"chat": 3, "reranker": null}', "\x00", '{"chat": ""}'])
def test_a_file_that_makes_no_sense_leaves_it_to_the_settings(settings: Settings, content: str) -> None:
    settings.model_defaults.write_text(content, "utf-8")
    assert DefaultModels(settings).own() == ("embedder", "ranker", "talker")
