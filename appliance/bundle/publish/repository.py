"""A publisher's folder: what is published, version by version, and who has signed it so far.

`metadata/` is what goes onto a stick. Each holder signs by himself, on his own machine if he likes: the folder is
carried from one to the next, and `standing` says what is still missing.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    TOP_LEVEL_ROLE_NAMES,
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from appliance import durable
from appliance.bundle import index as indexes
from appliance.bundle.index import ROLES, Index
from appliance.bundle.trust.statement import ISSUED
from appliance.errors import BundleInvalidError, BundleSignatureError, ConflictError, HakoError

DELEGATED: Final = tuple(dict.fromkeys(ROLES.values()))
ROLE_NAMES: Final = ("root", "targets", *DELEGATED, "snapshot", "timestamp")
_DAYS: Final = 3 * 365
_ROOT_DAYS: Final = 10 * 365


@dataclass(frozen=True)
class Share:
    """Who signs for a role, and how many of them it takes."""

    keys: tuple[Key, ...]
    threshold: int


@dataclass(frozen=True)
class Standing:
    """How far the newest metadata of a role is signed."""

    role: str
    version: int
    signed: int
    threshold: int

    @property
    def is_complete(self) -> bool:
        return self.signed >= self.threshold


class Repository:
    """All in `folder`; `now` in seconds since the epoch is when what is made next was made."""

    def __init__(self, folder: Path, now: float) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self._now = datetime.fromtimestamp(int(now), UTC)

    # -- ceremony

    def found(self, shares: Mapping[str, Share]) -> None:
        """The first root and empty roles, all unsigned.

        Raises:
            ConflictError: there is a root already; `rotate` makes the next.
            BundleInvalidError: a role without keys, a threshold that can't be reached, a key twice.
        """
        if self._newest("root"):
            raise ConflictError(name="root")
        self._put_root(Root(1, expires=self._expires("root"), consistent_snapshot=True), shares)
        targets = Targets(1, expires=self._expires("targets"))
        keys: dict[str, Key] = {}
        roles: dict[str, DelegatedRole] = {}
        for role in DELEGATED:
            share = _demand_share(role, shares.get(role))
            keyids = [key.keyid for key in share.keys]
            paths = [f"{role}/*/*/index.json"]
            roles[role] = DelegatedRole(role, keyids, share.threshold, terminating=True, paths=paths)
            keys.update({key.keyid: key for key in share.keys})
            self._write(role, Targets(1, expires=self._expires(role)))
        targets.delegations = Delegations(keys, roles)
        self._write_targets(targets)

    def rotate(self, shares: Mapping[str, Share]) -> None:
        """The next root, with other keys for the top roles that are named; the old root's holders sign it, too."""
        root = self._load("root", Root)
        kept = {
            role: Share(tuple(root.keys[keyid] for keyid in root.roles[role].keyids), root.roles[role].threshold)
            for role in TOP_LEVEL_ROLE_NAMES
        }
        following = Root(root.version + 1, expires=self._expires("root"), consistent_snapshot=True)
        self._put_root(following, {**kept, **shares})
        # What the roles' new holders sign must be new: signatures of the old ones would not count.
        if {"targets", "snapshot", "timestamp"} & set(shares):
            self._write_targets(self._load("targets", Targets))

    def _put_root(self, root: Root, shares: Mapping[str, Share]) -> None:
        for role in sorted(TOP_LEVEL_ROLE_NAMES):
            share = _demand_share(role, shares.get(role))
            for key in share.keys:
                root.add_key(key, role)
            root.roles[role].threshold = share.threshold
        self._write("root", root)

    # -- publishing

    def add(self, index: Index) -> str:
        """Publish a bundle, or another one under its name and version; returns its index's digest. Unsigned.

        Raises:
            BundleInvalidError: the index is too long.
        """
        data = index.model_dump_json(indent=1).encode()
        indexes.read(data, index.target)
        role = ROLES[index.kind]
        published = self._load(role, Targets)
        target = TargetFile.from_data(index.target, data, ["sha256"])
        published.targets[index.target] = target
        published.version += 1
        published.expires = self._expires(role)
        digest = target.hashes["sha256"]
        place = self.folder / indexes.path_on_medium(index.target, digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(place, data)
        self._write(role, published)
        self._write_snapshot()
        return digest

    def indexes(self) -> list[tuple[str, Index]]:
        """Digest and index of everything that is published. Raises BundleInvalidError."""
        found = []
        for role in DELEGATED:
            for path, target in sorted(self._load(role, Targets).targets.items()):
                digest = target.hashes["sha256"]
                try:
                    data = (self.folder / indexes.path_on_medium(path, digest)).read_bytes()
                except OSError as error:
                    raise BundleInvalidError("index missing") from error
                found.append((digest, indexes.read(data, path)))
        return found

    # -- signing

    def sign(self, signer: Signer) -> list[str]:
        """Add this holder's signature wherever it counts and is missing; the roles that got it.

        Raises:
            HakoError: what the signer raises; signatures that were added before stay.
        """
        signed = []
        for role in ROLE_NAMES:
            if signer.public_key.keyid not in self._keyids(role):
                continue
            metadata = self._metadata(role)
            if signer.public_key.keyid not in metadata.signatures:
                try:
                    metadata.sign(signer, append=True)
                except UnsignedMetadataError as error:
                    raise (error.__cause__ if isinstance(error.__cause__, HakoError) else error) from None
                self._store(role, metadata)
                signed.append(role)
        return signed

    def standing(self) -> list[Standing]:
        """Every role's newest metadata, and how far it is signed. A root needs the old root's holders as well."""
        found = []
        for role in ROLE_NAMES:
            signed, threshold = self._signed(role)
            found.append(Standing(role, self._metadata(role).signed.version, signed, threshold))
        return found

    def demand_signed(self) -> None:
        """Raises BundleSignatureError naming the first role that lacks signatures."""
        for standing in self.standing():
            if not standing.is_complete:
                raise BundleSignatureError("not signed yet", role=standing.role)

    def _signed(self, role: str) -> tuple[int, int]:
        metadata = self._metadata(role)
        results = []
        for delegator, payload_role in self._delegators(role):
            result = delegator.get_verification_result(payload_role, metadata.signed_bytes, metadata.signatures)
            results.append((len(result.signed), result.threshold))
        return min(results, key=lambda result: result[0] - result[1])

    def _delegators(self, role: str) -> list[tuple[Root | Targets, str]]:
        root = self._load("root", Root)
        if role == "root":
            before = [self._load("root", Root, root.version - 1)] if root.version > 1 else []
            return [(one, "root") for one in [*before, root]]
        return [(root if role in TOP_LEVEL_ROLE_NAMES else self._load("targets", Targets), role)]

    def _keyids(self, role: str) -> set[str]:
        found: set[str] = set()
        for delegator, name in self._delegators(role):
            found.update(delegator.get_delegated_role(name).keyids)
        return found

    # -- files

    def _write_targets(self, targets: Targets) -> None:
        """A new version, saying when it was made: from this a box knows that it can't be earlier."""
        newest = self._newest("targets")
        targets.version = newest + 1
        targets.expires = self._expires("targets")
        targets.unrecognized_fields[ISSUED] = int(self._now.timestamp())
        self._write("targets", targets)
        self._write_snapshot()

    def _write_snapshot(self) -> None:
        version = self._newest("snapshot") + 1
        snapshot = Snapshot(version, expires=self._expires("snapshot"))
        snapshot.meta = {f"{role}.json": MetaFile(self._newest(role)) for role in ("targets", *DELEGATED)}
        self._write("snapshot", snapshot)
        self._write(
            "timestamp", Timestamp(version, expires=self._expires("timestamp"), snapshot_meta=MetaFile(version))
        )

    def _write(self, role: str, signed: Any) -> None:
        self._store(role, Metadata(signed))

    def _store(self, role: str, metadata: Metadata[Any]) -> None:
        self.metadata.mkdir(parents=True, exist_ok=True)
        durable.replace(self.metadata / _name(role, metadata.signed.version), metadata.to_bytes())

    def _newest(self, role: str) -> int:
        if role == "timestamp":
            with suppress(OSError, ValueError, KeyError):
                return int(json.loads((self.metadata / "timestamp.json").read_bytes())["signed"]["version"])
            return 0
        heads = (path.name.split(".")[0] for path in self.metadata.glob(f"*.{role}.json"))
        return max((int(head) for head in heads if head.isdecimal()), default=0)

    def _metadata(self, role: str, version: int = 0) -> Metadata[Any]:
        path = self.metadata / _name(role, version or self._newest(role))
        try:
            return Metadata.from_bytes(path.read_bytes())
        except (OSError, RepositoryError) as error:
            raise BundleInvalidError(f"{path.name}: {type(error).__name__}") from error

    def _load(self, role: str, kind: type[Any], version: int = 0) -> Any:
        signed = self._metadata(role, version).signed
        if not isinstance(signed, kind):
            raise BundleInvalidError(f"{role} is something else")
        return signed

    def _expires(self, role: str) -> datetime:
        return self._now + timedelta(days=_ROOT_DAYS if role == "root" else _DAYS)


def _name(role: str, version: int) -> str:
    return f"{role}.json" if role == "timestamp" else f"{version}.{role}.json"


def _demand_share(role: str, share: Share | None) -> Share:
    publics: Sequence[str] = [str(key.keyval.get("public")) for key in share.keys] if share else []
    if share is None or not 1 <= share.threshold <= len(share.keys) or len(set(publics)) != len(publics):
        raise BundleInvalidError(f"keys of {role}")
    return share
