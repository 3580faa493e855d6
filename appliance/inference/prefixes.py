"""What embedding models want to have put before a question and before a passage, by what they are called.

No file format says it. Without it such a model finds worse, and nobody sees why.
"""

import re
from typing import Final, NamedTuple


class Prefixes(NamedTuple):
    """Empty for a model that wants the bare text."""

    query: str
    passage: str

    def unless(self, query: str | None, passage: str | None) -> "Prefixes":
        """These, but where a person said another one; an empty one counts."""
        return Prefixes(self.query if query is None else query, self.passage if passage is None else passage)


NONE: Final = Prefixes("", "")

_REPRESENT: Final = "Represent this sentence for searching relevant passages: "
_KNOWN: Final[tuple[tuple[str, Prefixes], ...]] = (
    (r"ruri-v3", Prefixes("検索クエリ: ", "検索文書: ")),
    (r"ruri", Prefixes("クエリ: ", "文章: ")),
    (r"e5(?!-mistral)", Prefixes("query: ", "passage: ")),
    (r"nomic-embed-text", Prefixes("search_query: ", "search_document: ")),
    (r"embedding-?gemma", Prefixes("task: search result | query: ", "title: none | text: ")),
    (r"arctic-embed-[a-z]+-v2|arctic-embed2", Prefixes("query: ", "")),
    (r"arctic-embed|mxbai-embed|bge-[a-z]+-en", Prefixes(_REPRESENT, "")),
)
"""As their makers' model cards say; the first that fits. Source: model cards of the families named."""


def of(*names: str) -> Prefixes:
    """Those of the first family that one of the names speaks of; bare text for a model that nobody knows."""
    plain = [re.sub(r"[ _]", "-", name.lower()) for name in names]
    for family, prefixes in _KNOWN:
        if any(re.search(rf"(?<![a-z0-9])(?:{family})(?![a-z0-9])", name) for name in plain):
            return prefixes
    return NONE
