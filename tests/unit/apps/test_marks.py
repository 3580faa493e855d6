"""Marks and sentences in a stream that is cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.apps.marks import Mark, MarkReader, Sentence, SentenceReader, Text


def read(pieces: list[str]) -> list[Text | Mark]:
    reader = MarkReader()
    out = [item for piece in pieces for item in reader.feed(piece)]
    return [*out, *reader.close()]


def flat(items: list[Text | Mark]) -> str:
    return "".join(f"<{item.n}>" if isinstance(item, Mark) else item.text for item in items)


ANSWER = "It was 1869. [2] Then [sic] it ended. [10]"


@pytest.mark.parametrize("cut", range(len(ANSWER)))
def test_a_mark_is_read_wherever_the_stream_is_cut(cut: int) -> None:
    items = read([ANSWER[:cut], ANSWER[cut:]])
    assert flat(items) == "It was 1869.<2> Then [sic] it ended.<10>"
    assert [item.claim for item in items if isinstance(item, Mark)] == ["It was 1869.", "Then [sic] it ended."]


def test_an_unfinished_mark_at_the_end_is_passed_on() -> None:
    assert flat(read(["Cut off [1"])) == "Cut off [1"


@given(st.lists(st.text(alphabet="ab []19.", max_size=6), max_size=12))
def test_no_text_is_lost(pieces: list[str]) -> None:
    whole = "".join(pieces)
    kept = flat(read(pieces)).replace("<", "[").replace(">", "]")
    assert kept.replace(" ", "") == whole.replace(" ", "")


def sentences(pieces: list[str]) -> list[str]:
    reader = SentenceReader()
    out = [item for piece in pieces for item in reader.feed(piece)]
    return [item.text for item in [*out, *reader.close()] if isinstance(item, Sentence)]


FREE = "夜勤は週2回までです。届けは前日に出します。 It costs 3.5 yen. Done"


@pytest.mark.parametrize("cut", range(len(FREE)))
def test_sentences_end_where_they_end_however_the_stream_is_cut(cut: int) -> None:
    assert sentences([FREE[:cut], FREE[cut:]]) == [
        "夜勤は週2回までです。",
        "届けは前日に出します。",
        "It costs 3.5 yen.",
        "Done",
    ]


def test_code_has_no_sentences() -> None:
    assert sentences(["Run this.\n```\nprint('a. b. c.')\nmore.\n```\nThat was it."]) == ["Run this.", "That was it."]


@given(st.lists(st.text(alphabet="ab。. \n`", max_size=6), max_size=12))
def test_the_free_stream_is_passed_on_unchanged(pieces: list[str]) -> None:
    reader = SentenceReader()
    out = [item.text for piece in pieces for item in reader.feed(piece) if isinstance(item, Text)]
    assert "".join(out) == "".join(pieces)
