"""The models of the box as everything above uses them: what there is, embeddings, token counts, chat."""

import base64
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from appliance.config import Settings
from appliance.errors import InferenceUnreachableError, ModelFailedError, ModelNotFoundError, WrongModelKindError
from appliance.gateway import schemas
from appliance.gateway.aliases import Aliases
from appliance.gateway.stream import ChatStream, RawStream
from appliance.inference.catalog import Catalog
from appliance.inference.client import InferenceClient, Waits
from appliance.inference.manifest import Manifest, ModelKind
from appliance.inference.transport import ChildConnection

Stopped = Callable[[], bool]
Vectors = NDArray[np.float32]
Allows = Callable[[str], bool]
TextKind = Literal["query", "passage"]

_EMBED_AT_ONCE = 256
"""Texts in one request to the engine: it sorts them by length, and a stop waits for one such batch at most."""


@dataclass(frozen=True)
class ModelInfo:
    """A model of the catalogue and how it is now; `memory_bytes` and `provider` are None unless it is loaded."""

    id: str
    name: str
    kind: ModelKind
    engine: str
    state: str
    languages: tuple[str, ...]
    context: int
    """Tokens that one answer or one text may have on this box."""
    size_bytes: int
    memory_bytes: int | None
    licence: str
    source: str
    sha256: str
    quantization: str
    size_class: str
    provider: str | None
    aliases: tuple[str, ...] = ()
    """Other names that programs may call it by."""
    parameters: int = 0
    """0 where it isn't known."""
    dimensions: int | None = None
    """Length of a vector; embedding models only."""


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What the box itself asks of a chat model."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    temperature: float = 0.7
    grammar: str | None = None
    """GBNF that the answer must follow."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As the engine's chat endpoint takes it."""
        body: dict[str, Any] = {
            "messages": list(self.messages),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            **self.extra,
        }
        if self.grammar:
            body["grammar"] = self.grammar
        return body


