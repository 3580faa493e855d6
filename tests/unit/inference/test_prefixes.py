"""What goes before questions and passages, by the names under which models go around."""

import pytest

from appliance.inference import prefixes

E5 = ("query: ", "passage: ")
REPRESENT = ("Represent this sentence for searching relevant passages: ", "")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("multilingual-e5-small", E5),
        ("Multilingual E5 large", E5),
        ("e5-base-v2.Q8_0.gguf", E5),
        ("e5-mistral-7b-instruct", prefixes.NONE),
        ("tree5-model", prefixes.NONE),
        ("ruri-v3-310m-q8_0.gguf", ("検索クエリ: ", "検索文書: ")),
        ("cl-nagoya_ruri-base", ("クエリ: ", "文章: ")),
        ("ruri-large-v2", ("クエリ: ", "文章: ")),
        ("nomic-embed-text-v1.5.Q4_K_M.gguf", ("search_query: ", "search_document: ")),
        ("embeddinggemma-300m-qat", ("task: search result | query: ", "title: none | text: ")),
        ("snowflake-arctic-embed-l-v2.0", ("query: ", "")),
        ("snowflake-arctic-embed-m", REPRESENT),
        ("mxbai-embed-large-v1-f16.gguf", REPRESENT),
        ("bge-small-en-v1.5", REPRESENT),
        ("bge-m3-Q8_0.gguf", prefixes.NONE),
        ("Qwen3-Embedding-0.6B", prefixes.NONE),
        ("all-MiniLM-L6-v2", prefixes.NONE),
    ],
)
def test_families_are_known_by_their_names(name: str, wanted: tuple[str, str]) -> None:
    assert prefixes.of(name) == wanted
    assert prefixes.of("model", name) == wanted


def test_the_first_family_that_fits_counts() -> None:
    assert prefixes.of("ruri-v3-30m", "e5") == ("検索クエリ: ", "検索文書: ")
    assert prefixes.of() == prefixes.NONE
