"""Numbered schema steps, applied in order, each in its own transaction; forward only.

Since the first release a step only adds, so that the release before can go on with what its successor has made of the
file: an update can then be taken back without taking back what people did since.
"""

import json
from typing import Final

import apsw

from appliance.errors import NewerStoreError

FOUNDATION = """
create table settings (name text primary key, value text not null) strict, without rowid;

create table users (
  id text primary key, name text not null unique collate nocase, display_name text not null,
  role text not null check (role in ('operator', 'member')), password_hash text not null,
  language text not null check (language in ('ja', 'en')), theme text not null default 'system',
  created_at real not null, disabled_at real
) strict;

-- Only a keyed hash of a session or API token is stored; a session's `id` names it without being a way in.
create table sessions (
  token_hash blob primary key, id text not null unique, user_id text not null references users on delete cascade,
  created_at real not null, seen_at real not null, user_agent text not null
) strict, without rowid;

create table api_keys (
  id text primary key, user_id text not null references users on delete cascade, name text not null,
  prefix text not null, token_hash blob not null unique, created_at real not null, used_at real
) strict;

-- A bucket is full again at `full_at`, so a missing row is a full one.
create table throttle (bucket text primary key, full_at real not null) strict, without rowid;
create index throttle_full on throttle (full_at);

-- `wrapped_key` opens the file; erasing the row erases the file's content for good.
create table blobs (
  id text primary key, size integer not null, wrapped_key blob not null, created_at real not null
) strict, without rowid;

-- Bases: `number` names the base's own full-text tables and its sqlite-vec partition.
create table bases (
  id text primary key, number integer not null unique, name text not null unique collate nocase,
  description text not null default '', owner_id text references users on delete cascade,
  visibility text not null check (visibility in ('everyone', 'private')),
  created_at real not null, updated_at real not null
) strict;

create table documents (
  id text primary key, base_id text not null references bases on delete cascade, name text not null,
  title text not null default '', format text not null, size integer not null, digest text not null,
  blob_id text not null,
  language text not null default '', pages integer not null default 0, passages integer not null default 0,
  state text not null check (state in ('waiting', 'working', 'ready', 'failed', 'cancelled')),
  error_code text, error_params text, created_by text references users on delete set null,
  created_at real not null, updated_at real not null, unique (base_id, digest)
) strict;

-- Sentence and passage offsets are characters into `pages.text`.
create table pages (
  document_id text not null references documents on delete cascade, number integer not null, text text not null,
  blocks text not null, primary key (document_id, number)
) strict, without rowid;

create table passages (
  id integer primary key, document_id text not null references documents on delete cascade,
  ordinal integer not null, first_sentence integer not null, last_sentence integer not null,
  page integer not null, heading text not null, text text not null, tokens integer not null, vector blob not null,
  unique (document_id, ordinal)
) strict;

create table sentences (
  id integer primary key, document_id text not null references documents on delete cascade,
  ordinal integer not null, page integer not null, start integer not null, "end" integer not null,
  text text not null, vector blob not null, unique (document_id, ordinal)
) strict;

create virtual table passage_vectors using vec0(
  passage_id integer primary key, base_number integer partition key, embedding float[384] distance_metric=cosine
);
create virtual table sentence_vectors using vec0(
  sentence_id integer primary key, base_number integer partition key, embedding float[384] distance_metric=cosine
);

create table jobs (
  id text primary key, kind text not null, payload text not null, key text unique, owner_id text,
  state text not null check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
  stage text not null default '', done integer not null default 0, total integer not null default 0,
  cancel integer not null default 0, attempts integer not null default 0, lease_until real, not_before real not null,
  error_code text, error_params text, created_at real not null, started_at real, finished_at real
) strict;
create index jobs_waiting on jobs (state, not_before);

create table chats (
  id text primary key, user_id text not null references users on delete cascade, title text not null,
  titled integer not null default 0, model text not null, base_ids text not null, created_at real not null,
  updated_at real not null
) strict;
create index chats_of_user on chats (user_id, updated_at);

-- A chat is a tree: editing or regenerating adds a sibling. `body` holds citations, sources and figures as JSON.
create table messages (
  id text primary key, chat_id text not null references chats on delete cascade, parent_id text,
  role text not null check (role in ('user', 'assistant')), text text not null, body text not null,
  state text not null check (state in ('running', 'done', 'stopped', 'failed')), created_at real not null
) strict;
create index messages_of_chat on messages (chat_id, created_at);

-- A run is the writing of one answer: a numbered stream of events that any reader can follow from any number.
create table runs (
  id text primary key, user_id text not null references users on delete cascade,
  message_id text references messages on delete cascade,
  state text not null check (state in ('running', 'done', 'stopped', 'failed')), created_at real not null
) strict;
create table run_events (
  run_id text not null references runs on delete cascade, number integer not null, kind text not null,
  data text not null, primary key (run_id, number)
) strict, without rowid;

create table audit (
  number integer primary key, at real not null, actor text not null, action text not null, target text not null,
  detail text not null, previous blob not null, hash blob not null
) strict;
"""

