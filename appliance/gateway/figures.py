"""What a model does on this very box: measured by asking it, kept, and put into words of people and seconds."""

import contextlib
import json
import statistics
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from appliance import clock, durable, logs
from appliance.config import Settings
from appliance.errors import BusyError, CancelledError, ModelFailedError, WrongModelKindError
from appliance.gateway import quoting
from appliance.gateway.gateway import ChatRequest, Gateway, ModelInfo
from appliance.inference import speculation
from appliance.inference.catalog import Catalog
from appliance.inference.circumstances import circumstances
from appliance.inference.client import InferenceClient, Trial
from appliance.inference.load_settings import LoadSettings
from appliance.inference.speculation import Gains

log = logs.get(__name__)

Stopped = Callable[[], bool]
Stage = Literal["loading", "quoting", "alone", "long", "together", "embedding"]

_PROMPT_WORDS: Final = 160
_NUMBERS: Final = 997
"""Different ones in prompts."""
_ANSWER_TOKENS: Final = 48
_FEWEST_TOKENS: Final = 4
"""Fewer than that have no speed."""
_ROUNDS: Final = 3
_PASSAGES: Final = 64

QUESTION_TOKENS: Final = 1500
"""A question with the passages found for it."""
ANSWER_TOKENS: Final = 250
EVERY_SECONDS: Final = 180
"""How often somebody who works with the box asks."""
LONG_TOKENS: Final = 4000
_LEAST_LONG_TOKENS: Final = 1000
"""Fewer than that say little about a question of 4,000: reading gets slower with every token."""
_LONG_S: Final = 60.0
"""A slow box gets a long question that is shorter."""
_MARGIN: Final = 0.9
"""Of a context, for how much longer a prompt may come out than it was reckoned."""
_SETTLE_S: Final = 20.0
_LOOK_S: Final = 0.2
MEASURED_KINDS: Final = ("chat", "embedding")
_BUSY_SHARE: Final = 0.7
"""Above that much of its time taken, the queue grows faster than people like."""


@dataclass(frozen=True)
class Figures:
    """Speeds of one model; zero where its kind has none. All are wall-clock: what else runs on the box counts."""

    sha256: str
    """Of the model's main file: figures of another file are not these."""
    measured_at: float
    """Seconds since the epoch."""
    read_per_s: float
    """Tokens of a prompt that it takes in."""
    write_per_s: float
    """Tokens that one answer grows by."""
    together: int
    """Answers at once in the last measurement."""
    together_per_s: float
    """Tokens that so many answers grow by, added up."""
    passages_per_s: float
    """Passages of about 100 tokens that an embedding model takes in."""
    long_tokens: int = 0
    """Of the long question that was measured; 0 where the context holds none."""
    long_s: float = 0.0
    """Until it had been read."""
    context: int = 0
    """Tokens that the model held of one answer then."""
    circumstances: str = ""
    """See `inference.circumstances`; empty in what an earlier release measured."""
    quoting_gain: float = 0.0
    """How many times as fast an answer that quotes is written with guesses as without; 0 where it wasn't measured.
    Read by `inference.speculation` too."""
    other_gain: float = 0.0
    """The same of an answer that quotes nothing."""


@dataclass(frozen=True)
class Capacity:
    """What the figures mean; see the constants above for what a person does."""

    people: int
    """Who can work with it at the same time without waiting much."""
    at_once: int
    each_per_s: float
    """Tokens per second that each of so many answers grows by."""
    long_wait_s: float | None
    """Until a question of 4,000 tokens has been read; None where the context doesn't hold one."""
    question_tokens: int = QUESTION_TOKENS
    answer_tokens: int = ANSWER_TOKENS
    every_s: int = EVERY_SECONDS
    long_tokens: int = LONG_TOKENS
    busy_share: float = _BUSY_SHARE


