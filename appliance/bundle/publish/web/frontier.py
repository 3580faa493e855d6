"""Which addresses are still to be captured: in the order in which they were found, each once."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.bundle.publish.web.journal import Done, Wish
from appliance.warc import urls


@dataclass(frozen=True)
class Due:
    """An address to fetch; `depth` in links from a start address."""

    url: str
    depth: int
    part: bool
    """A picture or a style sheet of a page, not a page."""


class Frontier:
    """Made again from the journal, it is what it was."""

    def __init__(self, wish: Wish, done: Sequence[Done] = ()) -> None:
        self._wish = wish
        self._hosts = {urls.place_of(url) for url in wish.starts}
        self._parts_wanted = bool({"image", "css"} & set(wish.kinds))
        self._seen: set[str] = set()
        self._due: dict[str, Due] = {}
        self.pages = self.size = 0
        """Kept so far; the size in bytes."""
        for url in wish.starts:
            self._add(Due(url, 0, part=False))
        for each in done:
            self.learn(each)

    def next(self) -> Due | None:
        """The next address; None when nothing is left, or no page may be added and no part is left."""
        is_full = self.pages >= self._wish.pages
        return next((due for due in self._due.values() if due.part or not is_full), None)

    @property
    def has_pages(self) -> bool:
        """Whether pages are left."""
        return any(not due.part for due in self._due.values())

    def is_inside(self, url: str) -> bool:
        """Whether an address is on one of the hosts that are captured."""
        return urls.place_of(url) in self._hosts

    def learn(self, done: Done) -> None:
        """An address is done: what it leads to comes behind what is due already."""
        due = self._due.pop(done.url, None)
        self._seen.add(done.url)
        if due is not None and done.kept:
            self.pages += not done.part
            self.size += done.size
        deeper = done.depth + 1
        for url in done.pages if deeper <= self._wish.depth else ():
            self._add(Due(url, deeper, part=False))
        for url in done.parts if self._parts_wanted else ():
            self._add(Due(url, done.depth, part=True))
        if done.moved:
            self._add(Due(done.moved, done.depth, part=done.part))

    def _add(self, due: Due) -> None:
        if due.url not in self._seen and self.is_inside(due.url):
            self._seen.add(due.url)
            self._due[due.url] = due
