"""Robots' rules as RFC 9309 has them."""

import pytest

from appliance.bundle.publish.web.robots import Robots

HOST = "http://a.example"


def allows(text: str, path: str, agent: str = "hako-capture") -> bool:
    return Robots(text, agent).allows(HOST + path)


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("Disallow: /", "/", False),
        ("Disallow:", "/", True),
        ("Disallow: /a", "/abc", False),
        ("Disallow: /a", "/b/a", True),
        ("Disallow: /a/\nAllow: /a/b", "/a/b", True),
        ("Allow: /a/b\nDisallow: /a/", "/a/c", False),
        ("Disallow: /a\nAllow: /a", "/a", True),
        ("Disallow: /*.pdf$", "/x/y.pdf", False),
        ("Disallow: /*.pdf$", "/x/y.pdf?z", True),
        ("Disallow: /*?print=", "/x?print=1", False),
        ("Disallow: /ごみ", "/%E3%81%94%E3%81%BF", False),
        ("Disallow: /%E3%81%94", "/%E3%81%94%E3%81%BF", False),
        ("Disallow: /a%2fb", "/a/b", False),
        ("DISALLOW : /a # not for robots", "/a", False),
        ("Disallow: " + "/*" * 2000 + "x", "/" + "a/" * 900, True),
    ],
)
def test_the_longest_rule_counts(rules: str, path: str, expected: bool):
    assert allows(f"User-agent: *\n{rules}\n", path) is expected


def test_an_own_group_counts_before_that_of_all():
    text = "User-agent: *\nDisallow: /\n\nUser-Agent: other\nUser-agent: Hako-Capture\nAllow: /\nDisallow: /no\n"
    assert allows(text, "/x")
    assert not allows(text, "/no")
    assert not allows(text, "/x", "somebody")


def test_groups_of_one_name_are_one():
    text = "User-agent: hako-capture\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: hako-capture\nDisallow: /c"
    assert [allows(text, path) for path in ("/a", "/b", "/c")] == [False, True, False]


def test_the_wish_for_a_delay_is_heard_and_bounded():
    assert Robots("User-agent: *\nCrawl-delay: 2.5", "x").delay_s == 2.5
    assert Robots("User-agent: *\nCrawl-delay: 9999", "x").delay_s == 60
    assert Robots("User-agent: *\nCrawl-delay: -1e9", "x").delay_s == 0


@pytest.mark.parametrize("text", ["", "<html>not found</html>", "Disallow: /", "\ufeff# only words", "\0" * 1000])
def test_what_holds_no_rules_allows_everything(text: str):
    found = Robots(text, "x")
    assert (found.allows(HOST + "/a"), found.has_rules) == (True, False)
