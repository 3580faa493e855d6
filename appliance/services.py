"""Composition root: every service of a process, built once from the settings and the vault's keys."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.accounts.api_keys import ApiKeys
from appliance.accounts.sessions import Sessions
from appliance.accounts.throttle import Throttle
from appliance.accounts.users import Users
from appliance.apps.answering import Answering
from appliance.apps.chats import Chats
from appliance.apps.conversations import Conversations
from appliance.apps.runs import Runs
from appliance.config import Settings
from appliance.gateway.gateway import Gateway
from appliance.inference.client import InferenceClient
from appliance.jobs.queue import Queue
from appliance.knowledge.bases import Bases
from appliance.knowledge.documents import Documents
from appliance.knowledge.retrieve import Retriever
from appliance.storage.audit import Audit
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
from appliance.vault.client import KeysClient

Say = Callable[[str, str], str]
"""`say(language, key)`: a sentence from the locales, which belong to the web layer above."""


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
    throttle: Throttle
    queue: Queue
    gateway: Gateway
    bases: Bases
    documents: Documents
    retriever: Retriever
    answering: Answering
    chats: Chats
    runs: Runs
    conversations: Conversations

    def close(self) -> None:
        """Stop what is being written, store it, let go of the database."""
        self.runs.close()
        self.database.close()