@dataclass(frozen=True)
class Known:
    """What was measured last of a model's present file."""

    figures: Figures | None = None
    is_stale: bool = False
    """How it is loaded, the engine, the adapter or the machine has changed since: these are no longer its speeds."""

    @property
    def capacity(self) -> Capacity | None:
        """What the figures mean, as long as they hold."""
        return capacity(self.figures) if self.figures and not self.is_stale else None

    @property
    def guesses(self) -> bool:
        """Whether it is run with guesses where the operator leaves that to the box; also when the rest is stale."""
        return bool(self.figures and Gains(self.figures.quoting_gain, self.figures.other_gain).pays)


@dataclass(frozen=True)
class Change:
    """How many times as fast as another model one is; 1 for as fast."""

    read: float
    write: float


_FILE: Final = TypeAdapter(dict[str, Figures])


def capacity(figures: Figures) -> Capacity | None:
    """None for a model that doesn't chat."""
    if not figures.read_per_s or not figures.together_per_s:
        return None
    reads = figures.long_tokens / figures.long_s if figures.long_tokens and figures.long_s else figures.read_per_s
    taken = QUESTION_TOKENS / reads + ANSWER_TOKENS / figures.together_per_s
    holds_long = figures.context >= LONG_TOKENS and figures.long_tokens >= _LEAST_LONG_TOKENS
    return Capacity(
        people=max(1, int(EVERY_SECONDS * _BUSY_SHARE / taken)),
        at_once=figures.together,
        each_per_s=round(figures.together_per_s / figures.together, 1),
        long_wait_s=round(LONG_TOKENS / reads, 1) if holds_long else None,
    )


def change(before: Figures, after: Figures) -> Change | None:
    """What a chat model has over another one; None where one of them has no speed."""
    if not before.read_per_s or not before.write_per_s:
        return None
    return Change(
        read=round(after.read_per_s / before.read_per_s, 1), write=round(after.write_per_s / before.write_per_s, 1)
    )


