"""LM Studio's `/api/v1/chat`: one question, or the next one of a chat, answered as a whole or event by event."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

from flask import Blueprint, Response, request

from appliance import clock
from appliance.accounts.permissions import Permission
from appliance.apps import runs
from appliance.errors import CancelledError, HakoError, WrongModelKindError
from appliance.gateway import pictures
from appliance.gateway.gateway import ModelInfo
from appliance.gateway.waited import Waited
from webui import connection, routing, sse
from webui.dialects import base_run, headers, lmstudio_errors, openai_base, opening
from webui.dialects.base_run import Left, Turn
from webui.dialects.lmstudio_answer import Reply
from webui.dialects.lmstudio_request import ChatBody
from webui.dialects.lmstudio_state import Conversation
from webui.dialects.responses_run import EngineRun, followed
from webui.locales import Language
from webui.routing import Call
from webui.sse import Comment, Event

api = Blueprint("chat", __name__)

Told = Iterator[Event | Comment | None]

_STEP_S: Final = 0.5
"""Between two events of how far a model's loading has come."""


@routing.route(api, "POST", "/chat", permission=Permission.CHAT, body=ChatBody)
def chat(call: Call, body: ChatBody) -> Response:
    left = connection.watcher(request.environ)
    conversation = Conversation(call, body)  # refuses what the box can't do, before anything is loaded
    with ExitStack() as held:
        held.enter_context(routing.place(call))
        asking = _Asking(call, body, conversation, left, held)
        reply, told = asking.begin()
        told = _kept(told, reply, conversation)
        if body.stream:
            frames = sse.frames(_events(reply, told, call.language), left)
            response = sse.response(frames, held.pop_all().close)
        else:
            for _ in told:
                pass
            response = routing.answer(reply.result())
    return headers.told(response, asking.run) if asking.run else response


class _Asking:
    """One answer's way from the question on; what it holds, also later, is given back when `held` is closed."""

    def __init__(self, call: Call, body: ChatBody, conversation: Conversation, left: Left, held: ExitStack) -> None:
        self._call, self._body, self._left, self._held = call, body, left, held
        self._messages = conversation.messages
        self.run: EngineRun | None = None
        """The engine's, where it has been asked already."""

    def begin(self) -> tuple[Reply, Told]:
        """The answer's writer and its events.

        Raises:
            HakoError: why there will be no answer, as far as that is clear before the first event.
        """
        call, wanted = self._call, self._body.model
        if base_run.is_base(wanted):
            writer = base_run.ask(call, wanted, [Turn.of(message) for message in self._messages])
            self._held.callback(writer.stop)
            reply = Reply(wanted, call.gateway.model())
            return reply, reply.events(openai_base.chunks(writer, wanted, self._left))
        model = call.gateway.model(wanted)
        if model.kind != "chat":
            raise WrongModelKindError(name=model.name)
        reply = Reply(model.id, model)
        asked = self._body.as_engine(self._messages)
        if _is_loaded(call, model):
            # Before the first event, so that what the engine refuses is an answer's status and not an event.
            self.run = self._asked(model, asked)
            self.run.wait(within_s=sse.HEARTBEAT_S if self._body.stream else None)
            return reply, reply.events(self.run.chunks())
        _, seen = pictures.checked(asked)
        if model.engine != "remote":
            pictures.demand_sight(model, seen)  # before it is loaded for nothing
        return reply, self._loaded_first(reply, model, asked)

    def _asked(self, model: ModelInfo, asked: dict[str, Any]) -> EngineRun:
        run = self._held.enter_context(EngineRun(self._call.gateway, model.id, asked, self._left))
        self._held.callback(self._call.services.audit.record, self._call.who.name, "api-chat", model.id)
        return run

    def _loaded_first(self, reply: Reply, model: ModelInfo, asked: dict[str, Any]) -> Told:
        yield from reply.load_begins()
        yield from self._loading(model, reply)
        yield from reply.load_ended()
        yield from reply.events(self._asked(model, asked).chunks())

    def _loading(self, model: ModelInfo, reply: Reply) -> Told:
        """Until the model is in memory; others may want it too, and more than it has places for."""
        waited = Waited()

        def load(sink: runs.Writer) -> None:
            self._call.gateway.count_tokens([""], model.id, stopped=sink.stopped, waits=waited.told)
            sink.emit("done")

        writer = runs.write_apart(load)
        self._held.callback(writer.stop)
        news = opening.News(waited)
        steps = _Steps(self._call, model)
        for happened in followed(writer, self._left):
            if happened is None:
                yield news.look() if waited.now() else None
                if fraction := steps.look():
                    yield reply.load_goes_on(fraction)


class _Steps:
    """How far a model's loading has come, as often as it is worth an event."""

    def __init__(self, call: Call, model: ModelInfo) -> None:
        self._call, self._model = call, model
        self._last = 0.0
        self._at = clock.monotonic()

    def look(self) -> float | None:
        """A share that is larger than the last one, if it is time to tell."""
        if clock.monotonic() - self._at < _STEP_S:
            return None
        self._at = clock.monotonic()
        now = self._call.services.models.running().get(self._model.id, {}).get("loading")
        if now is None or now["fraction"] <= self._last:
            return None
        self._last = now["fraction"]
        return self._last


def _is_loaded(call: Call, model: ModelInfo) -> bool:
    return any(known.id == model.id and known.state == "loaded" for known in call.gateway.models())


def _kept(told: Told, reply: Reply, conversation: Conversation) -> Told:
    yield from told
    conversation.keep(reply)


def _events(reply: Reply, told: Told, language: Language) -> Told:
    """The whole stream; an error in the middle is an event, and what was written until then ends it."""
    yield reply.start()
    try:
        yield from told
    except CancelledError:
        return
    except HakoError as error:
        yield Event("error", {"type": "error", **lmstudio_errors.body(error, error.status, language)})
    yield reply.end()
