"""What lies on a medium: who signed it, and which bundles it offers, each with its verified index. Copies nothing."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tuf.api.exceptions import DownloadError, LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

import appliance
from appliance.bundle import index as indexes
from appliance.bundle.index import Index
from appliance.bundle.stale import Expired
from appliance.bundle.trust import medium as media
from appliance.bundle.trust.medium import Medium
from appliance.bundle.trust.moment import Moment, trusted_now
from appliance.bundle.trust.state import TrustState, TrustStore
from appliance.bundle.trust.statement import Statement
from appliance.closing import Closing
from appliance.errors import BundleDamagedError, BundleExpiredError, BundleInvalidError, BundleStaleError

CONTENTS: Final = "contents.json"
"""Unsigned: it only says where to look. What it leaves out stays unseen, what it makes up is signed by nobody."""
_CONTENTS_BYTES: Final = 1 << 20
_MOST: Final = 1000
_METADATA: Final = media.BASE + "metadata/"


@dataclass(frozen=True)
class Offer:
    """One bundle on the medium."""

    index: Index
    digest: str
    """SHA-256 of the index: the operator confirms this, and this is what is installed."""


class Reading(Closing):
    """One look at a medium; what was verified is remembered in the trust store, whatever comes of it.

    `at_least`: the serial of the trust state that the database remembers, see `TrustStore.load`. `below`: as `Medium`.
    `accepts`: whether somebody has accepted a statement past its date; it is then judged at the time it was signed.
    """

    def __init__(
        self, folder: Path, anchor: bytes, store: TrustStore, *, at_least: int, clock: float,
        below: Sequence[str] = (), accepts: Callable[[Expired], bool] = lambda _expired: False,
    ) -> None:  # fmt: skip
        """Raises as `Statement.refresh`, TrustDamagedError, and BundleExpiredError where nobody can accept it."""
        try:
            self.medium = Medium(folder, below)
        except DownloadError as error:
            raise media.refusal(error) from error
        self._anchor, self._store = anchor, store
        self.is_stale = False
        """Past its date, and accepted."""
        try:
            state = store.load(at_least)
            floor = max(state.issued, appliance.RELEASED)
            self.moment: Moment = trusted_now(clock, floor)
            try:
                self._look(state, self.moment.at)
            except BundleStaleError:
                expired = self._expired(self.state, floor)
                if not accepts(expired):
                    raise
                self.is_stale = True
                self._look(self.state, max(floor, expired.issued))
        except BaseException:
            self.close()
            raise

    def _look(self, state: TrustState, at: float) -> None:
        with Statement(self._anchor, state, self.medium, _METADATA, at) as statement:
            newest = 0.0
            try:
                statement.refresh()
                self.broken_chain = statement.broken_chain(self.medium.names("metadata"))
                self.offers = tuple(_offers(self.medium, statement))
                newest = float(max((offer.index.issued for offer in self.offers), default=0))
            finally:
                learned = statement.learned()
                learned = replace(learned, issued=max(learned.issued, newest))
                self.state = learned if learned == state else self._store.save(learned)

    def _expired(self, state: TrustState, floor: float) -> Expired:
        """What is past its date, at the earliest time that it can be by now; nothing is remembered of it."""
        with Statement(self._anchor, state, self.medium, _METADATA, floor) as statement:
            try:
                statement.refresh()
            except BundleStaleError as error:
                raise BundleExpiredError(error.detail) from error
            return Expired(statement.identity, statement.issued)

    def close(self) -> None:
        """Let the medium go."""
        self.medium.close()

    def offer(self, digest: str) -> Offer:
        """The bundle that the operator confirmed. Raises BundleInvalidError if the medium holds another by now."""
        for offer in self.offers:
            if offer.digest == digest:
                return offer
        raise BundleInvalidError("not on this medium")


def _offers(medium: Medium, statement: Statement) -> Iterator[Offer]:
    for path in _contents(medium):
        target = statement.target(path)
        if target is None:
            raise BundleInvalidError("nobody signs for what the medium lists")
        data = _index_bytes(medium, target)
        yield Offer(indexes.read(data, path), target.hashes["sha256"])


def _contents(medium: Medium) -> list[str]:
    try:
        said = json.loads(_bounded(medium, CONTENTS, _CONTENTS_BYTES))
    except (ValueError, RecursionError) as error:
        raise BundleInvalidError(CONTENTS) from error
    targets = said.get("targets") if isinstance(said, dict) and said.get("format") == 1 else None
    if not isinstance(targets, list) or len(targets) > _MOST or not all(isinstance(path, str) for path in targets):
        raise BundleInvalidError(CONTENTS)
    return targets


def _index_bytes(medium: Medium, target: TargetFile) -> bytes:
    digest = target.hashes.get("sha256")
    if digest is None or target.length > indexes.LONGEST:
        raise BundleInvalidError("index without a digest, or too long")
    data = _bounded(medium, indexes.path_on_medium(target.path, digest), target.length)
    try:
        target.verify_length_and_hashes(io.BytesIO(data))
    except LengthOrHashMismatchError as error:
        raise BundleDamagedError("index") from error
    return data


def _bounded(medium: Medium, path: str, most: int) -> bytes:
    """Raises as `media.refusal`, or BundleDamagedError for a file longer than it may be."""
    data = bytearray()
    try:
        for piece in medium.read(path):
            data += piece
            if len(data) > most:
                raise BundleDamagedError("longer than signed for")
    except DownloadError as error:
        raise media.refusal(error) from error
    return bytes(data)