# A key's scope as JSON; keys from before have the whole one. The end is a column, for it is asked with every look.
KEY_SCOPES = """
alter table api_keys add column scope text not null default '{}';
alter table api_keys add column expires_at real;
"""

# What programs asked at /v1/responses and were answered, both as JSON, so that they can go on from there.
RESPONSES = """
create table responses (
  id text primary key, user_id text not null references users on delete cascade, previous_id text,
  input text not null, answer text not null, created_at real not null
) strict;
create index responses_of_user on responses (user_id, created_at);
create index responses_by_age on responses (created_at);
"""

# A system prompt and sampling under a name; without an owner it is shared, for the box keeps it when its maker goes.
PRESETS = """
create table presets (
  id text primary key, owner_id text references users on delete cascade, name text not null, system text not null,
  sampling text not null, created_at real not null, updated_at real not null
) strict;
create index presets_of_owner on presets (owner_id);
"""

# Whose bundles the box takes: one root is the current one. An earlier one is kept, so that coming back to it finds its
# `serial`: that of the newest memory of this publisher, see `bundle.trust.state`. `bundles` are those that were taken.
BUNDLES = """
create table anchors (
  fingerprint text primary key, root blob not null, serial integer not null default 0, set_by text not null,
  set_at real not null, is_current integer not null check (is_current in (0, 1))
) strict, without rowid;
create unique index one_anchor on anchors (is_current) where is_current = 1;

create table bundles (
  digest text primary key, kind text not null, name text not null, version text not null, licence text not null,
  size integer not null, fingerprint text not null, taken_by text not null, taken_at real not null
) strict, without rowid;
"""

# Entries are only ever appended. `replace` would delete without a word to a trigger, so numbers must grow as well.
# `line` is the signed checkpoint as it is in the file beside the database.
AUDIT_CHECKPOINTS = """
create table audit_checkpoints (
  serial integer primary key, number integer not null, hash blob not null, at integer not null, line text not null
) strict;

create trigger audit_no_update before update on audit
begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_no_delete before delete on audit
begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_in_order before insert on audit
when new.number is not (select coalesce(max(number), 0) + 1 from audit)
begin select raise(abort, 'the audit log is append-only'); end;

create trigger audit_checkpoints_no_update before update on audit_checkpoints
begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_checkpoints_no_delete before delete on audit_checkpoints
begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_checkpoints_in_order before insert on audit_checkpoints
when new.serial <= (select coalesce(max(serial), 0) from audit_checkpoints)
begin select raise(abort, 'the audit log is append-only'); end;
"""

# The preset that a chat was given, as it was then, as JSON; null without one.
CHAT_PRESETS = """
alter table chats add column preset text;
"""

# Web snapshots: `digest` is that of the manifest, `bundle` that of the index it came with. What is not `shown` is still
# on its way in. A file lies in the blob store; the trigger keeps it there, for releases before this step erase every
# blob that no document uses. `plain` is what a search looks at. Addresses lead to the page that they show.
WEB_SNAPSHOTS = """
create table web_snapshots (
  id text primary key, digest text not null, bundle text not null, name text not null, manifest text not null,
  pages integer not null default 0, size integer not null, shown integer not null default 0 check (shown in (0, 1)),
  taken_by text not null default '', taken_at real not null default 0
) strict;
create unique index web_snapshots_shown on web_snapshots (digest) where shown = 1;
create index web_snapshots_of_bundle on web_snapshots (bundle);

create table web_files (
  snapshot_id text not null references web_snapshots on delete cascade, name text not null, blob_id text not null,
  size integer not null, primary key (snapshot_id, name)
) strict, without rowid;
create index web_files_blob on web_files (blob_id);
create trigger web_files_keep before delete on blobs
when exists (select 1 from web_files where blob_id = old.id) begin select raise(ignore); end;

create table web_pages (
  snapshot_id text not null references web_snapshots on delete cascade, number integer not null, url text not null,
  title text not null, kind text not null, captured_at real not null, text text not null, blocks text not null,
  links text not null, plain text not null, primary key (snapshot_id, number)
) strict;
create table web_addresses (
  snapshot_id text not null references web_snapshots on delete cascade, url text not null, number integer not null,
  primary key (snapshot_id, url)
) strict, without rowid;
"""

