"""HTML: what a reader of the page would read, and nothing else."""

import pytest

from appliance.errors import EmptyDocumentError
from tests.simulators.documents import read, shapes


def found(html: str) -> list[tuple[str, str]]:
    return shapes(read(f"<!doctype html>{html}".encode(), "a.html"))


def test_headings_paragraphs_and_lists() -> None:
    page = "<h1>規程</h1><p>本文<br>次の行</p><ol start=3><li>三<li>四<ul><li>内側</ul></ol>"
    assert found(page) == [
        ("h1", "規程"),
        ("paragraph", "本文\n次の行"),
        ("list", "3. 三\n4. 四\n  - 内側"),
    ]


def test_navigation_scripts_and_hidden_parts_are_left_out() -> None:
    page = (
        "<nav>menu</nav><header>site</header><script>var x</script><p hidden>a</p><p style='display: none'>b</p>"
        "<p aria-hidden=true>c</p><main><p>本文</p></main><footer>foot</footer>"
    )
    assert found(page) == [("paragraph", "本文")]


def test_line_breaks_of_the_source_vanish_in_japanese_and_become_spaces_in_english() -> None:
    assert found("<p>東京の\n天気</p><p>the weather\nin Tokyo</p>") == [
        ("paragraph", "東京の天気"),
        ("paragraph", "the weather in Tokyo"),
    ]


def test_readings_are_left_out() -> None:
    assert found("<p><ruby>東京<rp>(</rp><rt>とうきょう</rt><rp>)</rp></ruby>へ</p>") == [("paragraph", "東京へ")]


def test_a_table_with_spans_keeps_its_columns() -> None:
    page = "<table><tr><th rowspan=2>区分<th colspan=2>料金<tr><td>平日<td>休日<tr><td>大人<td>500円<td>700円</table>"
    assert found(page) == [("table", "| 区分 | 料金 |  |\n|  | 平日 | 休日 |\n| 大人 | 500円 | 700円 |")]


def test_code_keeps_its_lines() -> None:
    assert found("<pre>a = 1\n  b = 2</pre>") == [("code", "a = 1\n  b = 2")]


def test_the_title_of_the_page_is_the_title() -> None:
    assert read(b"<html><title> Rules \n of the house</title><p>x", "a.html").title == "Rules of the house"


def test_the_encoding_that_the_page_names_is_used() -> None:
    page = "<html><meta charset=Shift_JIS><p>①髙橋㈱</p>".encode("cp932")
    assert shapes(read(page, "a.html")) == [("paragraph", "①髙橋㈱")]


def test_a_page_nested_a_hundred_thousand_deep_is_read_in_time() -> None:
    assert found("<div>" * 100_000 + "本文")[0] == ("paragraph", "本文")


def test_a_page_of_navigation_only_is_empty() -> None:
    with pytest.raises(EmptyDocumentError):
        found("<nav>menu</nav>")
