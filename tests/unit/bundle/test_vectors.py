"""The vectors for other implementers: each has its listed outcome, and all are what their maker makes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import appliance
from appliance.bundle import packs, requirements
from appliance.bundle.reading import Reading
from appliance.bundle.requirements import Facts
from appliance.bundle.staging import Staging, checked
from appliance.bundle.trust.state import TrustStore
from appliance.errors import BundleIncompleteError, HakoError
from tests.simulators.vectors import FOLDER, LIST, make

LISTED: dict[str, Any] = json.loads((FOLDER / LIST).read_text("utf-8"))
VECTORS: dict[str, dict[str, Any]] = {vector["name"]: vector for vector in LISTED["vectors"]}
BOX = Facts(LISTED["box"]["name"], LISTED["box"]["version"], 8 << 30, frozenset(), gpu=False)


@pytest.fixture(autouse=True)
def _as_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appliance, "RELEASED", 1_793_491_200)  # a later release would find the vectors too old


def stick(folder: Path, name: str) -> Path:
    place = shutil.copytree(FOLDER / LISTED["base"], folder / name)
    if (FOLDER / name).is_dir():
        shutil.copytree(FOLDER / name, place, dirs_exist_ok=True)
    for path in VECTORS[name]["removed"]:
        (place / path).unlink()
    return place


def looked(folder: Path, place: Path, now: float) -> Reading:
    store = TrustStore(folder / "trust", bytes(32))
    return Reading(place, (FOLDER / LISTED["root"]).read_bytes(), store, at_least=0, clock=now)


def outcome(folder: Path, vector: dict[str, Any]) -> str:
    try:
        with looked(folder, stick(folder, vector["name"]), vector.get("now", LISTED["now"])) as reading:
            assert reading.broken_chain == vector.get("broken_chain")
            (offer,) = reading.offers
            if list(requirements.unmet(offer.index.requires, BOX)):
                return "HK-BND-008"

            def small(file: Any) -> bytes:
                return b"".join(piece for part in file.parts for piece in checked(reading.medium, part) or ())

            packs.models_of(offer.index, small)
            with Staging(folder / "inbox", offer.index, offer.digest) as staging:
                try:
                    list(staging.bring([reading.medium]))
                except BundleIncompleteError as error:
                    return error.code
                staging.finish()
    except HakoError as error:
        return error.code
    return "taken"


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_has_the_outcome_that_it_is_listed_with(name: str, tmp_path: Path) -> None:
    vector = VECTORS[name]
    for before in vector["seen"]:
        looked(tmp_path, stick(tmp_path, before), LISTED["now"]).close()
        shutil.rmtree(tmp_path / before)
    assert outcome(tmp_path, vector) == vector["outcome"]


def test_the_vectors_are_what_their_maker_makes_and_small(tmp_path: Path) -> None:
    make(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(FOLDER): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    assert made == kept, "run: python -m tests.simulators.vectors"
    assert sum(map(len, kept.values())) < 300_000
    assert len(VECTORS) > 40
    assert {vector["outcome"] for vector in VECTORS.values()} == {
        "taken", *(f"HK-BND-00{number}" for number in (1, 2, 3, 4, 5, 6, 8, 9)),
    }  # fmt: skip