# Bases that came in bundles. Until all of a version has been read it lies in a base of its own, which nobody sees.
# `state` says how far it is, `replaces` which base it will be then. `pack_marks` outlives both: an older version is
# never taken again. `boxes` are those whose packs are taken. Of waiting jobs those of the lowest `rank` come first.
PACKED_BASES = """
create table packs (
  base_id text primary key references bases on delete cascade,
  replaces text references bases on delete set null,
  state text not null check (state in ('coming', 'reading', 'ready', 'failed')), digest text not null unique,
  maker text not null, maker_kind text not null check (maker_kind in ('publisher', 'box')), name text not null,
  version text not null, issued integer not null, title_ja text not null, title_en text not null,
  licence text not null, provenance text not null, taken_by text not null, taken_at real not null
) strict, without rowid;
create index packs_by_name on packs (maker, name);

create table pack_marks (
  maker text not null, name text not null, issued integer not null, digest text not null, primary key (maker, name)
) strict, without rowid;

create table boxes (
  fingerprint text primary key, public blob not null, name text not null, set_by text not null, set_at real not null
) strict, without rowid;

alter table jobs add column rank integer not null default 0;
"""

# The last look of each check as JSON; its findings, which remember since when and what an operator has put off; and
# measures by the minute, thinned to hours.
HEALTH = """
create table health_looks (name text primary key, look text not null, at real not null) strict, without rowid;
create table health_findings (
  key text primary key, name text not null, state text not null check (state in ('warning', 'error')),
  since real not null, snoozed_until real
) strict, without rowid;
create table health_minutes (
  name text not null, at integer not null, value real not null, primary key (name, at)
) strict, without rowid;
create table health_hours (
  name text not null, at integer not null, value real not null, primary key (name, at)
) strict, without rowid;
"""

# Links that open a wall display.
WALL_LINKS = """
create table wall_links (
  id text primary key, name text not null, token_hash blob not null unique, created_at real not null, seen_at real
) strict;
"""

STEPS: tuple[str, ...] = (
    FOUNDATION, KEY_SCOPES, RESPONSES, PRESETS, BUNDLES, AUDIT_CHECKPOINTS, CHAT_PRESETS, WEB_SNAPSHOTS,
    PACKED_BASES, HEALTH, WALL_LINKS,
)  # fmt: skip


READS_FROM: Final = 7
"""A release that knows so many steps can work with a file that has all of `STEPS`. It may only rise, and then whoever
goes back beyond it needs the copy from before."""
_READS_FROM: Final = "schema_reads_from"
"""Name of the setting that tells an older release so."""


def migrate(connection: apsw.Connection) -> int:
    """Bring the file to the newest schema; returns how many steps were applied.

    A file of a newer release is left as it is, if that one says that this release can work with it.

    Raises:
        NewerStoreError: the file comes from a newer release, and this one is too old for it.
        apsw.Error: a step failed; the file is as it was before that step.
    """
    applied = 0
    if version(connection) > len(STEPS):
        if not 0 < reads_from(connection) <= len(STEPS):
            raise NewerStoreError(f"schema {version(connection)}, this release knows {len(STEPS)}")
        return 0
    for number, step in enumerate(STEPS, start=1):
        connection.execute("begin immediate")
        try:
            if version(connection) < number:  # asked inside, because another process may have migrated meanwhile
                connection.execute(step)
                connection.execute(f"pragma user_version = {number}")
                connection.execute(
                    "insert or replace into settings (name, value) values (?, ?)", (_READS_FROM, json.dumps(READS_FROM))
                )
                applied += 1
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")
    return applied


def version(connection: apsw.Connection) -> int:
    """How many steps the file has."""
    return int(connection.execute("pragma user_version").get)


def reads_from(connection: apsw.Connection) -> int:
    """What the release that has migrated the file last has said of it; 0 if nothing."""
    said = json.loads(connection.execute("select value from settings where name = ?", (_READS_FROM,)).get or "0")
    return said if isinstance(said, int) else 0
