"""A served box with the real starter models and the manual as its sample base, shared by the journeys."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.simulators.served import PASSWORD, ServedBox

MODELS = Path(__file__).resolve().parents[2] / ".build" / "models"


@pytest.fixture(scope="session")
def models() -> Path:
    if not (MODELS / "smollm2-135m-instruct" / "model.json").exists():
        pytest.skip("the starter models are not built: make models")
    return MODELS


@pytest.fixture(scope="session")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("e") / "v", models=models, samples=True) as box:
        with box.client() as client:
            sample = next(base for base in client.get("/bases")["items"] if base["system"])
        box.wait_for_documents(sample["id"], within_s=240)
        yield box


@pytest.fixture(scope="session")
def api_key(served: ServedBox) -> str:
    """A key as its owner makes it."""
    with served.client() as client:
        client.post("/users", {"name": "program", "display_name": "Program", "password": PASSWORD})
    with httpx2.Client(base_url=served.url) as browser:
        browser.post("/sign-in", data={"name": "program", "password": PASSWORD})
        return str(browser.post("/api/v1/me/keys", json={"name": "script"}).json()["key"])