class Benchmark:
    """Asks the models through the gateway as anybody does, so that what it finds is what people get."""

    def __init__(self, settings: Settings, gateway: Gateway) -> None:
        self._settings = settings
        self._path = settings.model_figures
        self._catalog = Catalog(settings.models)
        self._client = InferenceClient(settings.inference_socket)
        self._gateway = gateway
        self._lock = threading.Lock()

    def known(self, model: str) -> Known:
        """What was measured last, and whether it still holds; nothing where the model's file is another one.

        Raises:
            ModelNotFoundError: no such model.
        """
        info = self._gateway.model(model)
        return self._of(info, self._stored())

    def all_known(self) -> list[tuple[ModelInfo, Known]]:
        """Every model of the box that can be measured, with what was measured last."""
        stored = self._stored()
        own = [info for info in self._gateway.models() if info.kind in MEASURED_KINDS and info.engine != "remote"]
        return [(info, self._of(info, stored)) for info in own]

    def measure(self, model: str, stopped: Stopped) -> Iterator[Stage | Figures]:
        """Tells each stage as it begins, and at last the figures, which are kept. Takes seconds to minutes.

        Raises:
            WrongModelKindError: neither a chat nor an embedding model.
            BusyError: it was set otherwise, and others keep it from being loaded so, or somebody else measures it.
            CancelledError: `stopped` said so.
        """
        info = self._gateway.model(model)
        if info.kind not in MEASURED_KINDS:
            raise WrongModelKindError(name=info.name)
        yield "loading"
        wish = self._gateway.load_settings.get(info.id)
        figures = Figures(info.sha256, clock.now(), 0, 0, 0, 0, 0)
        with contextlib.ExitStack() as held:
            if info.kind == "embedding":
                self._embed(info.id, stopped)
                self._settled(info.id, stopped)
                yield "embedding"
                figures = _with(figures, passages_per_s=statistics.median(self._embed(info.id, stopped) for _ in "123"))
            else:
                self._ask(info.id, 0, stopped)
                if info.engine == speculation.ENGINE:
                    trial = held.enter_context(self._client.trial(info.id))
                    yield "quoting"
                    gains = self._gains(info, trial, stopped)
                    # The other speeds are those that it is run with from now on.
                    wish = wish.model_copy(update={"speculation": speculation.resolved(wish.speculation, gains)})
                    trial.use(speculation.resolved(wish.speculation, gains))
                    figures = replace(figures, quoting_gain=gains.quoting, other_gain=gains.other)
                figures = yield from self._measure_chat(info, figures, stopped)
            figures = replace(figures, circumstances=self._circumstances(info.id, wish))
            self._keep(info.id, figures)
        yield figures

    def _measure_chat(self, info: ModelInfo, figures: Figures, stopped: Stopped) -> Generator[Stage, None, Figures]:
        now = self._settled(info.id, stopped)
        yield "alone"
        alone = [self._ask(info.id, number, stopped) for number in range(1, _ROUNDS + 1)]
        figures = _with(
            figures,
            read_per_s=statistics.median(read for read, _ in alone),
            write_per_s=statistics.median(write for _, write in alone),
        )
        yield "long"
        context = int(now.get("context") or info.context)
        long_tokens, long_s = self._read_long(info.id, context, figures.read_per_s, stopped)
        figures = replace(figures, context=context, long_tokens=long_tokens, long_s=round(long_s, 3))
        yield "together"
        together = int(now.get("parallel") or 1)
        return _with(figures, together=together, together_per_s=self._all(info.id, together, stopped))

    def _gains(self, info: ModelInfo, trial: Trial, stopped: Stopped) -> Gains:
        """What guessing gains; what was measured last where others keep the model from being loaded otherwise."""
        paces: list[quoting.Pace] = []
        for way in speculation.WAYS:
            trial.use(way)
            try:
                now = self._settled(info.id, stopped)
            except BusyError:
                before = self._of(info, self._stored()).figures
                return Gains(before.quoting_gain, before.other_gain) if before else Gains()
            if int(now.get("context") or 0) < quoting.CONTEXT:
                return Gains()
            self._ask(info.id, 0, stopped)  # the first answer after a load is slower
            paces.append(quoting.written(lambda talk: self._pace(info.id, talk, stopped), *paces))
        plain, guessing = paces
        return guessing.gains(plain)

    def _settled(self, model: str, stopped: Stopped) -> dict[str, Any]:
        """How it is loaded, once that is as it is set now: a change is followed as soon as nobody uses the model.

        Raises:
            HakoError: why it can't be loaded.
        """
        deadline = clock.monotonic() + _SETTLE_S
        while True:
            now = self._client.status().get(model, {})
            if now.get("state") == "loaded" and not now.get("outdated"):
                return now
            if now.get("state") == "loading":
                deadline = clock.monotonic() + _SETTLE_S
            elif now.get("state") != "loaded":
                self._client.lease(model, stopped=stopped, aside=True).close()  # loads it, or says why not
            if stopped():
                raise CancelledError("stopped while a model is loaded")
            if clock.monotonic() > deadline:
                raise BusyError("loaded otherwise", retry_after_s=30)
            time.sleep(_LOOK_S)

    def _pace(self, model: str, talk: quoting.Talk, stopped: Stopped) -> float | None:
        request = ChatRequest(model=model, messages=talk, max_tokens=quoting.TOKENS, temperature=0)
        with self._gateway.chat(request, stopped=stopped) as stream:
            times = [clock.monotonic() for _piece in stream]
        if stream.tokens < quoting.FEWEST_TOKENS or times[-1] <= times[0]:
            return None
        return (stream.tokens - 1) / (times[-1] - times[0])

    def _ask(self, model: str, number: int, stopped: Stopped) -> tuple[float, float]:
        """Tokens per second read and written. Prompts differ from their first word on: nothing is in a cache."""
        began = clock.monotonic()
        times, prompt_tokens = self._answered(model, _prompt(number, _PROMPT_WORDS), stopped)
        return prompt_tokens / (times[0] - began), (len(times) - 1) / max(times[-1] - times[0], 1e-6)

    def _read_long(self, model: str, context: int, read_per_s: float, stopped: Stopped) -> tuple[int, float]:
        """Tokens of a question as long as the context, the longest one that counts and the time allow, and its wait."""
        room = min(_MARGIN * (context - _ANSWER_TOKENS), LONG_TOKENS, _LONG_S * read_per_s)
        # All of the numbers, since a short prompt's have fewer digits than a long one's.
        tokens = self._gateway.count_tokens([_prompt(_ROUNDS + 1, _NUMBERS)], model, stopped=stopped)[0]
        words = int(room * _NUMBERS / max(1, tokens))
        if words <= _PROMPT_WORDS:
            return 0, 0.0
        began = clock.monotonic()
        times, prompt_tokens = self._answered(model, _prompt(_ROUNDS + 1, words), stopped, _FEWEST_TOKENS)
        return prompt_tokens, times[0] - began

    def _all(self, model: str, together: int, stopped: Stopped) -> float:
        """Tokens per second of so many answers at once, from the first token of the last one to begin."""
        stories = [f"{number} friends. Tell a long story about them." for number in range(together)]
        with ThreadPoolExecutor(together) as pool:
            all_times = list(pool.map(lambda story: self._answered(model, story, stopped)[0], stories))
        begin, end = max(times[0] for times in all_times), min(times[-1] for times in all_times)
        if end <= begin:  # so quick that they never overlapped
            begin, end = min(times[0] for times in all_times), max(times[-1] for times in all_times)
        written = sum(begin < at <= end for times in all_times for at in times)
        return written / max(end - begin, 1e-6)

    def _answered(
        self, model: str, text: str, stopped: Stopped, tokens: int = _ANSWER_TOKENS
    ) -> tuple[list[float], int]:
        """When each token came, and how many the prompt had."""
        request = ChatRequest(
            model=model,
            messages=[{"role": "user", "content": text}],
            max_tokens=tokens,
            temperature=0,
            extra={"ignore_eos": True},
        )
        with self._gateway.chat(request, stopped=stopped) as stream:
            times = [clock.monotonic() for _piece in stream]
        if len(times) < _FEWEST_TOKENS:
            raise ModelFailedError(f"{len(times)} tokens", name=model)
        return times, stream.prompt_tokens or 0

    def _embed(self, model: str, stopped: Stopped) -> float:
        texts = [" ".join(f"{(place * 31 + word) % _NUMBERS}" for word in range(50)) for place in range(_PASSAGES)]
        began = clock.monotonic()
        self._gateway.embed_raw(model, texts, truncate=True, stopped=stopped)
        return _PASSAGES / (clock.monotonic() - began)

    def _stored(self) -> dict[str, Figures]:
        try:
            return _FILE.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            log.warning("figures_unreadable", kind=type(error).__name__)
            return {}

    def _keep(self, model: str, figures: Figures) -> None:
        with self._lock:
            known = {**self._stored(), model: figures}
            content = {name: asdict(kept) for name, kept in known.items()}
            durable.replace(self._path, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")

    def _of(self, info: ModelInfo, stored: dict[str, Figures]) -> Known:
        figures = stored.get(info.id)
        if not figures or figures.sha256 != info.sha256:
            return Known()
        wish = self._gateway.load_settings.get(info.id)
        return Known(figures, figures.circumstances != self._circumstances(info.id, wish))

    def _circumstances(self, model: str, wish: LoadSettings) -> str:
        return circumstances(self._catalog.get(model), self._catalog.folder(model), self._settings, wish)


def _prompt(number: int, words: int) -> str:
    said = " ".join(f"{(number * 7919 + place) % _NUMBERS}" for place in range(words))
    return f"{said}. Tell a long story about these numbers."


def _with(figures: Figures, **more: float) -> Figures:
    rounded = {name: round(value, 1) for name, value in more.items()}
    return Figures(**{**asdict(figures), **rounded})
