"""What becomes of each field that clients send: the manual's table, written by `python -m webui.dialects.fields`.

Honoured is what the body's class takes in; what clients of the field are known to send beside that is ignored, or
refused where leaving it out would change the answer's meaning. A test sends each of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel

from appliance.config import Listener
from webui import locales
from webui.dialects import (
    anthropic_request,
    completions_request,
    lmstudio_request,
    ollama_embed,
    ollama_manage,
    ollama_models,
    ollama_request,
    openai_embeddings,
    openai_request,
    rerank,
    responses_request,
)
from webui.locales import Language

HELP: Final = Path(__file__).parent.parent / "help"
_PAGE: Final = "fields"


@dataclass(frozen=True)
class Table:
    """The fields of one address, beside those that its body's class names."""

    path: str
    body: type[BaseModel]
    ignored: tuple[str, ...] = ()
    refused: tuple[str, ...] = field(default=())
    """Also those that the class knows only in order to refuse them."""
    listener: Listener = "main"
    """Where the address is."""
    method: Literal["POST", "DELETE"] = "POST"

    def rows(self) -> Iterator[tuple[str, str]]:
        """Name and fate of every field: the honoured ones in the order of the class, then the others sorted."""
        for name, info in self.body.model_fields.items():
            if name not in self.refused and name not in self.ignored:
                yield info.alias or name, "honoured"
        for name in sorted(self.ignored):
            yield name, "ignored"
        for name in sorted(self.refused):
            yield name, "refused"


TABLES: Final = (
    Table(
        "/v1/chat/completions",
        openai_request.ChatBody,
        ignored=(
            "user", "metadata", "store", "service_tier", "functions", "function_call", "modalities",
            "audio", "prediction", "web_search_options", "prompt_cache_key", "safety_identifier", "verbosity",
            "keep_alive", "draft_model", "cache_prompt",
        ),
        refused=("grammar",),
    ),
    Table(
        "/v1/completions",
        completions_request.CompletionBody,
        ignored=("user",),
        refused=("suffix",),
    ),
    Table(
        "/v1/responses",
        responses_request.ResponsesBody,
        ignored=(
            "context_management", "max_tool_calls", "moderation", "prompt_cache_key", "prompt_cache_options",
            "prompt_cache_retention", "safety_identifier", "service_tier", "stream_options", "user",
        ),
        refused=("background", "conversation", "prompt"),
    ),
    Table("/v1/embeddings", openai_embeddings.EmbeddingBody, ignored=("user",)),
    Table(
        "/v1/rerank",
        rerank.RerankBody,
        ignored=(
            "rank_fields", "max_chunks_per_doc", "max_tokens_per_doc", "priority", "truncate", "truncation",
            "truncation_direction", "user",
        ),
    ),
    Table(
        "/v1/messages",
        anthropic_request.MessagesBody,
        ignored=("metadata", "service_tier", "container", "inference_geo", "cache_control"),
        refused=("mcp_servers",),
    ),
    Table("/api/chat", ollama_request.ChatBody, ignored=("shift", "truncate")),
    Table(
        "/api/generate",
        ollama_request.GenerateBody,
        ignored=("shift", "truncate"),
        refused=("context", "suffix", "template"),
    ),
    Table("/api/embed", ollama_embed.EmbedBody, ignored=("options",)),
    Table("/api/copy", ollama_manage.CopyBody),
    Table("/api/delete", ollama_models.ModelBody, method="DELETE"),
    Table(
        "/api/v1/chat",
        lmstudio_request.ChatBody,
        ignored=("context_length",),
        refused=("integrations",),
        listener="lmstudio",
    ),
)  # fmt: skip


def page(language: Language) -> str:
    """The manual's page."""
    lines = [f"# {locales.t('help.fields.title', language)}", "", locales.t("help.fields.about", language)]
    heads = [locales.t(f"help.fields.{name}", language) for name in ("field", "fate")]
    for table in TABLES:
        lines += ["", f"## {table.method} {table.path}", "", f"| {heads[0]} | {heads[1]} |", "|---|---|"]
        lines += [f"| `{name}` | {locales.t('help.fields.' + fate, language)} |" for name, fate in table.rows()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page in every language."""
    for language in locales.LANGUAGES:
        (HELP / language / f"{_PAGE}.md").write_text(page(language), "utf-8")


if __name__ == "__main__":
    main()
