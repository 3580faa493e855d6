"""A visitor of a soaked box: a browser or a program that comes again and again, and notes all that it sees."""

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from tests.simulators.served import PASSWORD
from tests.soak.record import Record

WELL: Final = frozenset({200, 201, 202, 204, 303})
_PATIENCE_S: Final = 180.0
_BODY_CHARS: Final = 300


@dataclass(frozen=True)
class Place:
    """What all visitors know: the box, where to note things, when to go home, and the base that is there already."""

    url: str
    record: Record
    over: threading.Event
    sample_base: str


class Visitor:
    """One HTTP client with a name, a language, and luck of its own that is the same in each run."""

    def __init__(self, place: Place, name: str, language: str = "ja", key: str = "") -> None:
        headers = {"Accept-Language": language, **({"Authorization": f"Bearer {key}"} if key else {})}
        self.place, self.name, self.language = place, name, language
        self.luck = random.Random(name)
        self._http = httpx2.Client(base_url=place.url, headers=headers, timeout=_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def record(self) -> Record:
        return self.place.record

    def sign_in(self, password: str = PASSWORD, well: Collection[int] = (303,)) -> None:
        self.send("sign-in", "POST", "/sign-in", well, data={"name": self.name, "password": password})

    def send(self, what: str, method: str, path: str, well: Collection[int] = WELL, **more: Any) -> httpx2.Response:
        """Any other status than those of `well` is a trouble. `what` is the name under which it is timed."""
        began = time.monotonic()
        response = self._http.request(method, path, **more)
        self.record.took(what, time.monotonic() - began)
        if response.status_code not in well:
            said = response.text[:_BODY_CHARS].replace("\n", " ")
            self.record.trouble(f"{self.name}: {method} {path} answered {response.status_code}: {said}")
        return response

    def get(self, what: str, path: str) -> Any:
        return self.send(what, "GET", path).json()

    def post(self, what: str, path: str, body: object) -> Any:
        response = self.send(what, "POST", path, json=body)
        return response.json() if response.content else None

    @contextlib.contextmanager
    def events(self, method: str, path: str, body: object = None) -> Iterator[Iterator[tuple[str, Any]]]:
        """Server-sent events as they come; leaving the block early hangs up."""
        accept = {"Accept": "text/event-stream"}
        with self._http.stream(method, path, json=body, headers=accept) as response:
            if response.status_code not in WELL:
                response.read()
                said = response.text[:_BODY_CHARS]
                self.record.trouble(f"{self.name}: {method} {path} answered {response.status_code}: {said}")
                yield iter(())
            else:
                yield _events(response.iter_lines())

    def listen(
        self, what: str, events: Iterator[tuple[str, Any]], is_text: Callable[[str, Any], bool], most: int
    ) -> int:
        """Read up to `most` pieces of text, note how long the first took, and return how many there were."""
        began, seen = time.monotonic(), 0
        for kind, data in events:
            if kind == "error" or (isinstance(data, dict) and data.get("error")):
                self.record.trouble(f"{self.name}: {what} broke off: {data}")
            if is_text(kind, data):
                if not seen:
                    self.record.took(f"first token {what}", time.monotonic() - began)
                seen += 1
                if seen >= most or self.place.over.is_set():
                    break
        self.record.count(f"{what}, cut off" if seen >= most or self.place.over.is_set() else what)
        return seen

    def rest(self, seconds: float) -> None:
        """Think about as long; shorter once it is over."""
        self.place.over.wait(seconds * self.luck.uniform(0.5, 1.5))


def come_and_go(place: Place, name: str, act: Callable[[], None], every_s: float) -> threading.Thread:
    """Have `act` done again and again until it is over. What it raises is a trouble, and it goes on with the next."""

    def live() -> None:
        while not place.over.is_set():
            try:
                act()
            except Exception as error:  # noqa: BLE001 - any is a finding
                place.record.trouble(f"{name}: {type(error).__name__}: {str(error)[:_BODY_CHARS]}")
            place.record.count(f"rounds of {name}")
            place.over.wait(every_s)

    thread = threading.Thread(target=live, name=name, daemon=True)
    thread.start()
    return thread


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    kind = "message"
    for line in lines:
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: {"):
            yield kind, json.loads(line[6:])
        elif not line:
            kind = "message"
