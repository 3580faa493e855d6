"""Plain text: paragraphs, wrapped lines, plain headings."""

from tests.simulators.documents import read, shapes


def found(text: str) -> list[tuple[str, str]]:
    return shapes(read(text.encode(), "a.txt"))


def test_blank_lines_part_paragraphs() -> None:
    assert found("一つ目。\n\n二つ目。\n") == [("paragraph", "一つ目。"), ("paragraph", "二つ目。")]


def test_hard_wrapped_lines_are_joined() -> None:
    line = "The committee met in the large hall of the town and then it discussed"
    text = f"{line}\n{line}\nthe budget.\n\n{line}\n{line}\nthe end.\n"
    assert found(text)[0] == ("paragraph", f"{line} {line} the budget.")


def test_numbered_and_underlined_lines_are_headings() -> None:
    text = "第1章 総則\n\n本文。\n\nRules\n=====\n\nText.\n\n1.2 目的\n\n本文。\n"
    assert [kind for kind, _ in found(text)] == ["h1", "paragraph", "h1", "paragraph", "h3", "paragraph"]


def test_items_are_a_list() -> None:
    assert found("・一つ目\n・二つ目\n・三つ目\n") == [("list", "・一つ目\n・二つ目\n・三つ目")]


def test_invisible_characters_are_taken_out() -> None:
    assert found("秘\u200b密\u202e指示\U000e0041") == [("paragraph", "秘密指示")]


def test_half_width_katakana_become_full_width() -> None:
    assert found("ｶﾞｲﾄﾞ") == [("paragraph", "ガイド")]
