"""CSV and TSV: separators guessed, 50 rows a page under a repeated header."""

import pytest

from appliance.errors import DocumentTooLargeError
from appliance.knowledge.extract.contract import ExtractLimits
from tests.simulators.documents import read, shapes


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_is_found(separator: str) -> None:
    data = f"a{separator}b\n1{separator}2\n".encode()
    assert shapes(read(data, "a.csv")) == [("table", "| a | b |\n| 1 | 2 |")]


def test_quoted_fields_may_hold_separators_and_line_breaks() -> None:
    assert shapes(read(b'a,b\n"1,\n2","3 | 4"\n', "a.csv")) == [("table", "| a | b |\n| 1, 2 | 3 \\| 4 |")]


def test_fifty_rows_a_page_under_the_same_header() -> None:
    data = "番号,名前\n" + "".join(f"{number},氏名{number}\n" for number in range(120))
    pages = read(data.encode(), "a.csv").pages
    assert [page.blocks[0].text.split("\n")[0] for page in pages] == ["| 番号 | 名前 |"] * 3
    assert [page.blocks[0].text.count("\n") for page in pages] == [50, 50, 20]


def test_a_quote_that_never_closes_swallows_nothing() -> None:
    document = read(b'a,b\n1,5" pipe\n2,y\n', "a.csv")
    assert document.warnings == ("csv-quotes-unbalanced",)
    assert shapes(document)[0][1].count("\n") == 2


def test_japanese_spreadsheets_save_in_their_own_encoding() -> None:
    assert shapes(read("氏名,部署\n髙橋,総務課\n".encode("cp932"), "a.csv")) == [
        ("table", "| 氏名 | 部署 |\n| 髙橋 | 総務課 |")
    ]


def test_too_many_columns_are_refused() -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        read(b",".join([b"x"] * 30), "a.csv", ExtractLimits(columns=20))
    assert caught.value.params == {"limit": "20 col."}
