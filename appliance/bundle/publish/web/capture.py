"""Captures pages of a web site into the folder of a snapshot, politely and within limits; a cut-off one goes on."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import appliance
from appliance import clock, durable
from appliance.bundle.publish.web import links
from appliance.bundle.publish.web.fetching import Fetched, Fetcher, LeftOutError
from appliance.bundle.publish.web.frontier import Due, Frontier
from appliance.bundle.publish.web.journal import Done, Journal, Wish
from appliance.bundle.publish.web.robots import LONGEST, Robots
from appliance.errors import CaptureEmptyError, CaptureOtherError
from appliance.warc import urls
from appliance.warc.manifest import FILE_NAME, Left, Manifest, RobotsSaid, Stopped, Title, file_of, line_of
from appliance.warc.message import Answer, content
from appliance.warc.records import WarcError
from appliance.warc.writer import WarcWriter

_KINDS: Final = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/plain": "text",
    "text/markdown": "text",
    "application/pdf": "pdf",
    "text/css": "css",
}
_BUSY: Final = frozenset({429, 503})
_REDIRECTS: Final = 5
_LONGEST_WAIT_S: Final = 60.0
_EXAMPLES: Final = 200

Tell = Callable[[Done], None]


def capture(folder: Path, wish: Wish, tell: Tell = lambda _done: None) -> Manifest:
    """Capture into `<folder>/<wish.name>`, or go on with what was cut off there; returns the snapshot's manifest.

    `tell` is called with each address that is done.

    Raises:
        CaptureOtherError: there is something else in its place.
        CaptureEmptyError: not one page could be kept; nothing is left behind.
        DiskFullError: no room; it can be gone on with.
    """
    inside = folder / wish.name
    folder.mkdir(parents=True, exist_ok=True)
    is_begun = (folder / f"{wish.name}.capture").exists()
    if (inside / FILE_NAME).exists() or (inside.exists() and not is_begun):
        raise CaptureOtherError("the folder is not empty", name=wish.name)
    with Journal(folder, wish, clock.now()) as journal:
        inside.mkdir(exist_ok=True)
        run = _Run(inside, wish, journal, tell)
        stopped = run.go()
        if not any(done.kept and not done.part and done.robots is None and not done.moved for done in journal.done):
            shutil.rmtree(inside)
            journal.remove()
            raise CaptureEmptyError(name=wish.name)
        manifest = _manifest(inside, wish, journal, stopped)
        durable.replace(inside / FILE_NAME, manifest.model_dump_json(indent=1).encode() + b"\n")
        journal.remove()
    return manifest


class _Run:
    """One run of a capture."""

    def __init__(self, inside: Path, wish: Wish, journal: Journal, tell: Tell) -> None:
        self._inside, self._wish, self._journal, self._tell = inside, wish, journal, tell
        self._frontier = Frontier(wish, journal.done)
        self._robots: dict[str, Robots | None] = {}
        self._last: dict[str, float] = {}

    def go(self) -> Stopped:
        """Until nothing is left, or a limit is reached: which one."""
        wish, until = self._wish, clock.monotonic() + self._wish.seconds
        about = [
            ("software", f"Hako {appliance.__version__}"),
            ("format", "WARC File Format 1.1"),
            ("operator", wish.by),
            ("http-header-user-agent", wish.agent),
            ("robots", "obey"),
        ]
        fetcher = Fetcher(wish.agent, allow_private=wish.allow_private, most_bytes=wish.file_bytes)
        try:
            writer = WarcWriter(self._inside, wish.name, about, self._journal.place)
        except FileNotFoundError as error:
            raise CaptureOtherError("its files are gone", name=wish.name) from error
        with fetcher, writer:
            self._fetcher, self._writer = fetcher, writer
            while (due := self._frontier.next()) is not None:
                if clock.monotonic() >= until:
                    return "time"
                if self._frontier.size >= wish.total_bytes:
                    return "size"
                self._note(self._one(due))
        return "pages" if self._frontier.has_pages else ""

    def _note(self, done: Done) -> None:
        self._journal.add(done)
        self._frontier.learn(done)
        self._tell(done)

    def _one(self, due: Due) -> Done:
        """Fetch one address, and keep it if it may be kept."""
        plain = Done(url=due.url, depth=due.depth, part=due.part)
        try:
            robots = self._rules(due.url)
            if robots is None or not robots.allows(due.url):
                return plain.model_copy(update={"why": "robots"})
            return self._kept(plain, self._fetch(due.url, robots.delay_s))
        except LeftOutError as left:
            return plain.model_copy(update={"why": left.why})

    def _kept(self, plain: Done, fetched: Fetched) -> Done:
        answer = fetched.answer
        if 300 <= answer.status < 400:
            location = answer.headers.get("location", "")
            to = urls.plain(location, plain.url) if location else None
            if to is None or not self._frontier.is_inside(to):
                raise LeftOutError("outside")
            place = self._writer.write(fetched.exchange)
            return plain.model_copy(update={"kept": True, "moved": to, "file": place.number, "end": place.size})
        found = self._found(plain.url, answer)
        if found is not None and not found.may_keep:
            followed = found.pages if found.may_follow else ()
            return plain.model_copy(update={"why": "noarchive", "pages": followed})
        place = self._writer.write(fetched.exchange)
        said: dict[str, Any] = {"kept": True, "file": place.number, "end": place.size, "size": len(answer.body)}
        if found is not None:
            said |= {"title": found.title, "pages": found.pages if found.may_follow else (), "parts": found.parts}
        return plain.model_copy(update=said)

    def _found(self, url: str, answer: Answer) -> links.Found | None:
        """What a page or a style sheet leads to."""
        try:
            body = content(answer, links.LONGEST)
        except WarcError:
            return None
        kind = _KINDS.get(answer.mime)
        if kind == "html":
            said = answer.headers
            return links.of_page(body, url, said.get("content-type", ""), said.get("x-robots-tag", ""))
        if kind == "css":
            return links.Found("", (), links.of_style(body, url), may_keep=True, may_follow=True)
        return None

    def _fetch(self, url: str, delay_s: float) -> Fetched:
        """Fetch it in its turn, and once more if the host is busy."""
        for attempt in range(2):
            self._wait(url, delay_s)
            fetched = self._fetcher.get(url, self._is_wanted)
            if fetched.answer.status not in _BUSY:
                return fetched
            if attempt == 0:
                said = fetched.answer.headers.get("retry-after", "")
                time.sleep(min(float(said) if said.isdecimal() else 5.0, _LONGEST_WAIT_S))
        raise LeftOutError("status")

    def _is_wanted(self, status: int, mime: str) -> bool:
        kind = "image" if mime.startswith("image/") else _KINDS.get(mime)
        return 300 <= status < 400 or status in _BUSY or (status == 200 and kind in self._wish.kinds)

    def _wait(self, url: str, delay_s: float) -> None:
        host = urls.place_of(url)
        due = self._last.get(host, 0.0) + max(delay_s, self._wish.delay_s)
        time.sleep(max(due - clock.monotonic(), 0.0))
        self._last[host] = clock.monotonic()

    def _rules(self, url: str) -> Robots | None:
        """What the host allows; None if it can't be asked, which allows nothing."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._robots:
            done, self._robots[origin] = self._asked(f"{origin}/robots.txt")
            self._note(done)
        return self._robots[origin]

    def _asked(self, first: str) -> tuple[Done, Robots | None]:
        """Its robots.txt; without one everything is allowed, and nothing if it can't be had."""

        def said(what: RobotsSaid, **more: int) -> Done:
            return Done(url=first, part=True, robots=what, **more)

        url = first
        agent = self._wish.agent.split("/")[0].split(" ")[0]
        for _ in range(_REDIRECTS):
            try:
                self._wait(url, 0.0)
                fetched = self._fetcher.get(url)
            except LeftOutError as left:
                if left.why == "private":
                    raise
                return said("unreachable"), None
            answer = fetched.answer
            if 300 <= answer.status < 400:
                url = urls.plain(answer.headers.get("location", ""), url) or url
                continue
            if answer.status >= 500:
                return said("unreachable"), None
            if answer.status != 200:
                return said("none"), Robots("", agent)
            try:
                text = content(answer, LONGEST).decode("utf-8", "replace")
            except WarcError:
                return said("unreachable"), None
            place = self._writer.write(fetched.exchange)
            robots = Robots(text, agent)
            return said("rules" if robots.has_rules else "none", file=place.number, end=place.size), robots
        return said("none"), Robots("", agent)


