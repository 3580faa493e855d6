"""PDF: order, columns, writing from top to bottom, readings, tables, what repeats, and hostile files."""

import io
import unicodedata
from pathlib import Path

import pytest

from appliance.errors import (
    DamagedDocumentError,
    DocumentError,
    DocumentTooLargeError,
    EmptyDocumentError,
    LockedDocumentError,
)
from appliance.knowledge.extract.contract import ExtractLimits
from appliance.knowledge.extract.pdf import extract_pdf
from tests.simulators import documents
from tests.simulators.documents import Box, Code, Mark, Words, column, grid, make_pdf, read, shapes

TEMPLE = [
    "東大寺は八世紀に聖武天皇の発願で造立された盧舎",
    "那仏像いわゆる奈良の大仏を本尊とする寺院である",
    "仏教による国家鎮護を願った聖武は天平十五年十月",
    "に詔を発した。",
]
FISH = [
    "富山平野では主要な生息地であった放生津潟が富山",
    "新港として開発され海水が流入し周辺水路も護岸化",
    "されたため昭和三十三年を最後に生息確認例が皆無",
    "となった。",
]


def text_of(*pages: list[Mark]) -> list[tuple[str, str]]:
    return shapes(read(make_pdf(pages), "a.pdf"))


def test_lines_of_a_japanese_paragraph_are_joined_without_a_space() -> None:
    assert text_of(column(TEMPLE, 50, 700)) == [("paragraph", "".join(TEMPLE))]


def test_lines_of_an_english_paragraph_are_joined_with_a_space() -> None:
    lines = ["The committee met in the large hall of", "the town and discussed the budget for", "the next year."]
    marks: list[Mark] = [Words(line, 50, 700 - 14 * place, font="sans") for place, line in enumerate(lines)]
    assert text_of(marks) == [("paragraph", " ".join(lines))]


def test_a_word_divided_at_the_end_of_a_line_is_put_together() -> None:
    lines = ["The committee discussed the organi-", "zation of the next yearly meeting."]
    marks: list[Mark] = [Words(line, 50, 700 - 14 * place, font="sans") for place, line in enumerate(lines)]
    assert text_of(marks) == [("paragraph", "The committee discussed the organization of the next yearly meeting.")]


def test_an_indented_line_begins_a_paragraph() -> None:
    marks = column([TEMPLE[0], TEMPLE[1] + "。"], 50, 700)
    marks += [Words(FISH[0], 60, 668), Words(FISH[1], 50, 652)]
    assert [text for _, text in text_of(marks)] == [TEMPLE[0] + TEMPLE[1] + "。", FISH[0] + FISH[1]]


def test_a_wider_distance_begins_a_paragraph() -> None:
    marks = column(TEMPLE[:3], 50, 700) + column(FISH[:3], 50, 620)
    assert [text for _, text in text_of(marks)] == ["".join(TEMPLE[:3]), "".join(FISH[:3])]


def test_columns_drawn_one_after_the_other_are_read_one_after_the_other() -> None:
    marks = column(TEMPLE, 50, 700) + column(FISH, 310, 700)
    assert [text for _, text in text_of(marks)] == ["".join(TEMPLE), "".join(FISH)]


def test_columns_drawn_line_by_line_across_are_read_one_after_the_other() -> None:
    marks: list[Mark] = []
    for left, right in zip(column(TEMPLE, 50, 700), column(FISH, 310, 700), strict=True):
        marks += [left, right]
    assert [text for _, text in text_of(marks)] == ["".join(TEMPLE), "".join(FISH)]


def test_a_paragraph_goes_on_at_the_top_of_the_next_column() -> None:
    marks = column([*TEMPLE[:3]], 50, 700) + column([FISH[0], FISH[1], FISH[3]], 310, 700)
    assert text_of(marks) == [("paragraph", "".join(TEMPLE[:3]) + FISH[0] + FISH[1] + FISH[3])]


def test_a_title_above_two_columns_comes_first() -> None:
    marks = [Words("年次報告", 240, 780, 20), *column(TEMPLE, 50, 700), *column(FISH, 310, 700)]
    assert text_of(marks) == [("h1", "年次報告"), ("paragraph", "".join(TEMPLE)), ("paragraph", "".join(FISH))]


