"""GGUF files of embedding models, brought by browser: what the plan tells, what may be said, and what may not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators import encoder_gguf
from tests.simulators.box import Person, TestBox
from tests.web.test_model_uploads import uploaded


@pytest.fixture
def ines(box: TestBox, alice: Person) -> Iterator[Person]:
    with box.second_operator("ines") as person:
        yield person
        for item in person.get("/models/uploads").get_json()["items"]:
            person.delete(f"/models/uploads/{item['id']}")
        for path in sorted(box.settings.models.glob("ruri*")):
            person.delete(f"/models/{path.name}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ruri-v3.gguf"
    encoder_gguf.small(path)
    return path


def wish(person: Person, file: Path, **more: object) -> dict[str, Any]:
    return {"upload": uploaded(person, file), "licence": "Apache-2.0", **more}


def test_it_is_planned_and_imported_as_what_it_is(box: TestBox, ines: Person, file: Path) -> None:
    body = wish(ines, file)
    plan = ines.post("/models/import", json={**body, "dry_run": True}).get_json()["plan"]
    assert (plan["kind"], plan["engines"], plan["smaller"]) == ("embedding", ["llama"], [])
    assert (plan["dimensions"], plan["pooling"], plan["chat_template"]) == (32, "mean", False)
    assert (plan["query_prefix"], plan["passage_prefix"]) == ("検索クエリ: ", "検索文書: ")

    answer = ines.post("/models/import", json={**body, "pooling": "last", "query_prefix": "", "languages": ["ja"]})
    assert (answer.status_code, answer.get_json()["model"]) == (201, "ruri-v3")
    manifest = box.services.models.manifest("ruri-v3")
    assert (manifest.kind, manifest.pooling, manifest.dimensions) == ("embedding", "last", 32)
    assert (manifest.query_prefix, manifest.passage_prefix) == ("", "検索文書: ")
    shown = ines.get("/models/ruri-v3").get_json()
    assert (shown["kind"], shown["engine"], shown["estimate"]["context"]) == ("embedding", "llama", 64)
    copy = ines.post("/models/ruri-v3/requantise", json={"to": "q8_0"})
    assert (copy.status_code, copy.get_json()["code"]) == (400, "HK-MOD-008")
    settings = ines.put("/models/ruri-v3/settings", json={"context": 512})
    assert (settings.status_code, settings.get_json()["params"]) == (400, {"field": "context"})


@pytest.mark.parametrize(
    ("said", "field"),
    [({"kind": "reranker"}, "kind"), ({"engine": "ctransformers"}, "engine"), ({"requantise": "q8_0"}, "requantise")],
)
def test_what_means_nothing_for_it_is_refused_by_its_name(
    ines: Person, file: Path, said: dict[str, str], field: str
) -> None:
    answer = ines.post("/models/import", json=wish(ines, file, dry_run=True, **said))
    assert (answer.status_code, answer.get_json()["params"]) == (400, {"field": field})