class Gateway:
    """Safe to share between threads; holds no connection between calls."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.inference
        self._catalog = Catalog(settings.models)
        self._client = InferenceClient(settings.inference_socket)
        self._bind("", lambda _model: True)
        self.aliases = Aliases(settings.model_aliases, self._catalog)

    def acting_for(self, who: str, allows: Allows) -> Self:
        """The same models as `who` may use them: waits in that one's turn, and knows no model that `allows` refuses.

        `allows` is asked with a model's id, never with an alias.
        """
        bound = copy.copy(self)
        bound._bind(who, allows)  # noqa: SLF001 - a copy of this very object
        return bound

    def _bind(self, who: str, allows: Allows) -> None:
        self._who, self._allows = who, allows

    # -- what there is

    def models(self) -> list[ModelInfo]:
        """Every readable model; all idle while the inference process can't be asked."""
        try:
            states = self._client.status()
        except InferenceUnreachableError:
            states = {}
        return [
            self._info(manifest, states.get(model, {}))
            for model, manifest in self._catalog.all().items()
            if self._allows(model)
        ]

    def model(self, name: str = "") -> ModelInfo:
        """One model as the catalogue has it, without asking the inference process; the chat default for no name.

        Raises:
            ModelNotFoundError: no such model.
        """
        return self._info(self._find(name or self._settings.chat_model), {})

    def load(self, model: str) -> None:
        """Load and keep loaded; returns when it answers."""
        self._client.load(self._find(model).id)

    def unload(self, model: str) -> None:
        """Free its memory once its running answers have ended."""
        self._client.unload(self._find(model).id)

    def _find(self, name: str) -> Manifest:
        """The model of that name, or the one that the alias of that name stands for.

        Raises:
            ModelNotFoundError: neither, or not for the one who asks.
        """
        manifest = self._catalog.get(self.aliases.resolve(name))
        if not self._allows(manifest.id):
            raise ModelNotFoundError(name=name[:100])
        return manifest

    def _info(self, manifest: Manifest, now: Mapping[str, Any]) -> ModelInfo:
        chat = manifest.kind == "chat"
        return ModelInfo(
            id=manifest.id,
            name=manifest.name,
            kind=manifest.kind,
            engine=manifest.engine,
            state=str(now.get("state", "idle")),
            languages=manifest.languages,
            context=min(manifest.context, self._settings.context_tokens) if chat else manifest.context,
            size_bytes=manifest.size,
            memory_bytes=now.get("memory_bytes") or None,
            licence=manifest.licence,
            source=manifest.source,
            sha256=manifest.files[manifest.entry].sha256,
            quantization=manifest.quantization,
            size_class=manifest.size_class,
            provider=now.get("provider"),
            aliases=self.aliases.of(manifest.id),
            parameters=manifest.parameters,
            dimensions=manifest.dimensions,
        )

    @contextmanager
    def _connected(
        self, manifest: Manifest, stopped: Stopped | None = None, waits: Waits | None = None
    ) -> Iterator[ChildConnection]:
        """A place at the model and a connection to it, both given back at the end."""
        with (
            self._client.lease(manifest.id, who=self._who, stopped=stopped, waits=waits) as lease,
            ChildConnection(lease.socket, lease.api_key, manifest.name) as connection,
        ):
            yield connection

    # -- embeddings

    def embed(self, texts: Sequence[str], kind: TextKind, *, stopped: Stopped | None = None) -> Vectors:
        """Vectors of the embedding model with its prefix for questions or passages: (n, dimensions), L2-normalised.

        Raises:
            CancelledError: `stopped` said so.
            ModelFailedError, BusyError, InferenceUnreachableError: no embedding now.
        """
        manifest = self._find(self._settings.embedding_model)
        prefix = manifest.query_prefix if kind == "query" else manifest.passage_prefix
        vectors, _tokens = self._embed(manifest, [prefix + text for text in texts], truncate=True, stopped=stopped)
        return vectors

    def embed_raw(
        self, model: str, texts: Sequence[str], *, truncate: bool = False, stopped: Stopped | None = None
    ) -> tuple[Vectors, int]:
        """Vectors of the texts as they are, and their tokens; for programs that bring their own prefixes.

        Raises:
            WrongModelKindError: not an embedding model.
            ContextTooLongError: a text is too long and `truncate` is off.
        """
        manifest = self._demand(model, "embedding")
        return self._embed(manifest, texts, truncate=truncate, stopped=stopped)

    def _embed(
        self, manifest: Manifest, texts: Sequence[str], *, truncate: bool, stopped: Stopped | None
    ) -> tuple[Vectors, int]:
        if not texts:
            return np.empty((0, manifest.dimensions or 0), np.float32), 0
        parts: list[Vectors] = []
        tokens = 0
        with self._connected(manifest, stopped) as connection:
            for start in range(0, len(texts), _EMBED_AT_ONCE):
                batch = list(texts[start : start + _EMBED_AT_ONCE])
                body = {"input": batch, "encoding_format": "base64", "truncate": truncate}
                answer = connection.json("/v1/embeddings", body, stopped)
                parts.append(_vectors(answer, manifest))
                tokens += int(answer["usage"]["prompt_tokens"])
        return np.concatenate(parts), tokens

    # -- tokens

    def count_tokens(
        self,
        texts: Sequence[str],
        model: str | None = None,
        *,
        stopped: Stopped | None = None,
        waits: Waits | None = None,
    ) -> list[int]:
        """Tokens of each text by the model's own vocabulary; the embedding model's for None.

        Raises:
            CancelledError: `stopped` said so, also while others have all the places at the model.
        """
        manifest = self._find(model or self._settings.embedding_model)
        if not texts:
            return []
        with self._connected(manifest, stopped, waits) as connection:
            if manifest.engine != "llama":
                answer = connection.json("/tokenize", {"texts": list(texts)}, stopped)
                return [int(count) for count in answer["counts"]]
            return [len(connection.json("/tokenize", {"content": text}, stopped)["tokens"]) for text in texts]

    def count_prompt(self, model: str, body: Mapping[str, Any], *, stopped: Stopped | None = None) -> int:
        """Tokens that the messages, and tools, of a chat's body have once they are in the model's own form.

        Raises:
            WrongModelKindError: not a chat model.
            BadInputError: the engine refuses the messages.
        """
        manifest = self._demand(model, "chat")
        with self._connected(manifest, stopped) as connection:
            if manifest.engine != "llama":
                texts = [str(message.get("content") or "") for message in body["messages"]]
                answer = connection.json("/tokenize", {"texts": texts}, stopped)
                return sum(int(count) for count in answer["counts"])
            prompt = connection.json("/apply-template", schemas.harmless(body), stopped)["prompt"]
            asked = {"content": prompt, "add_special": True, "parse_special": True}
            return len(connection.json("/tokenize", asked, stopped)["tokens"])

    # -- chat

    def chat(self, request: ChatRequest, *, stopped: Stopped | None = None, waits: Waits | None = None) -> ChatStream:
        """Start an answer; read it as pieces of text and close it."""
        body = request.body() | {"stream_options": {"include_usage": True}}
        return ChatStream(self.open(request.model, body, stopped=stopped, waits=waits), request.model)

    def open(
        self, model: str, body: Mapping[str, Any], *, stopped: Stopped | None = None, waits: Waits | None = None
    ) -> RawStream:
        """Start an answer and pass the engine's own event stream on, byte for byte.

        Raises:
            WrongModelKindError: not a chat model.
            ContextTooLongError, BadInputError: the engine refuses the request.
            CancelledError: `stopped` said so while waiting.
            ModelFailedError, ModelQuarantinedError, BusyError, InferenceUnreachableError: no answer now.
        """
        return self._open("/v1/chat/completions", model, body, stopped, waits)

    def complete(self, model: str, body: Mapping[str, Any], *, stopped: Stopped | None = None) -> RawStream:
        """Let a chat model go on with `body`'s bare `prompt`: no roles, no template; else as `open`."""
        return self._open("/v1/completions", model, body, stopped, None)

    def _open(
        self, path: str, model: str, body: Mapping[str, Any], stopped: Stopped | None, waits: Waits | None
    ) -> RawStream:
        manifest = self._demand(model, "chat")
        asked = schemas.harmless(body)
        lease = self._client.lease(manifest.id, who=self._who, stopped=stopped, waits=waits)
        try:
            connection = ChildConnection(lease.socket, lease.api_key, manifest.name)
        except BaseException:
            lease.close()
            raise
        stream = RawStream(lease, connection, stopped)
        try:
            connection.send(path, {**asked, "stream": True})
            connection.begin(stopped)
        except BaseException:
            stream.close()
            raise
        return stream

    def _demand(self, model: str, kind: ModelKind) -> Manifest:
        manifest = self._find(model)
        if manifest.kind != kind:
            raise WrongModelKindError(name=manifest.name)
        return manifest


def _vectors(answer: dict[str, Any], manifest: Manifest) -> Vectors:
    try:
        rows = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in answer["data"]]
        vectors: Vectors = np.stack(rows).astype(np.float32, copy=False)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFailedError(f"embedding answer: {error!r}", name=manifest.name) from error
    if vectors.shape[1] != manifest.dimensions:
        raise ModelFailedError(f"{vectors.shape[1]} dimensions", name=manifest.name)
    return vectors
