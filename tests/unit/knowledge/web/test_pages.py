"""Which records are pages, and what is read on them; here without the jail."""

import io

import pytest

from appliance.knowledge.web import pages, wire
from appliance.knowledge.web.pages import Begun, Moved, Read
from appliance.warc.records import Records, WarcError
from tests.simulators import warcs
from tests.simulators.documents import column, make_pdf
from tests.simulators.warcs import SITE, answer, record


def walked(data: bytes, first: int = 0, unreadable: frozenset[int] = frozenset()) -> list[Read | Moved]:
    found = pages.walk(Records(io.BytesIO(data)), first, unreadable)
    told = [wire.read(wire.line_of(each).model_dump_json().encode()) for each in found if not isinstance(each, Begun)]
    return [
        wire.page_of(line) if isinstance(line, wire.PageLine) else Moved(line.url, line.to)  # type: ignore[union-attr]
        for line in told
    ]


def page(body: bytes, mime: str = "text/html", url: str = f"{SITE}/", **fields: str) -> bytes:
    return record(answer(body, mime, **fields), WARC_Target_URI=url, WARC_Date="2026-09-21T14:13:20Z")


def only(data: bytes) -> Read:
    (found,) = walked(data)
    assert isinstance(found, Read)
    return found


def test_a_page_is_read_as_text_with_its_links(tmp_path):
    file = warcs.write(tmp_path)
    front, bins, rules, moved = walked(file.read_bytes())
    assert isinstance(front, Read)
    assert (front.url, front.title, front.kind, front.at) == (f"{SITE}/", "City hall", "html", warcs.AT)
    assert [block.text for block in front.blocks][:2] == ["City hall", "Opening hours: nine to five."]
    assert "alert" not in str(front.blocks)
    assert front.links == (
        (f"{SITE}/bins", "Waste"),
        (f"{SITE}/old", "Old page"),
        ("http://other.example/", "Elsewhere"),
    )
    assert isinstance(bins, Read)
    assert (bins.title, bins.blocks[1].text) == ("ごみの出し方", "燃えるごみは火曜日です。")
    assert isinstance(rules, Read)
    assert (rules.kind, rules.title, rules.blocks[0].text) == ("text", "", "Keep your dog on a lead.")
    assert moved == Moved(f"{SITE}/old", f"{SITE}/bins")


def test_a_base_changes_where_links_lead():
    found = only(page(b"<!doctype html><base href='/deep/'><p>x <a href='a'>A</a> <a href='a#b'>again</a>"))
    assert found.links == ((f"{SITE}/deep/a", "A"),)


def test_a_pdf_is_read():
    found = only(
        page(make_pdf([column(["Opening hours of the library"], 60, 700)]), "application/pdf", f"{SITE}/a.pdf")
    )
    assert (found.kind, "library" in found.blocks[0].text) == ("pdf", True)


@pytest.mark.parametrize(
    "data",
    [
        page(b"x", "image/png"),
        page(b"<h1>x</h1>", url="file:///etc/passwd"),
        page(b"<h1>x</h1>", url="javascript:alert(1)"),
        record(b"no answer", WARC_Target_URI=f"{SITE}/"),
        record(answer(b"x"), WARC_Type="revisit", WARC_Target_URI=f"{SITE}/"),
        record(answer(b"x").replace(b"200", b"404"), WARC_Target_URI=f"{SITE}/"),
        record(answer(b"x").replace(b"200", b"301"), WARC_Target_URI=f"{SITE}/"),
        record(b"resource", WARC_Type="resource", WARC_Target_URI=f"{SITE}/"),
    ],
)
def test_what_is_no_page_is_passed_over(data: bytes):
    assert walked(data) == []


@pytest.mark.parametrize(
    "data",
    [
        page(b"\x00\x01\x02" * 100),
        page(b""),
        page(b"%PDF-1.7 broken", "application/pdf"),
        page(b"no gzip", Content_Encoding="gzip"),
        page(b"<h1>x</h1>", Content_Encoding="br"),
    ],
)
def test_a_page_that_can_not_be_read_is_listed_without_text(data: bytes):
    found = only(data)
    assert (found.url, found.blocks, found.links) == (f"{SITE}/", (), ())


def test_a_page_without_text_keeps_its_title_and_its_links():
    found = only(page(b"<!doctype html><title>App</title><nav><a href=/more>More</a></nav><div id=app></div>"))
    assert (found.title, found.blocks, found.links) == ("App", (), ((f"{SITE}/more", "More"),))


def test_a_page_of_too_much_text_is_listed_without_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "TEXT_CHARS", 20)
    long = only(page(b"<!doctype html><title>Long</title><p>" + b"word " * 10))
    assert (long.title, long.blocks) == ("Long", ())
    monkeypatch.setattr(pages, "CONTENT_BYTES", 100)
    assert only(page(b"<!doctype html><title>Long</title><p>" + b"word " * 100)).title == ""


def test_a_date_that_is_none_counts_as_unknown():
    for date in ("", "yesterday", "9999999-01-01", "0001-01-01T00:00:00Z"):
        assert only(record(answer(b"<p>x"), WARC_Target_URI=f"{SITE}/", WARC_Date=date)).at == 0


def test_walking_again_begins_where_it_was_told_to_and_opens_nothing_unreadable():
    data = page(b"<p>one") + page(b"<p>two", url=f"{SITE}/2") + page(b"<p>three", url=f"{SITE}/3")
    two, three = walked(data, 1, frozenset({1}))
    assert isinstance(two, Read)
    assert isinstance(three, Read)
    assert (two.url, two.blocks, three.blocks[0].text) == (f"{SITE}/2", (), "three")


def test_a_damaged_file_is_refused_behind_its_sound_pages():
    with pytest.raises(WarcError):
        walked(page(b"<p>one") + b"rubbish")
