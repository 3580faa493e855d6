"""The built starter models and a box that runs them, for benches."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.simulators.served import ServedBox

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / ".build" / "models"
DATA = REPOSITORY.parent / "shared" / "data"


@contextmanager
def served_box() -> Iterator[ServedBox]:
    """A served box with the starter models, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="hako-") as folder, ServedBox(Path(folder) / "v", models=MODELS) as box:
        yield box
