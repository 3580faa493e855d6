"""Cutting documents up: nothing that can be written down takes more than its length to cut."""

import pytest

from appliance.knowledge import sentences, split
from appliance.knowledge.extract.contract import Block, BlockKind, Extracted, Page
from appliance.knowledge.split import Prepared

LENGTH = 300_000


def prepared(kind: BlockKind, body: str) -> Prepared:
    level = 1 if kind == "heading" else 0
    extracted = Extracted("txt", "t", (Page(1, (Block(kind, body, level),)),), ())
    return split.prepare(extracted, "t", lambda texts: [len(text) // 4 + 2 for text in texts])


@pytest.mark.parametrize(
    "unit",
    [".", ".!?", "…", "。", "！？", ". ", ".)", "(", "（「", "p. 1 ", "a.b.", "\n \n", "." * 99 + " " * 99 + "a"],
)
def test_a_run_of_signs_is_cut_as_quickly_as_a_text(unit: str) -> None:
    text = unit * (LENGTH // len(unit)) + "x"
    assert all(0 < end - start <= sentences.MAX_CHARS for start, end in sentences.split(text))


@pytest.mark.parametrize("kind", ["list", "table", "code"])
def test_a_block_of_a_hundred_thousand_lines_is_cut_as_quickly_as_many_short_ones(kind: BlockKind) -> None:
    passages = prepared(kind, "- item | one\n" * 100_000).passages
    assert passages[-1].last > 2_000
    assert max(passage.tokens for passage in passages) <= 320


def test_the_end_of_a_large_table_is_kept_in_one_piece() -> None:
    table = prepared("table", "\n".join(f"row {i} of the long table" for i in range(60)))
    first, last = table.passages[0], table.passages[-1]
    assert first.first == 0
    assert last.last == 59
    assert last.text.startswith("row 0 of the long table\n")  # its head row again


def test_a_heading_of_a_megabyte_is_many_sentences() -> None:
    found = prepared("heading", "a word or two " * 70_000)
    assert max(len(sentence.text) for sentence in found.sentences) <= sentences.MAX_CHARS
    assert max(passage.tokens for passage in found.passages) <= 320


def test_sentence_ends_are_found_where_people_see_them() -> None:
    text = "Wait... what?! It costs 3.50 (see p. 4). Dr. Sato said so. 「はい。」と言った。次です！"
    assert [text[start:end] for start, end in sentences.split(text)] == [
        "Wait... what?!",
        "It costs 3.50 (see p. 4).",
        "Dr. Sato said so.",
        "「はい。」と言った。",
        "次です！",
    ]
