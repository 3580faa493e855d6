"""What a publisher says on a medium, checked against what the box knows already: python-tuf's workflow, our memory."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tuf.api import exceptions
from tuf.api.metadata import Delegations, Key, Metadata, Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater

from appliance.bundle.trust.state import TrustState
from appliance.closing import Closing
from appliance.errors import (
    BundleDamagedError,
    BundleInvalidError,
    BundleRollbackError,
    BundleSignatureError,
    BundleSlowError,
    BundleStaleError,
    BundleUnreadableError,
    HakoError,
)

ISSUED: Final = "x-hako-issued"
"""A field of the signed targets: seconds since the epoch at which the publisher made them."""

_TOP: Final = (Timestamp.type, Snapshot.type, Targets.type)
_ROOT_NAME: Final = re.compile(r"([1-9][0-9]{0,8})\.root\.json")
_PLAIN: Final = re.compile(r"[A-Za-z0-9 .,:/'()_%-]{1,160}")


class Statement(Closing):
    """One look at a medium. `refresh`, then `target` as often as needed, then `learned`: what to remember of it.

    What was verified counts even if something after it fails: that is how TUF stops a stick from going back.
    """

    def __init__(
        self, anchor: bytes, state: TrustState, fetcher: FetcherInterface, base: str, now: float, targets: str = ""
    ) -> None:
        """`anchor`: the root that came with the box. `base`: where the metadata is. `now`: see `moment`.

        Raises:
            BundleSignatureError: the box's own root is unusable.
        """
        self._state = state
        self._scratch = tempfile.TemporaryDirectory(prefix="hako-trust-")
        folder = Path(self._scratch.name)
        try:
            _fill(folder, state)
            with _told():
                self._updater = Updater(
                    str(folder), base, target_dir=targets or None, fetcher=fetcher, bootstrap=anchor
                )
        except BaseException:
            self._scratch.cleanup()
            raise
        # Not public, and the only way to say which time it is; a test demands that it is still there.
        self._updater._trusted_set.reference_time = datetime.fromtimestamp(now, UTC)  # noqa: SLF001

    def close(self) -> None:
        """Remove the scratch folder."""
        self._scratch.cleanup()

    def refresh(self) -> None:
        """Read and check root, timestamp, snapshot and targets.

        Raises:
            BundleUnreadableError: missing, or the medium can't be read.
            BundleSignatureError: too few signatures of keys that count.
            BundleRollbackError: older than what the box has seen.
            BundleStaleError: valid, but past its date.
            BundleDamagedError: not the bytes that were signed for, or without end.
            BundleInvalidError: not TUF metadata.
        """
        try:
            with _told():
                self._updater.refresh()
        finally:
            self._demand_distinct_keys()

    def target(self, path: str) -> TargetFile | None:
        """What is signed for `path`, by a role that may sign for it; None if nothing is. Raises as `refresh`."""
        with _told():
            found = self._updater.get_targetinfo(path)
        self._demand_distinct_keys()
        return found

    def download(self, target: TargetFile, base: str) -> Path:
        """Bring one small target into the folder `targets`. Raises as `refresh`."""
        with _told():
            return Path(self._updater.download_target(target, target_base_url=base))

    def broken_chain(self, names: list[str]) -> int | None:
        """The version of a newer root among `names` that can't be reached from the box's, for a warning."""
        root = self._updater._trusted_set.root.version  # noqa: SLF001
        newer = [int(found[1]) for name in names if (found := _ROOT_NAME.fullmatch(name)) and int(found[1]) > root]
        return max(newer, default=None)

    @property
    def identity(self) -> str:
        """SHA-256 of timestamp, snapshot and targets, as they were verified."""
        metadata = self.learned().metadata
        return hashlib.sha256(b"\0".join(metadata.get(role, b"") for role in _TOP)).hexdigest()

    @property
    def issued(self) -> float:
        """When the publisher made the targets, seconds since the epoch; 0 while they aren't verified.

        Only the targets count: their keys have a threshold, the timestamp's single key could be stolen.
        """
        trusted = self._updater._trusted_set  # noqa: SLF001
        if Targets.type not in trusted:
            return 0.0
        said = trusted.targets.unrecognized_fields.get(ISSUED, 0)
        return float(said) if isinstance(said, int) and said >= 0 else 0.0

    def learned(self) -> TrustState:
        """The state with what was verified here, to be saved."""
        folder = Path(self._scratch.name)
        roots = {
            int(path.name.split(".")[0]): path.read_bytes() for path in (folder / "root_history").glob("*.root.json")
        }
        metadata = {
            path.name.removesuffix(".json"): path.read_bytes()
            for path in folder.glob("*.json")
            if path.name != "root.json"
        }
        return replace(self._state, roots=roots, metadata=metadata, issued=max(self._state.issued, self.issued))

    def _demand_distinct_keys(self) -> None:
        """One key under two names would reach a threshold of two alone; python-tuf counts names."""
        trusted = self._updater._trusted_set  # noqa: SLF001
        for signed in trusted:
            _demand_distinct(signed)


def inspect_root(data: bytes) -> Root:
    """A root as it describes itself, unverified, for showing. Raises BundleInvalidError."""
    with _told():
        return Metadata[Root].from_bytes(data).signed


def demand_sound_root(data: bytes) -> Root:
    """A root that enough of its own keys have signed, each of them once.

    Raises:
        BundleInvalidError: no root.
        BundleSignatureError: too few signatures, or one key under two names.
    """
    with _told():
        metadata = Metadata[Root].from_bytes(data)
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
    _demand_distinct(metadata.signed)
    return metadata.signed


def _demand_distinct(signed: Signed) -> None:
    keys = _keys(signed)
    if len({(key.scheme, str(key.keyval.get("public"))) for key in keys}) != len(keys):
        raise BundleSignatureError("one key under two names", role=signed.type)


def _keys(signed: object) -> list[Key]:
    if isinstance(signed, Root):
        return list(signed.keys.values())
    delegations = signed.delegations if isinstance(signed, Targets) else None
    return list(delegations.keys.values()) if isinstance(delegations, Delegations) else []


def _fill(folder: Path, state: TrustState) -> None:
    (folder / "root_history").mkdir()
    for version, data in state.roots.items():
        (folder / "root_history" / f"{version}.root.json").write_bytes(data)
    for name, data in state.metadata.items():
        (folder / f"{name}.json").write_bytes(data)


_KINDS: Final[Mapping[type[Exception], type[HakoError]]] = {
    # The first that fits: subclasses stand before what they derive from.
    exceptions.BadVersionNumberError: BundleRollbackError,
    exceptions.ExpiredMetadataError: BundleStaleError,
    exceptions.UnsignedMetadataError: BundleSignatureError,
    exceptions.LengthOrHashMismatchError: BundleDamagedError,
    exceptions.DownloadLengthMismatchError: BundleDamagedError,
    exceptions.SlowRetrievalError: BundleSlowError,
    exceptions.DownloadError: BundleUnreadableError,
    exceptions.RepositoryError: BundleInvalidError,
}


@contextmanager
def _told() -> Iterator[None]:
    """python-tuf's errors as ours; the words of a hostile file don't pass."""
    try:
        yield
    except (exceptions.RepositoryError, exceptions.DownloadError, ValueError, RecursionError, KeyError) as error:
        kind = next((ours for theirs, ours in _KINDS.items() if isinstance(error, theirs)), BundleInvalidError)
        detail = str(error)
        raise kind(detail if _PLAIN.fullmatch(detail) else type(error).__name__) from error
