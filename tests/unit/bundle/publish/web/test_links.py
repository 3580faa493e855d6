"""What a page leads to and consists of, and what it asks of robots."""

import pytest

from appliance.bundle.publish.web import links

URL = "http://a.example/dir/page"


def found(html: str, content_type: str = "text/html", robots: str = "") -> links.Found:
    return links.of_page(html.encode(), URL, content_type, robots)


def test_links_pictures_and_styles_are_found():
    page = found(
        "<title> The\n page </title><base href='/x/'><a href='a#b'>1</a><a href='a'>2</a><area href=b><iframe src=c>"
        "</iframe><meta http-equiv=Refresh content='5; URL=d'><img src=i.png><link rel='stylesheet' href=s.css>"
        "<link rel=icon href=f.ico><a href='mailto:x@y'>m</a><a href='javascript:x()'>j</a><a href=''>e</a><a>n</a>"
    )
    site = "http://a.example/x/"
    assert (page.title, page.pages) == ("The page", tuple(site + name for name in ("d", "a", "b", "c")))
    assert page.parts == tuple(site + name for name in ("i.png", "s.css", "f.ico"))


def test_a_style_sheet_has_parts():
    style = b"@import 'other.css'; a { background: url( \"i.png\" ) } b { background: url(data:x) } c{src:url(/f)}"
    assert links.of_style(style, URL) == (
        "http://a.example/dir/other.css", "http://a.example/dir/i.png", "http://a.example/f",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("meta", "header", "keep", "follow"),
    [
        ("", "", True, True),
        ("noindex", "", True, True),
        ("NOARCHIVE", "", False, True),
        ("nofollow", "", True, False),
        ("none", "", False, False),
        ("", "noarchive, nofollow", False, False),
    ],
)
def test_robots_are_told_by_the_page_too(meta: str, header: str, keep: bool, follow: bool):
    page = found(f"<meta name=Robots content='{meta}'>", robots=header)
    assert (page.may_keep, page.may_follow) == (keep, follow)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ("<title>ごみ</title>".encode("cp932"), "text/html; charset=Shift_JIS"),
        ("<meta charset=euc-jp><title>ごみ</title>".encode("euc_jp"), "text/html"),
        ("<title>ごみ</title>".encode(), "text/html; charset=nonsense"),
    ],
)
def test_a_title_is_read_in_the_pages_own_encoding(data: bytes, content_type: str):
    assert links.of_page(data, URL, content_type, "").title == "ごみ"


def test_rubbish_leads_nowhere():
    assert found("\0\xff<<<>>>").pages == ()
