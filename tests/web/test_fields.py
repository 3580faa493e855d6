"""The manual's table of fields, against what each address really does with them."""

from typing import Any

import pytest

from tests.simulators.box import Person
from webui import locales
from webui.dialects import fields
from webui.dialects.fields import Table
from webui.locales import Language

MESSAGES = [{"role": "user", "content": "[[words 2]] hi"}]
SMALLEST: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "talker", "messages": MESSAGES},
    "/v1/completions": {"model": "talker", "prompt": "[[words 2]] hi"},
    "/v1/responses": {"model": "talker", "input": "[[words 2]] hi"},
    "/v1/embeddings": {"model": "embedder", "input": "hi"},
    "/v1/rerank": {"model": "ranker", "query": "hi", "documents": ["hi"]},
    "/v1/messages": {"model": "talker", "messages": MESSAGES, "max_tokens": 20},
    "/api/chat": {"model": "talker", "messages": MESSAGES, "stream": False},
    "/api/generate": {"model": "talker", "prompt": "[[words 2]] hi", "stream": False},
    "/api/embed": {"model": "embedder", "input": "hi"},
    "/api/copy": {"source": "talker", "destination": "field-test"},
    "/api/delete": {"model": "field-test"},
    "/api/v1/chat": {"model": "talker", "input": "[[words 2]] hi"},
}
ASKED: dict[str, Any] = {
    "suffix": "x", "template": "x", "context": [1], "images": ["aGk="], "mcp_servers": [{"url": "x"}],
    "background": True, "conversation": "conv_1", "prompt": {"id": "pmpt_1"},
    "integrations": ["mcp/files"], "grammar": 'root ::= "yes"',
}  # fmt: skip
"""What asks for what the box can't do."""
FOR_OPERATORS = {"/api/copy", "/api/delete"}
NONSENSE: Any = [[{"no": ["such", "value"]}]]
CASES = [(table, name, fate) for table in fields.TABLES for name, fate in table.rows()]


def names(case: Any) -> str | None:
    return case.path if isinstance(case, Table) else None


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_the_manual_holds_the_table_as_the_code_has_it(language: Language) -> None:
    written = (fields.HELP / language / "fields.md").read_text("utf-8")
    assert written == fields.page(language), "run: python -m webui.dialects.fields"


@pytest.mark.parametrize(("table", "name", "fate"), CASES, ids=names)
def test_a_field_is_treated_as_the_table_says(table: Table, name: str, fate: str, bob: Person, alice: Person) -> None:
    plain = SMALLEST[table.path]
    value = ASKED[name] if fate == "refused" else NONSENSE
    who = alice if table.path in FOR_OPERATORS else bob
    answer = who.at(table.listener).open(f"/{table.path}", method=table.method, json=plain | {name: value})
    # Nonsense is noticed only by who looks at the field.
    assert answer.status_code == (200 if fate == "ignored" else 400), answer.get_data(as_text=True)[:300]