def test_lines_that_run_downwards_are_read_from_the_right() -> None:
    marks: list[Mark] = [Words(line, 500 - 18 * place, 760, font="down") for place, line in enumerate(TEMPLE)]
    assert text_of(marks) == [("paragraph", "".join(TEMPLE))]


def test_a_page_that_lies_on_its_side_is_read() -> None:
    marks = [Code("q 0 1 -1 0 595 0 cm"), *column(TEMPLE, 50, 500), Code("Q")]
    assert shapes(read(make_pdf([marks], rotate=90), "a.pdf")) == [("paragraph", "".join(TEMPLE))]


def test_readings_beside_kanji_are_dropped() -> None:
    marks: list[Mark] = [Words("東大寺は", 50, 700), Words("とうだいじ", 50, 711, 5), Words("大きい。", 90, 700)]
    assert text_of(marks) == [("paragraph", "東大寺は大きい。")]


def test_small_print_that_is_no_reading_stays() -> None:
    marks = [*column(TEMPLE, 50, 700), Words("注: この値は推計による", 50, 100, 6)]
    assert text_of(marks)[-1] == ("paragraph", "注: この値は推計による")


def test_letters_spread_over_a_line_are_one_word() -> None:
    marks = [Words("就業規則", 50, 700, spacing=12.0), *column(TEMPLE, 50, 660)]
    assert text_of(marks)[0][1] == "就業規則"


