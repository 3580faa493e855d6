"""What a chat model's `tokenizer.json` and `tokenizer_config.json` may say."""

import json
from typing import Any

import pytest

from appliance.inference import hf_tokenizer
from appliance.inference.hf_tokenizer import Words
from appliance.inference.json_reader import DoubtfulError


def raw(**said: Any) -> bytes:
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    ("model", "added", "size"),
    [
        ({"type": "BPE", "vocab": {"a": 0, "b": 1}}, [], 2),
        ({"type": "BPE", "vocab": {"a": 0, "b": 1}}, [{"id": 5, "content": "<s>"}], 6),
        ({"type": "Unigram", "vocab": [["a", -1], ["b", -2], ["c", -3]]}, None, 3),
    ],
)
def test_a_vocabulary_is_as_large_as_its_highest_number_says(model: dict[str, Any], added: Any, size: int) -> None:
    assert hf_tokenizer.size(raw(model=model, added_tokens=added)) == size


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"model": {"type": "BPE"}},
        {"model": {"type": "BPE", "vocab": {}}},
        {"model": {"type": "BPE", "vocab": []}},
        {"model": {"type": "BPE", "vocab": {"a": -1}}},
        {"model": {"type": "BPE", "vocab": {"a": "0"}}},
        {"model": {"type": "BPE", "vocab": {"a": True}}},
        {"model": {"type": "BPE", "vocab": {"a": 1 << 40}}},
        {"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": [5]},
        {"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": {"id": 5}},
        {"model": {"type": "Other", "vocab": {"a": 0}}},
        {"model": []},
    ],
)
def test_one_without_numbers_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(DoubtfulError):
        hf_tokenizer.size(raw(**said))


def test_words_are_texts_or_described() -> None:
    found = hf_tokenizer.words(
        raw(bos_token="<s>", eos_token={"content": "</s>", "special": True}, chat_template="{{x}}")
    )
    assert found == Words("<s>", "</s>", "{{x}}")
    assert hf_tokenizer.words(raw(bos_token=None)) == Words("", "", "")


def test_of_several_templates_that_for_everything_counts_and_a_file_beside_goes_before_both() -> None:
    several = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    assert hf_tokenizer.words(raw(chat_template=several)).template == "d"
    assert hf_tokenizer.words(raw(chat_template=several[:1])).template == ""
    assert hf_tokenizer.words(raw(chat_template=several), "é".encode()).template == "é"


@pytest.mark.parametrize(
    "said",
    [
        {"bos_token": 5},
        {"eos_token": "a" * 300},
        {"eos_token": "a\0"},
        {"chat_template": 5},
        {"chat_template": "a\0"},
        {"chat_template": "a" * (1 << 19)},
        {"chat_template": [{"name": [], "template": "a"}, {"name": "default", "template": {}}]},
    ],
)
def test_words_that_are_none_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(DoubtfulError):
        hf_tokenizer.words(raw(**said))


@pytest.mark.parametrize("template", [b"\xff", b"a\0", b"a" * (1 << 19)])
def test_a_template_beside_that_is_no_text_is_refused(template: bytes) -> None:
    with pytest.raises(DoubtfulError):
        hf_tokenizer.words(raw(), template)
