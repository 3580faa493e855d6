"""Imports of ONNX models' folders for `/models/import`: what may be said of one, and how a plan is described."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints

from appliance.errors import BadInputError
from appliance.inference import genai, onnx_importing
from appliance.inference.engine import Pooling
from appliance.inference.genai_importing import GenaiPlan, IncomingGenai
from appliance.inference.importing import Incoming
from appliance.inference.onnx_importing import FolderPlan, FolderWish, IncomingOnnx
from webui import shapes
from webui.api.models import describe_estimate

AnyIncoming = Incoming | IncomingOnnx | IncomingGenai

Prefix = Annotated[str, StringConstraints(max_length=200), AfterValidator(shapes.one_line)]


class FolderPart(shapes.Shape):
    """What only a person can say of an embedding model or a reranker; found out where it is left out.

    `last` pools GGUF models only.
    """

    kind: Literal["embedding", "reranker"] | None = None
    pooling: Pooling | None = None
    query_prefix: Prefix | None = None
    passage_prefix: Prefix | None = None

    def folder_wish(
        self, path: str, licence: str, source: str, languages: tuple[str, ...], name: str, *, link: bool
    ) -> FolderWish:
        """As the importer takes it."""
        if self.pooling == "last":
            raise BadInputError("for GGUF models only", field="pooling")
        return FolderWish(
            path=path,
            licence=licence,
            source=source,
            languages=languages,
            name=name,
            link=link,
            kind=self.kind,
            pooling=self.pooling,
            query_prefix=self.query_prefix,
            passage_prefix=self.passage_prefix,
        )


def describe_chat(plan: GenaiPlan) -> dict[str, Any]:
    """As that of a GGUF file's plan, with the operators beside it."""
    return {
        "model": plan.model,
        "name": plan.name,
        "kind": "chat",
        "architecture": plan.config.architecture,
        "vocabulary": "tokenizer.json",
        "parameters": plan.header.parameters,
        "quantization": plan.header.quantization,
        "context": plan.config.context,
        "languages": list(plan.languages),
        "stated_licence": "",
        "chat_template": plan.has_template,
        "projector": None,
        "size_bytes": plan.size,
        "size_class": plan.size_class,
        "estimate": describe_estimate(plan.estimate),
        "engines": [genai.ENGINE],
        "smaller": [],
        "operators": dict(plan.header.operators),
    }


def describe(plan: FolderPlan) -> dict[str, Any]:
    """In the fields of a chat model's plan, and what is to be known of vectors beside them."""
    header, role = plan.header, plan.role
    return {
        "model": plan.model,
        "name": plan.name,
        "kind": role.kind,
        "architecture": plan.config.architecture,
        "vocabulary": "SentencePiece",
        "parameters": header.parameters,
        "quantization": header.quantization,
        "context": plan.config.context,
        "languages": list(plan.languages),
        "stated_licence": "",
        "chat_template": False,
        "projector": None,
        "size_bytes": plan.size,
        "size_class": "small",
        "estimate": describe_estimate(plan.estimate),
        "engines": [onnx_importing.ENGINE],
        "smaller": [],
        "dimensions": role.dimensions or None,
        "pooling": plan.pooling if role.kind == "embedding" and not role.pooled else None,
        "query_prefix": plan.query_prefix,
        "passage_prefix": plan.passage_prefix,
        "operators": dict(header.operators),
    }
