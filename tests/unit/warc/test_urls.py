"""One form for every address of a page, and none for what is no page."""

import pytest

from appliance.warc import urls


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        ("http://A.example", "", "http://a.example/"),
        ("HTTP://a.example:80/x#top", "", "http://a.example/x"),
        ("https://a.example:443/x", "", "https://a.example/x"),
        ("https://a.example:8443/x", "", "https://a.example:8443/x"),
        ("../b?q=1", "http://a.example/x/y", "http://a.example/b?q=1"),
        ("//b.example/z", "https://a.example/", "https://b.example/z"),
        ("http://例え.example/ごみ", "", "http://xn--r8jz45g.example/%E3%81%94%E3%81%BF"),
        ("http://a.example/a b", "", "http://a.example/a%20b"),
        ("http://a.example/%E3%81%94", "", "http://a.example/%E3%81%94"),
        ("http://a.example/../../etc/passwd", "", "http://a.example/etc/passwd"),
        ("http://[2001:DB8::1]/", "", "http://[2001:db8::1]/"),
    ],
)
def test_an_address_has_one_form(url: str, base: str, expected: str):
    found = urls.plain(url, base)
    assert found == expected
    assert urls.plain(found) == found


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "mailto:a@b.example", "ftp://a.example/", "",
        "relative", "http://", "http://user:pw@a.example/", "http://a.example:99999/", "http://[::1", "http://a b/",
        "http://" + "a" * 300 + "/", "http://a.example/" + "x" * 3000, "http://a..example/",
    ],
)  # fmt: skip
def test_what_is_no_page_has_none(url: str):
    assert urls.plain(url) is None


def test_the_place_is_host_and_port():
    assert urls.place_of("http://a.example/x") == urls.place_of("https://a.example/y") == "a.example"
    assert urls.place_of("http://a.example:81/x") == "a.example:81"