def test_radicals_become_the_ideographs_they_stand_for() -> None:
    # A font whose table of characters names radicals, as browsers write them.
    table = (
        b"/CIDInit/ProcSet findresource begin begincmap 1 begincodespacerange<0000><ffff>endcodespacerange\n"
        b"2 beginbfchar<0001><2f24><0002><2ed8>endbfchar endcmap end"
    )
    font = (
        b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/ToUnicode 6 0 R/DescendantFonts[<</Type/Font"
        b"/Subtype/CIDFontType0/BaseFont/X/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/DW 1000"
        b"/FontDescriptor<</Type/FontDescriptor/FontName/X/Flags 4/FontBBox[0 0 1000 1000]/ItalicAngle 0/Ascent 880"
        b"/Descent -120/CapHeight 700/StemV 80>>>>]>>"
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    contents = documents.stream(b"BT /F 10 Tf 50 700 Td <00010002> Tj ET")
    tree = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"]
    data = documents.assemble([*tree, page, contents, font, documents.stream(table)], "/Root 1 0 R")
    assert shapes(read(data, "a.pdf")) == [("paragraph", "大青")]


def test_larger_type_makes_headings_and_their_levels() -> None:
    marks = [
        Words("就業規則", 50, 780, 20),
        Words("総則", 50, 740, 14),
        *column(TEMPLE, 50, 700),
        Words("雑則", 50, 600, 14),
        *column(FISH, 50, 560),
    ]
    assert [kind for kind, _ in text_of(marks)] == ["h1", "h2", "paragraph", "h2", "paragraph"]


def test_bold_and_numbered_lines_of_plain_size_are_headings() -> None:
    marks = [
        Words("1. 目的", 50, 760),
        *column(TEMPLE, 50, 730),
        Words("Scope", 50, 640, font="bold"),
        *column(FISH, 50, 610),
    ]
    assert [kind for kind, _ in text_of(marks)] == ["h1", "paragraph", "h1", "paragraph"]


def test_bullets_and_numbers_make_a_list() -> None:
    lines = ["次のとおりとする。これは長い本文の一行であり、右端まで届く。", "・りんごの皮をむく", "(1) 最初の手順"]
    assert text_of(column(lines, 50, 700)) == [
        ("paragraph", lines[0]),
        ("list", "- りんごの皮をむく\n(1) 最初の手順"),
    ]


def test_typewritten_lines_stay_lines() -> None:
    marks: list[Mark] = [*column(TEMPLE, 50, 760)]
    marks += [Words("if ready:", 50, 660, font="mono"), Words("start()", 74, 646, font="mono")]
    assert text_of(marks)[-1] == ("code", "if ready:\n    start()")


def test_a_ruled_table_between_paragraphs_becomes_rows() -> None:
    rows = [["項目", "電話"], ["受付", "06-1234"], ["会計", "03-5678"]]
    marks = column(TEMPLE, 50, 740) + grid(rows, 50, 650, [100, 150]) + column(FISH, 50, 560)
    assert text_of(marks) == [
        ("paragraph", "".join(TEMPLE)),
        ("table", "| 項目 | 電話 |\n| 受付 | 06-1234 |\n| 会計 | 03-5678 |"),
        ("paragraph", "".join(FISH)),
    ]


def test_a_cell_over_two_columns_fills_the_first() -> None:
    rules = [line for line in grid([["", ""], ["", ""]], 50, 700, [100, 100]) if not isinstance(line, Words)]
    vertical = rules[4]  # the middle line
    assert isinstance(vertical, documents.Rule)
    rules[4] = documents.Rule(vertical.x0, 682, vertical.x1, 664)
    words = [Words("料金", 60, 687), Words("平日", 60, 669), Words("休日", 160, 669)]
    assert text_of([*rules, *words]) == [("table", "| 料金 |  |\n| 平日 | 休日 |")]


def test_horizontal_lines_alone_make_a_table_by_the_white_between() -> None:
    rows = [["Item", "Phone"], ["Desk", "06-1234"], ["Accounts", "03-5678"]]
    marks: list[Mark] = [documents.Rule(50, 700 - 18 * row, 350, 700 - 18 * row) for row in range(4)]
    for row, (left, right) in enumerate(rows):
        marks += [Words(left, 54, 687 - 18 * row, font="sans"), Words(right, 200, 687 - 18 * row, font="sans")]
    assert text_of(marks) == [("table", "| Item | Phone |\n| Desk | 06-1234 |\n| Accounts | 03-5678 |")]


def test_a_frame_around_a_paragraph_is_no_table() -> None:
    marks = [Box(40, 640, 300, 80), *column(TEMPLE, 50, 700)]
    assert text_of(marks) == [("paragraph", "".join(TEMPLE))]


def test_running_heads_and_page_numbers_are_left_out() -> None:
    pages: list[list[Mark]] = [
        [
            Words("社内規程集", 50, 810, 8),
            *column([f"{number}番目の頁の本文はこの行から始まり、ここで", "終わる。"], 50, 700),
            Words(f"- {number} -", 290, 30, 8),
        ]
        for number in range(1, 7)
    ]
    document = read(make_pdf(pages), "a.pdf")
    assert [text for _, text in shapes(document)] == [
        f"{number}番目の頁の本文はこの行から始まり、ここで終わる。" for number in range(1, 7)
    ]


def test_headings_at_the_same_place_of_every_page_stay() -> None:
    pages: list[list[Mark]] = [[Words(f"第{n}章 手順", 50, 790, 16), *column(TEMPLE, 50, 740)] for n in range(1, 6)]
    assert [text for kind, text in text_of(*pages) if kind == "h1"] == [f"第{n}章 手順" for n in range(1, 6)]


def test_what_was_filled_into_a_form_is_read() -> None:
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/Rect[100 600 300 620]/F 4/AP<</N 6 0 R>>>>"
    look = documents.stream(
        b"BT /F 10 Tf 2 5 Td (Bob) Tj ET",
        "/Type/XObject/Subtype/Form/BBox[0 0 200 20]/Resources<</Font<</F 7 0 R>>>>",
    )
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Annots[5 0 R]/Resources<</Font<</F 7 0 R>>>>>>"
    )
    contents = documents.stream(b"BT /F 10 Tf 50 605 Td (Name:) Tj ET")
    tree = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"]
    data = documents.assemble([*tree, page, contents, field, look, font], "/Root 1 0 R")
    assert shapes(read(data, "a.pdf")) == [("paragraph", "Name: Bob")]


@pytest.mark.parametrize(
    ("info", "title"),
    [
        ("就業規則", "就業規則"),
        ("(anonymous)", "見出し"),
        ("Microsoft Word - 報告書.docx", "見出し"),
        ("Microsoft Word - 報告書", "報告書"),
        ("", "見出し"),
    ],
)
def test_the_title_is_the_files_own_unless_its_maker_put_something_there(info: str, title: str) -> None:
    data = make_pdf([[Words("見出し", 50, 780, 20), *column(TEMPLE, 50, 700)]], info={"Title": info})
    assert read(data, "a.pdf").title == title


def test_pages_without_text_are_counted() -> None:
    document = read(make_pdf([[Box(10, 10, 50, 50)], column(TEMPLE, 50, 700), []]), "a.pdf")
    assert document.warnings == ("pages-without-text:2",)
    assert [len(page.blocks) for page in document.pages] == [0, 1, 0]


def test_a_document_of_images_only_is_empty() -> None:
    with pytest.raises(EmptyDocumentError):
        read(make_pdf([[Box(10, 10, 50, 50)]]), "a.pdf")


def test_a_file_under_a_password_is_locked() -> None:
    with pytest.raises(LockedDocumentError):
        read(make_pdf([column(TEMPLE, 50, 700)], password="open sesame"), "a.pdf")


def test_a_file_that_is_only_protected_against_changes_opens() -> None:
    assert shapes(read(make_pdf([column(TEMPLE, 50, 700)], password=""), "a.pdf")) == [("paragraph", "".join(TEMPLE))]


def test_too_many_pages_are_refused_before_any_is_read() -> None:
    calls: list[int] = []
    limits = ExtractLimits(pages=2)
    with pytest.raises(DocumentTooLargeError) as caught:
        extract_pdf(io.BytesIO(make_pdf([[], [], []])), "a.pdf", limits, lambda done, _total: calls.append(done))
    assert (caught.value.params, calls) == ({"limit": "2 p."}, [])


def test_more_text_than_allowed_is_refused() -> None:
    with pytest.raises(DocumentTooLargeError):
        read(make_pdf([column(TEMPLE * 8, 50, 800)] * 3), "a.pdf", ExtractLimits(text_bytes=1000))


def test_progress_counts_pages() -> None:
    calls: list[tuple[int, int]] = []
    extract_pdf(io.BytesIO(make_pdf([[]] * 3)), "a.pdf", ExtractLimits(), lambda *step: calls.append(step))
    assert calls == [(0, 3), (1, 3), (2, 3)]


GOOD = make_pdf([column(TEMPLE, 50, 700)])


@pytest.mark.parametrize(
    "data",
    [
        documents.pdf_page_cycle(),
        documents.pdf_deep_array(),
        documents.pdf_many_pages(200_000),
        documents.pdf_claims_pages(200_000),
        documents.pdf_claims_pages(100),
        documents.without_index(GOOD),
        GOOD[: len(GOOD) // 2],
        b"%PDF-1.7\n" + bytes(range(256)) * 40,
        make_pdf([column(TEMPLE, 50, 700)], size=(14_400_001.0, 100.0)),
    ],
    ids=["cycle", "deep", "200000-pages", "claims-200000", "claims-100", "no-index", "half", "noise", "huge-page"],
)
def test_a_broken_or_hostile_file_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        read(data, "a.pdf")
    assert type(caught.value) in (DamagedDocumentError, DocumentTooLargeError, EmptyDocumentError)


def _bare(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


@pytest.mark.parametrize("name", ["ja_embed.pdf", "ja_2col.pdf", "ja_cid.pdf"])
def test_every_paragraph_of_the_same_document_in_word_is_found(samples: Path, name: str) -> None:
    word = read((samples / "ja.docx").read_bytes(), "ja.docx")
    document = read((samples / name).read_bytes(), name)
    whole = _bare("".join(text for _, text in shapes(document)))
    paragraphs = [_bare(text) for kind, text in shapes(word) if kind == "paragraph"]
    assert len(paragraphs) == 20
    assert [text for text in paragraphs if text not in whole] == []


@pytest.mark.parametrize("name", ["ja_embed.pdf", "ja_2col.pdf", "ja_cid.pdf"])
def test_every_page_of_the_real_documents_has_its_heading_and_its_table(samples: Path, name: str) -> None:
    document = read((samples / name).read_bytes(), name)
    found = shapes(document)
    assert [text for kind, text in found if kind == "h1"] == [f"第{n}章 業務手順書" for n in range(1, 21)]
    rows = "\n".join(text for kind, text in found if kind == "table")
    for number in range(20):
        assert f"| 受付 | 総務課 | 06-1234-1{number:03d} |\n| 会計 | 経理課 | 03-5678-2{number:03d} |" in rows