def _manifest(inside: Path, wish: Wish, journal: Journal, stopped: Stopped) -> Manifest:
    done = [each for each in journal.done if each.robots is None]
    first = next((each.title for each in done if each.title), wish.name)
    left = [(each.url, each.why) for each in done if each.why is not None]
    robots = {each.url.removesuffix("/robots.txt"): each.robots for each in journal.done if each.robots is not None}
    return Manifest(
        format=1,
        name=wish.name,
        title=Title(
            ja=wish.title_ja or wish.title_en or line_of(first), en=wish.title_en or wish.title_ja or line_of(first)
        ),
        starts=wish.starts,
        began=journal.begun.at,
        ended=max(int(clock.now()), journal.begun.at),
        by=line_of(wish.by),
        software=f"Hako {appliance.__version__}",
        user_agent=line_of(wish.agent),
        licence=line_of(wish.licence),
        terms=line_of(wish.terms),
        robots=robots,
        depth=wish.depth,
        stopped=stopped,
        pages=sum(each.kept and not each.part and not each.moved for each in done),
        left_out=dict(Counter(why for _url, why in left)),
        examples=tuple(Left(url=url, why=why) for url, why in left[:_EXAMPLES]),
        files={path.name: file_of(path) for path in sorted(inside.glob("*.warc.gz"))},
    )
