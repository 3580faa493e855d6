"""Composition root: every service of a process, built once from the settings and the vault's keys."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from appliance import clock
from appliance.accounts.api_keys import ApiKeys
from appliance.accounts.sessions import Sessions
from appliance.accounts.throttle import Throttle
from appliance.accounts.users import Users
from appliance.accounts.wall_links import WallLinks
from appliance.apps.answering import Answering
from appliance.apps.chats import Chats
from appliance.apps.conversations import Conversations
from appliance.apps.presets import Presets
from appliance.apps.responses import Responses
from appliance.apps.runs import Runs
from appliance.backup.backups import BY_CLOCK, Backups
from appliance.bundle.boxes.identity import Identity
from appliance.bundle.taking import Bundles
from appliance.bundle.update.state import Places
from appliance.config import Settings
from appliance.errors import BackupFolderError
from appliance.gateway.credentials import Credentials
from appliance.gateway.destinations import Destinations
from appliance.gateway.figures import Benchmark
from appliance.gateway.gateway import Gateway
from appliance.gateway.remote import Remote
from appliance.gateway.store import ModelStore
from appliance.health import seen
from appliance.health.airgap.airgap import AirGap
from appliance.health.alerts import Alerts
from appliance.health.box.parts import BackupState, Parts, Plain
from appliance.health.health import HealthKeeper
from appliance.health.kit import kit
from appliance.health.kit.kit import Kit
from appliance.jobs.queue import Queue
from appliance.knowledge.bases import Bases
from appliance.knowledge.documents import Documents
from appliance.knowledge.packed import PackedBases
from appliance.knowledge.packs_shown import Packs
from appliance.knowledge.rerank import Reranker
from appliance.knowledge.retrieve import Retriever
from appliance.knowledge.web.reading import WarcReader
from appliance.knowledge.web.snapshots import Snapshots
from appliance.storage.audit import Audit
from appliance.storage.blobs import BlobStore
from appliance.storage.checkpoints import Witness
from appliance.storage.database import Database
from appliance.vault.client import KeysClient

Say = Callable[[str, str], str]
"""`say(language, key)`: a sentence from the locales, which belong to the web layer above."""


@dataclass(frozen=True)
class Stores:
    """What every process with keys needs: the records, the files, the queue, the way to the models."""

    database: Database
    blobs: BlobStore
    queue: Queue
    gateway: Gateway
    audit: Audit
    packed: PackedBases
    bundles: Bundles
    snapshots: Snapshots
    backups: Backups
    health: HealthKeeper
    alerts: Alerts


def open_stores(settings: Settings, keys: KeysClient) -> Stores:
    """Open the database and bring it up to date.

    Raises:
        SealedError: the vault gives no keys.
        VaultDamagedError, StoreDamagedError, NewerStoreError: the database can't be used.
    """
    database = Database(settings.database, keys.derive("database"), settings.cipher)
    if database.is_behind:
        Places(settings.releases, settings.data_dir).note_migration()
    database.migrate()
    blobs = BlobStore(settings.blobs_dir, database, keys.derive("blobs"))
    witness = Witness(settings.audit_checkpoints, keys.derive("audit-signing"))
    audit = Audit(database, keys.derive("audit"), witness)
    destinations = Destinations(settings.destinations)
    remote = Remote(destinations, settings.egress_socket, Credentials(database).key, audit.record)
    queue, gateway = Queue(database), Gateway(settings, remote)
    identity = Identity(keys.derive("packs"))
    packed = PackedBases(database, blobs, settings.language)
    snapshots = Snapshots(database, blobs, WarcReader(settings.limits))
    bundles = Bundles(settings, database, audit, queue, gateway, packed, snapshots, keys.derive("trust"), identity)
    backups = Backups(settings, database, audit, queue, keys.derive)
    parts = Parts(
        plain=Plain(settings, keys.status, os.getppid()),
        database=database,
        audit=audit,
        queue=queue,
        gateway=gateway,
        backups=lambda: _backup_state(backups),
        back_up=lambda: _back_up(backups),
        machine=lambda: seen.read(settings.health_file),
    )
    health = HealthKeeper(parts)
    alerts = Alerts(settings, health, audit, Credentials(database))
    return Stores(database, blobs, queue, gateway, audit, packed, bundles, snapshots, backups, health, alerts)


def _backup_state(backups: Backups) -> BackupState:
    plan = backups.schedule()
    every_s = plan.every_s if plan.is_on else 0.0
    return BackupState(backups.state(), backups.made_at(), every_s, str(plan.folder or ""))


def _back_up(backups: Backups) -> None:
    plan = backups.schedule()
    if plan.folder is None:
        raise BackupFolderError("no schedule", name="")
    backups.start("create", str(plan.folder), BY_CLOCK, keep=plan.keep)


@dataclass(frozen=True)
class Services:
    """What web and worker work with; passed on, never imported as a global."""

    settings: Settings
    keys: KeysClient
    database: Database
    blobs: BlobStore
    audit: Audit
    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    wall_links: WallLinks
    throttle: Throttle
    queue: Queue
    gateway: Gateway
    destinations: Destinations
    destination_keys: Credentials
    models: ModelStore
    benchmark: Benchmark
    bases: Bases
    documents: Documents
    retriever: Retriever
    answering: Answering
    chats: Chats
    runs: Runs
    conversations: Conversations
    responses: Responses
    presets: Presets
    bundles: Bundles
    packs: Packs
    snapshots: Snapshots
    backups: Backups
    airgap: AirGap
    health: HealthKeeper
    alerts: Alerts
    sent: Callable[[], int]
    """What went to named destinations since this process began: its own calls, and the alerts of the worker."""
    kit: Callable[[str], Kit]
    """`kit(policy)`: a support kit of now; `policy` is what pages tell a browser."""

    def close(self) -> None:
        """Stop what is being written, store it, let go of the database."""
        self.runs.close()
        self.database.close()


def build(settings: Settings, keys: KeysClient, say: Say) -> Services:
    """The services of the web process. Looks at the audit log, and closes what a crash left open.

    Raises:
        SealedError: the vault gives no keys.
    """
    stores = open_stores(settings, keys)
    database = stores.database
    tokens = keys.derive("tokens")
    bases = Bases(database, stores.blobs)
    retriever = Retriever(database, stores.gateway, Reranker(stores.gateway, lambda: stores.gateway.defaults.reranker))
    answering = Answering(stores.gateway, retriever, say)
    chats, runs = Chats(database), Runs(database)
    documents = Documents(database, stores.blobs, stores.queue, bases)
    models = ModelStore(settings, stores.gateway)
    stores.audit.begin()
    runs.recover()
    documents.sweep()
    stores.blobs.sweep()
    models.sweep()
    responses = Responses(database)
    responses.sweep()
    stores.bundles.updates.begin()
    stores.bundles.systems.begin()
    began, remote = clock.now(), stores.gateway.remote

    def sent() -> int:
        return (remote.sent if remote else 0) + stores.alerts.sent_since(began)

    airgap = AirGap(settings, database, stores.queue, stores.audit, sent, stores.bundles.updates)
    return Services(
        settings=settings,
        keys=keys,
        database=database,
        blobs=stores.blobs,
        audit=stores.audit,
        users=Users(database),
        sessions=Sessions(database, tokens),
        api_keys=ApiKeys(database, tokens),
        wall_links=WallLinks(database, tokens),
        throttle=Throttle(database),
        queue=stores.queue,
        gateway=stores.gateway,
        destinations=Destinations(settings.destinations),
        destination_keys=Credentials(database),
        models=models,
        benchmark=Benchmark(settings, stores.gateway),
        bases=bases,
        documents=documents,
        retriever=retriever,
        answering=answering,
        chats=chats,
        runs=runs,
        conversations=Conversations(chats, runs, bases, answering),
        responses=responses,
        presets=Presets(database),
        bundles=stores.bundles,
        packs=Packs(database, stores.packed, stores.audit),
        snapshots=stores.snapshots,
        backups=stores.backups,
        airgap=airgap,
        health=stores.health,
        alerts=stores.alerts,
        sent=sent,
        kit=partial(kit.of_box, stores.health, airgap, say),
    )
