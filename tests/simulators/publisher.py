"""A publisher with all his keys in one hand: makes a medium of TUF metadata, sound or broken in any way."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    TOP_LEVEL_ROLE_NAMES,
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from appliance.bundle.trust.statement import ISSUED

DAY = 24 * 3600
THRESHOLDS = {"root": 2, "targets": 2, "snapshot": 1, "timestamp": 1}
KEYS = {"root": 3, "targets": 3, "snapshot": 1, "timestamp": 1}


@dataclass
class Publisher:
    """`now`: when what is published next was made, seconds since the epoch."""

    now: float
    make_key: Callable[[], CryptoSigner] = CryptoSigner.generate_ed25519
    signers: dict[str, list[CryptoSigner]] = field(default_factory=dict)
    targets: dict[str, bytes] = field(default_factory=dict)
    delegated: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Role name to its targets; the role `content` signs for `content/*/*/index.json`."""
    roots: list[bytes] = field(default_factory=list)
    version: int = 0
    """Of timestamp, snapshot and targets, which here always go together."""
    _old_root_signers: list[CryptoSigner] = field(default_factory=list)

    def __post_init__(self) -> None:
        for role in sorted(TOP_LEVEL_ROLE_NAMES):
            self.renew(role)
        self.new_root()

    @property
    def anchor(self) -> bytes:
        """What a box comes with."""
        return self.roots[0]

    def renew(self, role: str) -> None:
        """New keys for a role, all of them."""
        self.signers[role] = [self.make_key() for _ in range(KEYS.get(role, 1))]

    def new_root(
        self, signed_by: Iterable[CryptoSigner] | None = None, change: Callable[[Root], None] | None = None
    ) -> None:
        """The next root, signed by the old and the new keys if nothing else is said."""
        root = Root(version=len(self.roots) + 1, expires=self._expires(10 * 365), consistent_snapshot=True)
        for role, signers in self.signers.items():
            if role in TOP_LEVEL_ROLE_NAMES:
                for signer in signers:
                    root.add_key(signer.public_key, role)
                root.roles[role].threshold = THRESHOLDS[role]
        if change:
            change(root)
        self.roots.append(
            _signed(root, [*self._old_root_signers, *self.signers["root"]] if signed_by is None else signed_by)
        )
        self._old_root_signers = list(self.signers["root"])

    def sign_with_one_key_twice(self) -> None:
        """The next root names the one key of the targets under two names, and what is signed from then on has both."""
        signer = self.signers["targets"][0]
        twin = Key.from_dict("f" * 64, signer.public_key.to_dict())

        def change(root: Root) -> None:
            root.roles["targets"].keyids = [signer.public_key.keyid, twin.keyid]
            root.keys[twin.keyid] = twin

        self.new_root(change=change)
        self.signers["targets"] = [signer, CryptoSigner(signer._private_key, twin)]

    def publish(self, folder: Path, change: Callable[[dict[str, Any]], None] | None = None, days: int = 365) -> Path:
        """A whole medium in `folder`; `change` may alter the signed parts by role name before they are signed."""
        self.version += 1
        expires, version = self._expires(days), self.version
        parts: dict[str, Any] = {"targets": Targets(version, expires=expires)}
        parts["targets"].unrecognized_fields[ISSUED] = int(self.now)
        for path, data in self.targets.items():
            parts["targets"].targets[path] = TargetFile.from_data(path, data, ["sha256"])
        if self.delegated:
            parts["targets"].delegations = Delegations({}, {})
        for role, targets in self.delegated.items():
            if role not in self.signers:
                self.renew(role)
            parts[role] = Targets(version, expires=expires)
            for path, data in targets.items():
                parts[role].targets[path] = TargetFile.from_data(path, data, ["sha256"])
            keys = [signer.public_key for signer in self.signers[role]]
            parts["targets"].delegations.roles[role] = DelegatedRole(
                role, [key.keyid for key in keys], 1, terminating=True, paths=[f"{role}/*/*/index.json"]
            )
            for key in keys:
                parts["targets"].delegations.keys[key.keyid] = key
        parts["snapshot"] = Snapshot(version, expires=expires)
        parts["snapshot"].meta = {f"{name}.json": MetaFile(version) for name in ("targets", *self.delegated)}
        parts["timestamp"] = Timestamp(version, expires=expires, snapshot_meta=MetaFile(version))
        if change:
            change(parts)
        metadata = folder / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        for number, root in enumerate(self.roots, 1):
            (metadata / f"{number}.root.json").write_bytes(root)
        for name, part in parts.items():
            prefix = "" if name == "timestamp" else f"{part.version}."
            (metadata / f"{prefix}{name}.json").write_bytes(_signed(part, self.signers[name]))
        for targets in (self.targets, *self.delegated.values()):
            for path, data in targets.items():
                write_target(folder, path, data)
        return folder

    def _expires(self, days: int) -> datetime:
        return datetime.fromtimestamp(self.now, UTC).replace(microsecond=0) + timedelta(days=days)


def write_target(folder: Path, path: str, data: bytes) -> Path:
    """A target under the name that TUF looks for."""
    digest = TargetFile.from_data(path, data, ["sha256"]).hashes["sha256"]
    place = folder / "targets" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place = place.with_name(f"{digest}.{place.name}")
    place.write_bytes(data)
    return place


def resign(data: bytes, signers: Iterable[CryptoSigner], change: Callable[[dict[str, Any]], None]) -> bytes:
    """Metadata with its signed part altered and signed anew."""
    said = json.loads(data)
    change(said["signed"])
    metadata: Metadata[Any] = Metadata.from_bytes(json.dumps({"signed": said["signed"], "signatures": []}).encode())
    return _signed(metadata.signed, signers)


def _signed(part: Any, signers: Iterable[CryptoSigner]) -> bytes:
    metadata: Metadata[Any] = Metadata(part)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()
