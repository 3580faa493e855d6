"""The models of the box as everything above uses them: what there is, embeddings, reranking, token counts, chat."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from appliance.config import Settings
from appliance.errors import ElsewhereError, InferenceUnreachableError, ModelNotFoundError, WrongModelKindError
from appliance.gateway import answers, calls, counting, pictures, schemas, tool_choice
from appliance.gateway.aliases import Aliases
from appliance.gateway.info import ModelInfo, of_own, of_remote
from appliance.gateway.prefixes import Keeping, Prefixes
from appliance.gateway.remote import Remote, RemoteModel, estimate
from appliance.gateway.stream import ChatStream, RawStream
from appliance.gateway.waited import Waited
from appliance.inference.catalog import Catalog
from appliance.inference.client import InferenceClient, Waits
from appliance.inference.load_settings import LoadSettingsStore
from appliance.inference.manifest import Manifest, ModelKind
from appliance.inference.transport import ChildConnection

__all__ = ["ChatRequest", "Gateway", "ModelInfo", "TextKind", "Vectors"]

Stopped = Callable[[], bool]
Vectors = NDArray[np.float32]
Allows = Callable[[str], bool]
TextKind = Literal["query", "passage"]

_EMBED_AT_ONCE = 256
"""Texts in one request to the engine: it sorts them by length, and a stop waits for one such batch at most."""

_RERANK_AT_ONCE = 64
"""Pairs in one request to the engine, each as long as a model's context: an engine must not be silent too long."""


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

    def __init__(self, settings: Settings, remote: Remote | None = None) -> None:
        """`remote`: the models of other machines, if they may be used by this process."""
        self._settings = settings.inference
        self._catalog = Catalog(settings.models)
        self._client = InferenceClient(settings.inference_socket)
        self._bind("", lambda _model: True)
        self._prefixes = Prefixes()
        self.remote = remote
        self.load_settings = LoadSettingsStore(settings.model_settings, self._catalog)
        self.aliases = Aliases(settings.model_aliases, self._catalog, self._is_remote)

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
        own = [
            self._info(manifest, states.get(model, {}))
            for model, manifest in self._catalog.all().items()
            if self._allows(model)
        ]
        far = self.remote.all() if self.remote else []
        return own + [self._info_elsewhere(model) for model in far if self._allows(model.id)]

    def model(self, name: str = "") -> ModelInfo:
        """One model as the catalogue has it, without asking the inference process; the chat default for no name.

        Raises:
            ModelNotFoundError: no such model.
        """
        wanted = name or self._chat_default()
        far = self._elsewhere(wanted)
        return self._info_elsewhere(far) if far else self._info(self._find(wanted), {})

    def _chat_default(self) -> str:
        """The box's chat model; for who may not use it, the first chat model that they may."""
        default = self._settings.chat_model
        if self._allows(self.aliases.resolve(default)):
            return default
        own = (model for model, manifest in self._catalog.all().items() if manifest.kind == "chat")
        return next((model for model in own if self._allows(model)), default)

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
            ElsewhereError: a model of another machine, which has nothing here but its name.
        """
        if far := self._elsewhere(name):
            raise ElsewhereError(name=far.id)
        manifest = self._catalog.get(self.aliases.resolve(name))
        if not self._allows(manifest.id):
            raise ModelNotFoundError(name=name[:100])
        return manifest

    def _is_remote(self, model: str) -> bool:
        return self.remote is not None and self.remote.find(model) is not None

    def _elsewhere(self, name: str, kind: ModelKind | None = None) -> RemoteModel | None:
        """The model of that name or alias if another machine has it, of that kind; None if none of them does."""
        far = self.remote.find(self.aliases.resolve(name)) if self.remote else None
        if far and not self._allows(far.id):
            raise ModelNotFoundError(name=name[:100])
        if far and kind not in (None, far.kind):
            raise WrongModelKindError(name=far.id)
        return far

    def _info_elsewhere(self, model: RemoteModel) -> ModelInfo:
        state = self.remote.state(model) if self.remote else "failed"
        return of_remote(model, state, self.aliases.of(model.id))

    def _info(self, manifest: Manifest, now: Mapping[str, Any]) -> ModelInfo:
        wish = self.load_settings.get(manifest.id)
        context = wish.context_of(manifest.context, self._settings) if manifest.kind == "chat" else manifest.context
        return of_own(manifest, now, context, self.aliases.of(manifest.id))

    @contextmanager
    def _connected(
        self, manifest: Manifest, stopped: Stopped | None = None, waits: Waits | None = None, *, aside: bool = False
    ) -> Iterator[ChildConnection]:
        """A place at the model, or `aside` of its places, and a connection to it, both given back at the end."""
        with (
            self._client.lease(manifest.id, who=self._who, stopped=stopped, waits=waits, aside=aside) as lease,
            ChildConnection(lease.socket, lease.api_key, manifest.name) as connection,
        ):
            yield connection

    # -- embeddings

    def embed(
        self, texts: Sequence[str], kind: TextKind, *, stopped: Stopped | None = None, waits: Waits | None = None
    ) -> Vectors:
        """Vectors of the embedding model with its prefix for questions or passages: (n, dimensions), L2-normalised.

        Raises:
            CancelledError: `stopped` said so.
            ModelFailedError, BusyError, InferenceUnreachableError: no embedding now.
        """
        manifest = self._find(self._settings.embedding_model)
        prefix = manifest.query_prefix if kind == "query" else manifest.passage_prefix
        whole = [prefix + text for text in texts]
        return self._embed(manifest, whole, truncate=True, stopped=stopped, waits=waits)[0]

    def embed_raw(
        self, model: str, texts: Sequence[str], *, truncate: bool = False, stopped: Stopped | None = None
    ) -> tuple[Vectors, int]:
        """Vectors of the texts as they are, and their tokens; for programs that bring their own prefixes.

        Raises:
            WrongModelKindError: not an embedding model.
            ContextTooLongError: a text is too long and `truncate` is off.
        """
        far = self._elsewhere(model, "embedding")
        if far and self.remote:
            return self.remote.embed(far, texts, self._who, stopped)
        manifest = self._demand(model, "embedding")
        return self._embed(manifest, texts, truncate=truncate, stopped=stopped, waits=None)

    def _embed(
        self, manifest: Manifest, texts: Sequence[str], *, truncate: bool, stopped: Stopped | None, waits: Waits | None
    ) -> tuple[Vectors, int]:
        if not texts:
            return np.empty((0, manifest.dimensions or 0), np.float32), 0
        parts: list[Vectors] = []
        tokens = 0
        with self._connected(manifest, stopped, waits) as connection:
            for start in range(0, len(texts), _EMBED_AT_ONCE):
                batch = list(texts[start : start + _EMBED_AT_ONCE])
                body = {"input": batch, "encoding_format": "base64", "truncate": truncate}
                answer = connection.json("/v1/embeddings", body, stopped)
                parts.append(answers.vectors(answer, manifest))
                tokens += int(answer["usage"]["prompt_tokens"])
        return np.concatenate(parts), tokens

    # -- reranking

    def rerank(
        self,
        model: str,
        query: str,
        documents: Sequence[str],
        *,
        raw: bool = False,
        stopped: Stopped | None = None,
    ) -> tuple[list[float], int]:
        """How well each document fits the query, in their order, and the tokens that were read for it.

        Scores lie between 0 and 1, unless `raw` asks for the model's own logits. What is too long is cut.

        Raises:
            WrongModelKindError: not a reranker.
            CancelledError: `stopped` said so.
            ModelFailedError, BusyError, InferenceUnreachableError: no scores now.
        """
        self._elsewhere(model, "reranker")  # no other machine's model is one, so theirs are of the wrong kind
        manifest = self._demand(model, "reranker")
        scores: list[float] = []
        tokens = 0
        if not documents:
            return scores, tokens
        with self._connected(manifest, stopped) as connection:
            for start in range(0, len(documents), _RERANK_AT_ONCE):
                batch = list(documents[start : start + _RERANK_AT_ONCE])
                body = {"query": query, "documents": batch, "raw": raw}
                answer = connection.json("/v1/rerank", body, stopped)
                scores += answers.scores(answer, len(batch), manifest)
                tokens += int(answer["usage"]["prompt_tokens"])
        return scores, tokens

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

        Those of a model of another machine are only estimated, rather too high.

        Raises:
            CancelledError: `stopped` said so, also while others have all the places where the engine needs one.
        """
        wanted = model or self._settings.embedding_model
        if self._elsewhere(wanted):
            return estimate(texts)
        manifest = self._find(wanted)
        if not texts:
            return []
        with self._connected(manifest, stopped, waits, aside=counting.is_aside(manifest)) as connection:
            return counting.text_tokens(connection, manifest, texts, stopped)

    def count_prompt(self, model: str, body: Mapping[str, Any], *, stopped: Stopped | None = None) -> int:
        """Tokens that the messages, and tools, of a chat's body have once they are in the model's own form.

        Raises:
            WrongModelKindError: not a chat model.
            BadInputError: the engine refuses the messages.
            NoVisionError, PictureError, …: see `pictures`.
        """
        asked, seen = pictures.checked(schemas.harmless(body))
        choice = tool_choice.read(asked)
        manifest = self._demand(model, "chat")
        pictures.demand_sight(manifest, seen)
        asked = calls.for_engine(choice, asked, manifest.engine)
        with self._connected(manifest, stopped, aside=counting.is_aside(manifest, sees=bool(seen))) as connection:
            if choice.mode == "required":
                asked = calls.told(asked, manifest.engine, connection, stopped)
            return counting.prompt_tokens(connection, manifest, asked, stopped)

    # -- chat

    def chat(self, request: ChatRequest, *, stopped: Stopped | None = None, waits: Waits | None = None) -> ChatStream:
        """Start an answer; read it as pieces of text and close it."""
        body = request.body() | {"stream_options": {"include_usage": True}}
        return ChatStream(self.open(request.model, body, stopped=stopped, waited=Waited(waits)), request.model)

    def open(
        self, model: str, body: Mapping[str, Any], *, stopped: Stopped | None = None, waited: Waited | None = None
    ) -> RawStream:
        """Start an answer and pass the engine's own event stream on, byte for byte. `waited` learns of the wait.

        Raises:
            WrongModelKindError: not a chat model.
            ContextTooLongError: too much, also when the model's overflow policy has left out what it may.
            BadInputError: the engine refuses the request.
            NoVisionError, PictureError, …: pictures that it can't be shown, see `pictures`.
            CancelledError: `stopped` said so while waiting.
            ModelFailedError, ModelQuarantinedError, BusyError, InferenceUnreachableError: no answer now.
        """
        return self._open("/v1/chat/completions", model, body, stopped, waited)

    def complete(
        self, model: str, body: Mapping[str, Any], *, stopped: Stopped | None = None, waited: Waited | None = None
    ) -> RawStream:
        """Let a chat model go on with `body`'s bare `prompt`: no roles, no template; else as `open`."""
        return self._open("/v1/completions", model, body, stopped, waited)

    def _open(
        self, path: str, model: str, body: Mapping[str, Any], stopped: Stopped | None, waited: Waited | None
    ) -> RawStream:
        asked, seen = pictures.checked(schemas.harmless(body))
        choice = tool_choice.read(asked)
        far = self._elsewhere(model, "chat")
        if far and self.remote:
            return self.remote.open(far, path, choice.applied(asked), self._who, stopped)
        manifest = self._demand(model, "chat")
        pictures.demand_sight(manifest, seen)
        asked = calls.for_engine(choice, asked, manifest.engine)
        waited = waited or Waited()
        lease = self._client.lease(manifest.id, who=self._who, stopped=stopped, waits=waited.told)
        waited.end()
        try:
            connection = ChildConnection(lease.socket, lease.api_key, manifest.name)
        except BaseException:
            lease.close()
            raise
        keeping = Keeping(lease, self._prefixes)
        stream = calls.stream(choice, keeping, connection, stopped, waited, manifest.name)
        try:
            if choice.mode == "required":
                asked = calls.told(asked, manifest.engine, connection, stopped)
            policy = self.load_settings.get(manifest.id).overflow
            room = self._context_now(manifest) if policy != "stop" else 0
            asked, stream.left_out = counting.fitted(connection, manifest, asked, policy, room, stopped)
            connection.send(path, {**asked, "stream": True})
            connection.begin(stopped)
        except BaseException as error:
            stream.close()
            calls.blame(error, body)
            raise
        keeping.body = asked
        return stream

    def _context_now(self, manifest: Manifest) -> int:
        """Tokens of one answer as the model is loaded, which may be under settings that have changed since."""
        wished = self.load_settings.get(manifest.id).context_of(manifest.context, self._settings)
        return int(self._client.status().get(manifest.id, {}).get("context") or wished)

    def _demand(self, model: str, kind: ModelKind) -> Manifest:
        manifest = self._find(model)
        if manifest.kind != kind:
            raise WrongModelKindError(name=manifest.name)
        return manifest
