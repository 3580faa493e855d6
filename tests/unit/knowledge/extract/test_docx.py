"""DOCX: structure, automatic numbers, what Word hides, and hostile archives."""

from pathlib import Path

import pytest

from appliance.errors import (
    BombDocumentError,
    DamagedDocumentError,
    DocumentError,
    EmptyDocumentError,
    UnknownFormatError,
)
from tests.simulators.documents import docx_bomb, make_docx, make_zip, paragraph, read, shapes

STYLES = (
    '<w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="H2"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="H2"/></w:style>'
)
NUMBERING = (
    '<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/>'
    '<w:lvlText w:val="第%1条"/></w:lvl><w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/><w:lvlText w:val="•"/></w:lvl>'
    '</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
)


def numbered(level: int) -> str:
    return f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="1"/></w:numPr>'


def test_headings_come_from_styles_and_what_they_inherit() -> None:
    body = paragraph("総則", "H1") + paragraph("目的", "Own") + paragraph("この規程は全員に適用する。")
    assert shapes(read(make_docx(body, {"styles": STYLES}), "a.docx")) == [
        ("h1", "総則"),
        ("h2", "目的"),
        ("paragraph", "この規程は全員に適用する。"),
    ]


def test_numbers_that_word_counts_are_in_the_text() -> None:
    body = paragraph("目的", "", numbered(0)) + paragraph("適用", "", numbered(0)) + paragraph("職員", "", numbered(1))
    assert shapes(read(make_docx(body, {"numbering": NUMBERING}), "a.docx")) == [
        ("list", "第1条 目的\n第2条 適用\n  - 職員")
    ]


def test_a_table_keeps_its_columns_under_merged_cells() -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"

    wide, top, below = '<w:gridSpan w:val="2"/>', '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    rows = (
        f"<w:tr>{cell('料金', wide)}</w:tr>"
        f"<w:tr>{cell('大人', top)}{cell('500円 | 税込')}</w:tr>"
        f"<w:tr>{cell('', below)}{cell('600円')}</w:tr>"
    )
    document = read(make_docx(f"<w:tbl>{rows}</w:tbl>"), "a.docx")
    assert shapes(document) == [("table", "| 料金 |  |\n| 大人 | 500円 \\| 税込 |\n|  | 600円 |")]


def test_deleted_and_hidden_words_and_readings_are_left_out() -> None:
    body = (
        "<w:p><w:r><w:t>前</w:t></w:r><w:del><w:r><w:delText>消した</w:delText></w:r></w:del>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>隠した</w:t></w:r>"
        "<w:r><w:ruby><w:rt><w:r><w:t>とう</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>東</w:t></w:r></w:rubyBase></w:ruby></w:r>"
        "<w:ins><w:r><w:t>足した</w:t></w:r></w:ins></w:p>"
    )
    assert shapes(read(make_docx(body), "a.docx")) == [("paragraph", "前東足した")]


def test_a_footnote_stands_after_its_paragraph() -> None:
    body = '<w:p><w:r><w:t>本文</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>' + paragraph("次")
    notes = f'<w:footnote w:id="2">{paragraph("注釈")}</w:footnote>'
    assert [text for _, text in shapes(read(make_docx(body, {"footnotes": notes}), "a.docx"))] == [
        "本文(*1)",
        "(*1) 注釈",
        "次",
    ]


def test_the_title_is_the_one_in_the_properties() -> None:
    assert read(make_docx(paragraph("本文"), title="就業規則"), "a.docx").title == "就業規則"


def test_an_empty_document_is_refused() -> None:
    with pytest.raises(EmptyDocumentError):
        read(make_docx(paragraph(" ")), "a.docx")


def test_a_bomb_is_refused_unread() -> None:
    with pytest.raises(BombDocumentError):
        read(docx_bomb(), "a.docx")


@pytest.mark.parametrize(
    "dtd",
    [
        '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        '<!DOCTYPE d [<!ENTITY c SYSTEM "file:///etc/passwd">]>',
    ],
    ids=["entities", "file"],
)
def test_entities_are_not_followed(dtd: str) -> None:
    xml = f'{dtd}<d xmlns="w"><body><p><r><t>&c;</t></r></p></body></d>'
    with pytest.raises(DamagedDocumentError):
        read(make_zip({"[Content_Types].xml": b"<Types/>", "word/document.xml": xml.encode()}), "a.docx")


def test_a_file_cut_short_is_damaged() -> None:
    whole = make_docx(paragraph("本文"))
    with pytest.raises(DamagedDocumentError):
        read(whole[: len(whole) // 2], "a.docx")


def test_an_archive_that_is_no_word_file_is_of_an_unknown_kind() -> None:
    with pytest.raises(UnknownFormatError):
        read(make_zip({"a.txt": b"text"}), "a.zip")


def test_a_member_with_a_wrong_checksum_is_damaged() -> None:
    whole = make_docx(paragraph("本文" * 200))
    place = whole.index(b"word/document.xml") + 40
    with pytest.raises(DocumentError):
        read(whole[:place] + bytes(8) + whole[place + 8 :], "a.docx")


def test_the_real_document_has_its_headings_and_paragraphs(samples: Path) -> None:
    found = shapes(read((samples / "ja.docx").read_bytes(), "ja.docx"))
    assert found[0] == ("h1", "就業規則")
    assert [text for kind, text in found if kind == "h2"] == [f"第{n}条" for n in range(1, 21)]
