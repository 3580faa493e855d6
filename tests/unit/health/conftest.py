"""An open box as the checks see it, whose parts a test breaks one at a time."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.gateway.gateway import Gateway
from appliance.health import seen
from appliance.health.box.parts import BackupState, Parts, Plain
from appliance.vault.protocol import VaultStatus
from tests.simulators.backed_box import BackedBox


class Lab:
    """`parts` as they are now; `backup`, `vault` and `states` of models are what a test says."""

    def __init__(self, folder: Path) -> None:
        self.backup = BackupState("ok", None, 0.0, "")
        self.vault = VaultStatus(exists=True, sealed=False, recovery_confirmed=True)
        self.backed_up = 0
        self._folder = folder
        self.open()

    def open(self) -> None:
        """The box of this folder, anew after it was closed."""
        self.box = BackedBox(self._folder)
        self.settings = self.box.settings
        self.parts = Parts(
            plain=Plain(self.settings, lambda: self.vault, os.getpid()),
            database=self.box.database,
            audit=self.box.audit,
            queue=self.box.queue,
            gateway=Gateway(self.settings),
            backups=lambda: self.backup,
            back_up=self._back_up,
            machine=lambda: seen.read(self.settings.health_file),
        )

    def set_inference(self, **inference: Any) -> None:
        """Other settings of models, e.g. `provider`."""
        settings = self.settings.model_copy(update={"inference": self.settings.inference.model_copy(update=inference)})
        self.parts = dataclasses.replace(
            self.parts, plain=dataclasses.replace(self.parts.plain, settings=settings), gateway=Gateway(settings)
        )

    def _back_up(self) -> None:
        self.backed_up += 1


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "box")
    yield lab
    lab.box.close()
