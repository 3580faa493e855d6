"""Every action that the record of actions knows: what it belongs to, what it is done to, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from appliance.errors import CancelledError

Group = Literal[
    "access", "people", "keys", "use", "documents", "models", "bundles", "backups", "outside", "record", "box"
]
"""What people filter by."""
Kind = Literal[
    "none", "user", "name", "key", "session", "asked", "document", "model", "alias", "preset", "bundle", "web",
    "pack", "box", "release", "publisher", "folder", "snapshot", "destination",
]  # fmt: skip
"""What a target is. name: as somebody typed it; asked: a base, a chat or a model; folder and snapshot: of a backup;
pack: documents of a bundle; box: another one."""
Outcome = Literal["done", "failed", "stopped"]

GROUPS: Final[Sequence[Group]] = get_args(Group)


@dataclass(frozen=True)
class Action:
    """What is known of an action before it happens."""

    group: Group
    target: Kind = "none"
    outcome: Outcome = "done"


ACTIONS: Final[Mapping[str, Action]] = {
    "signed-in": Action("access"),
    "sign-in-failed": Action("access", "name", "failed"),
    "session-ended": Action("access", "session"),
    "password-changed": Action("access"),
    "account-exported": Action("access"),
    "user-created": Action("people", "user"),
    "user-changed": Action("people", "user"),
    "user-deleted": Action("people", "user"),
    "password-reset": Action("people", "user"),
    "api-key-created": Action("keys", "key"),
    "api-key-changed": Action("keys", "key"),
    "api-key-revoked": Action("keys", "key"),
    "asked": Action("use", "asked"),
    "api-chat": Action("use", "model"),
    "api-completion": Action("use", "model"),
    "api-responses": Action("use", "model"),
    "document-added": Action("documents", "document"),
    "document-deleted": Action("documents", "document"),
    "model-imported": Action("models", "model"),
    "model-requantised": Action("models", "model"),
    "model-removed": Action("models", "model"),
    "model-loaded": Action("models", "model"),
    "model-unloaded": Action("models", "model"),
    "model-verified": Action("models", "model"),
    "model-golden-renewed": Action("models", "model"),
    "model-measured": Action("models", "model"),
    "model-settings-changed": Action("models", "model"),
    "model-default-set": Action("models", "model"),
    "model-default-dropped": Action("models", "model"),
    "model-adapter-added": Action("models", "model"),
    "model-adapter-removed": Action("models", "model"),
    "model-projector-added": Action("models", "model"),
    "model-projector-removed": Action("models", "model"),
    "model-alias-set": Action("models", "alias"),
    "model-alias-deleted": Action("models", "alias"),
    "preset-created": Action("models", "preset"),
    "preset-changed": Action("models", "preset"),
    "preset-deleted": Action("models", "preset"),
    "bundle-started": Action("bundles", "bundle"),
    "bundle-taken": Action("bundles", "bundle"),
    "bundle-failed": Action("bundles", "bundle", "failed"),
    "bundle-cancelled": Action("bundles", "bundle", "stopped"),
    "bundle-stale-accepted": Action("bundles"),
    "web-snapshot-added": Action("bundles", "web"),
    "web-snapshot-removed": Action("bundles", "web"),
    "pack-shown": Action("bundles", "pack"),
    "pack-failed": Action("bundles", "pack", "failed"),
    "pack-removed": Action("bundles", "pack"),
    "pack-exported": Action("bundles", "asked"),
    "box-trusted": Action("bundles", "box"),
    "box-distrusted": Action("bundles", "box"),
    "publisher-trusted": Action("bundles", "publisher"),
    "machine-publisher-changed": Action("bundles", "publisher"),
    "update-started": Action("bundles", "release"),
    "update-committed": Action("bundles", "release"),
    "update-rolled-back": Action("bundles", "release", "failed"),
    "update-taken-back": Action("bundles", "release"),
    "update-refused": Action("bundles", "release", "failed"),
    "system-taken": Action("bundles", "bundle"),
    "system-kept": Action("bundles", "bundle"),
    "system-taken-back": Action("bundles", "bundle", "failed"),
    "backup-started": Action("backups", "folder"),
    "backup-made": Action("backups", "snapshot"),
    "backup-verified": Action("backups", "snapshot"),
    "backup-rehearsed": Action("backups", "snapshot"),
    "backup-failed": Action("backups", "folder", "failed"),
    "backup-planned": Action("backups"),
    "backup-cancelled": Action("backups", "folder", "stopped"),
    "box-restored": Action("backups", "snapshot"),
    "destination-added": Action("outside", "destination"),
    "destination-changed": Action("outside", "destination"),
    "destination-removed": Action("outside", "destination"),
    "way-out-opened": Action("outside"),
    "way-out-shut": Action("outside"),
    "remote-call": Action("outside", "model"),
    "remote-answer": Action("outside", "model"),
    "alert-sent": Action("outside", "destination"),
    "alert-answered": Action("outside", "destination"),
    "audit-exported": Action("record"),
    "audit-not-whole": Action("record", outcome="failed"),
    "audit-findings-accepted": Action("record"),
    "airgap-reported": Action("record"),
    "airgap-tested": Action("record"),
    "health-fix-begun": Action("box"),
    "health-snoozed": Action("box"),
    "support-kit-taken": Action("box"),
    "set-up": Action("box"),
    "setup-link-made": Action("box"),
    "wall-link-made": Action("access", "name"),
    "wall-link-opened": Action("access", "name"),
    "wall-link-revoked": Action("access", "name"),
    "recovery-key-confirmed": Action("box"),
    "network-tried": Action("box"),
    "network-kept": Action("box"),
    "network-taken-back": Action("box"),
    "machine-renamed": Action("box"),
    "time-zone-set": Action("box"),
    "clock-set": Action("box"),
    "certificate-brought": Action("box"),
    "certificate-dropped": Action("box"),
    "machine-restarted": Action("box"),
    "machine-switched-off": Action("box"),
    "box-erased": Action("box"),
    "box-opened": Action("box"),
    "box-stopped": Action("box"),
}
"""An action of a newer release, or of one before, may be in a log without being here."""

DONE: Final = "ok"
"""What `result` says where an entry has one and nothing went wrong."""


def of(group: Group) -> list[str]:
    """The actions of a group."""
    return [name for name, action in ACTIONS.items() if action.group == group]


def outcome(action: str, detail: Mapping[str, str | float]) -> Outcome:
    """How it ended."""
    result = detail.get("result")
    if result is not None:
        return "done" if result == DONE else "stopped" if result == CancelledError.code else "failed"
    known = ACTIONS.get(action)
    return known.outcome if known else "done"
