"""Markdown: blocks of CommonMark with tables, titles from front matter."""

from tests.simulators.documents import read, shapes


def found(text: str) -> list[tuple[str, str]]:
    return shapes(read(text.encode(), "a.md"))


def test_blocks_of_every_kind() -> None:
    text = "# 規程\n\n本文の\n続き\n\n- 一\n- 二\n  1. 内側\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n"
    assert found(text) == [
        ("h1", "規程"),
        ("paragraph", "本文の続き"),
        ("list", "- 一\n- 二\n  1. 内側"),
        ("table", "| a | b |\n| 1 | 2 |"),
        ("code", "code"),
    ]


def test_links_and_emphasis_are_read_as_their_words() -> None:
    assert found("See **the** [rules](http://a/b) and `code`.") == [("paragraph", "See the rules and code.")]


def test_the_title_of_the_front_matter_wins() -> None:
    document = read("---\ntitle: '社内規程'\n---\n# 見出し\n".encode(), "a.md")
    assert (document.title, shapes(document)) == ("社内規程", [("h1", "見出し")])


def test_html_inside_is_read_as_html() -> None:
    assert found("<p>本文<script>x</script></p>\n") == [("paragraph", "本文")]


def test_quotes_nested_beyond_reason_keep_their_words() -> None:
    assert found("> " * 5000 + "本文") == [("paragraph", "本文")]


def test_a_long_text_becomes_several_sections() -> None:
    document = read(("# A\n\n" + "文。" * 2000 + "\n\n# B\n\nend\n").encode(), "a.md")
    assert [page.number for page in document.pages] == list(range(1, len(document.pages) + 1))
    assert all(sum(len(block.text) for block in page.blocks) < 6000 for page in document.pages)
    assert document.pages[-1].blocks[0].text == "B"
