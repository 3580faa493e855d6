"""Root's helper beside a box, as an ordinary account in folders of its own: real socket, real look, real files.

`as_thread` shares this process, so that an installation can be made quick; `as_process` can be killed.
"""

import socket
from collections.abc import Collection
from contextlib import AbstractContextManager
from multiprocessing.process import BaseProcess
from pathlib import Path

from appliance import modes
from appliance.bundle.update import install
from appliance.bundle.update.privileged import RootsReleases
from appliance.bundle.update.state import STATE, Places
from appliance.inference.engines import scripted
from appliance.machine.helper import Helper
from appliance.machine.helper_server import HelperServer
from appliance.machine.helper_shapes import VERBS
from tests.simulators import nursery, powerless
from tests.simulators.release_offers import install_slowly
from tests.simulators.served_helper import serving
from tests.simulators.taking_box import TakingBox


class RootsFolders:
    """What root has on a machine, below one folder: releases, sticks, an anchor and a memory."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        self.media, self.memory = folder / "media", folder / "memory"
        (folder / "releases" / STATE).mkdir(parents=True)
        self.media.mkdir()
        self.places = Places(folder / "releases", data)
        self.ran: list[str] = []
        """Commands that the helper would have run on a machine."""

    def box(self) -> TakingBox:
        """One whose releases are root's, with the models that it calls its own."""
        made = TakingBox(
            self.places.data,
            releases_dir=self.places.root,
            storage={"media": [self.media]},
            inference={"chat_model": "talker", "embedding_model": "embedder"},
        )
        scripted.install(made.settings.models, "talker", "chat")
        scripted.install(made.settings.models, "embedder", "embedding")
        return made

    @property
    def releases(self) -> RootsReleases:
        return RootsReleases(self.places, [self.media], self.folder / "publisher-root.json", self.memory)


def as_thread(
    folders: RootsFolders, path: Path, uid: int, verbs: Collection[str] = VERBS
) -> AbstractContextManager[None]:
    """A helper that listens to one account alone."""
    helper = Helper(folders.releases, run=lambda command: folders.ran.append(" ".join(command)))
    return serving(path, helper, {uid: verbs})


def as_process(folders: RootsFolders, path: Path, uid: int, step_s: float | None = None) -> BaseProcess:
    """The same in a child that can be killed. `step_s`: an installation without pip that takes some steps so long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return nursery.start(_serve, folders, path, uid, step_s)


def _serve(folders: RootsFolders, path: Path, uid: int, step_s: float | None) -> None:
    modes.open_to_all()
    powerless.become()
    if step_s is not None:
        install.install = install_slowly(step_s)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        HelperServer(listening, Helper(folders.releases), {uid: VERBS}).serve(60.0)
