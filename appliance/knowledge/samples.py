"""The sample base: the box's own manual in both languages, loaded once, belonging to the system, readable by all."""

from pathlib import Path

from appliance import logs
from appliance.accounts.permissions import Principal
from appliance.errors import ConflictError
from appliance.knowledge.bases import Bases
from appliance.knowledge.documents import Documents
from appliance.storage import settings_store
from appliance.storage.database import Database

log = logs.get(__name__)

_LOADED = "samples_loaded"


def load(database: Database, bases: Bases, documents: Documents, folder: Path, name: str) -> int:
    """Put `<folder>/<language>/*.md` into a new base called `name`; returns how many documents.

    Done once in a box's life: who deletes the sample base does not find it back after the next start.
    """
    if settings_store.get(database, _LOADED):
        return 0
    who = Principal.system_operator()
    try:
        base = bases.create(who, name, visibility="everyone")
    except ConflictError:  # an interrupted first start made it already, or it is somebody's own
        own = [base for base in bases.readable(who) if base.name == name and base.owner_id is None]
        if not own:
            log.warning("samples_not_loaded", reason="the name of the sample base is taken")
            return 0
        base = own[0]
    count = 0
    for file in sorted(folder.glob("*/*.md")):
        with file.open("rb") as source:
            documents.add(who, base.id, f"{file.stem}.{file.parent.name}.md", source)
        count += 1
    settings_store.put(database, _LOADED, value=True)
    log.info("samples_loaded", documents=count)
    return count
