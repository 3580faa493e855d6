"""The models of the box as everything above uses them: what there is, embeddings, reranking, token counts, chat."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ChatTooLongError, ContextTooLongError
from appliance.gateway import answers, calls, caps, counting, embedding, native, pictures, schemas, tool_choice
from appliance.gateway.chat_request import ChatRequest
from appliance.gateway.info import ModelInfo
from appliance.gateway.known_models import KnownModels
from appliance.gateway.prefixes import Keeping
from appliance.gateway.remote import estimate, estimate_prompt
from appliance.gateway.stream import ChatStream, RawStream
from appliance.gateway.waited import Waited
from appliance.inference.client import Lease, Waits
from appliance.inference.manifest import Manifest
from appliance.inference.transport import ChildConnection, Stopped

__all__ = ["ChatRequest", "Gateway", "ModelInfo", "TextKind", "Vectors"]

Vectors = NDArray[np.float32]
TextKind = Literal["query", "passage"]

_EMBED_AT_ONCE = 256
"""Texts in one request to the engine: it sorts them by length, and a stop waits for one such batch at most."""

_RERANK_AT_ONCE = 64
"""Pairs in one request to the engine, each as long as a model's context: an engine must not be silent too long."""


class Gateway(KnownModels):
    """Safe to share between threads; holds no connection between calls."""

    @contextmanager
    def _connected(
        self, manifest: Manifest, stopped: Stopped | None = None, waits: Waits | None = None, *, aside: bool = False
    ) -> Iterator[ChildConnection]:
        """A place at the model, or `aside` of its places, and a connection to it, both given back at the end."""
        with (
            self._lease(manifest, stopped, waits, aside=aside) as lease,
            ChildConnection(lease.socket, lease.api_key, manifest.name) as connection,
        ):
            yield connection

    def _lease(self, manifest: Manifest, stopped: Stopped | None, waits: Waits | None, *, aside: bool = False) -> Lease:
        return self._client.lease(
            manifest.id, who=self._who, client=self._by, stopped=stopped, waits=waits, aside=aside
        )

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
                answer = embedding.ask(connection, batch, truncate=truncate, stopped=stopped)
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

        Those of a model of another machine are only estimated, rather too high.

        Raises:
            WrongModelKindError: not a chat model.
            BadInputError: the engine refuses the messages.
            NoVisionError, PictureError, …: see `pictures`.
        """
        asked, seen = pictures.checked(schemas.harmless(body))
        choice = tool_choice.read(asked)
        if self._elsewhere(model, "chat"):
            return estimate_prompt(choice.applied(asked))
        manifest = self._demand(model, "chat")
        pictures.demand_sight(manifest, seen)
        asked = calls.for_engine(choice, asked, manifest.engine)
        with self._connected(manifest, stopped, aside=counting.is_aside(manifest, sees=bool(seen))) as connection:
            if choice.mode == "required":
                asked = calls.told(asked, manifest.engine, connection, stopped)
            return counting.prompt_tokens(connection, manifest, asked, stopped)

    # -- chat

    def chat(self, request: ChatRequest, *, stopped: Stopped | None = None, waits: Waits | None = None) -> ChatStream:
        """Start an answer; read it piece by piece and close it.

        Too long a chat loses its beginning, unless the model's overflow policy says otherwise.

        Raises:
            ChatTooLongError: it would lose it, but for that policy.
            HakoError: as `open`.
        """
        body = request.body() | {"stream_options": {"include_usage": True}}
        try:
            raw = self._open("/v1/chat/completions", request.model, body, stopped, Waited(waits), own=True)
        except ContextTooLongError as error:
            policy = self.load_settings.get(self.aliases.resolve(request.model)).overflow
            if policy == "stop" and request.is_follow_up:
                raise ChatTooLongError(error.detail, **error.params) from error
            raise
        return ChatStream(raw, request.model)

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
        self,
        path: str,
        model: str,
        body: Mapping[str, Any],
        stopped: Stopped | None,
        waited: Waited | None,
        *,
        own: bool = False,
    ) -> RawStream:
        """`own`: the box itself asks, in one of its chats."""
        asked, seen = pictures.checked(schemas.harmless(body))
        choice = tool_choice.read(asked)
        far = self._elsewhere(model, "chat")
        if far and self.remote:
            native.demand(asked, "remote")
            asked, lowered = self._capped(asked, far.id)
            remote = self.remote.open(far, path, choice.applied(asked), self._who, stopped, rolls=own)
            remote.lowered = lowered
            return remote
        manifest = self._demand(model, "chat")
        asked, lowered = self._capped(asked, manifest.id)
        pictures.demand_sight(manifest, seen)
        native.demand(asked, manifest.engine)
        asked = calls.for_engine(choice, asked, manifest.engine)
        waited = waited or Waited()
        lease = self._lease(manifest, stopped, waited.told)
        waited.end()
        try:
            connection = ChildConnection(lease.socket, lease.api_key, manifest.name)
        except BaseException:
            lease.close()
            raise
        keeping = Keeping(lease, self._prefixes)
        stream = calls.stream(choice, keeping, connection, stopped, waited, manifest.name)
        stream.lowered = lowered
        try:
            if choice.mode == "required":
                asked = calls.told(asked, manifest.engine, connection, stopped)
            usual = self.load_settings.get(manifest.id).overflow_of("rolling" if own else "stop")
            asked, policy = counting.policy(asked, usual)
            room = self._context_now(manifest) if policy != "stop" else 0
            asked, stream.left_out = counting.fitted(connection, manifest, asked, policy, room, stopped, strict=not own)
            connection.send(path, {**asked, "stream": True})
            connection.begin(stopped)
        except BaseException as error:
            stream.close()
            calls.blame(error, body)
            raise
        keeping.body = asked
        return stream

    def _capped(self, body: dict[str, Any], model: str) -> tuple[dict[str, Any], dict[str, int]]:
        """The body within the operator's caps, and what they have lowered; the box's own work has none."""
        if not self._who:
            return body, {}
        own = self.load_settings.get(model).max_tokens
        most = self._settings.max_tokens if own is None else own
        return caps.lowered(body, most, self._settings.max_top_logprobs)

    def _context_now(self, manifest: Manifest) -> int:
        """Tokens of one answer as the model is loaded, which may be under settings that have changed since."""
        wished = self.load_settings.get(manifest.id).context_of(manifest.context, self._settings)
        return int(self._client.status().get(manifest.id, {}).get("context") or wished)
