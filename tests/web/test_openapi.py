"""`/api/v1/openapi.json` says what the routes declare, and nothing else."""

import re
from typing import Any

import pytest

from tests.simulators.box import Person, TestBox
from webui import routing


@pytest.fixture(scope="module")
def document(bob: Person) -> dict[str, Any]:
    told: dict[str, Any] = bob.get("/openapi.json").get_json()
    return told


def test_every_declared_route_is_in_the_document_and_no_page(box: TestBox, document: dict[str, Any]) -> None:
    declared = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in box.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if routing.declaration_of(box.app.view_functions[rule.endpoint])
    }
    told = {(path, method) for path, item in document["paths"].items() for method in item}
    assert told == declared
    assert {"/api/v1/chats/{chat_id}", "/v1/chat/completions", "/api/chat"} <= set(document["paths"])
    assert not {"/sign-in", "/setup", "/unlock"} & set(document["paths"])
    assert not [path for path in document["paths"] if "<" in path]


def test_a_body_is_the_one_that_requests_are_checked_against(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/v1/users"]["post"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert schema["additionalProperties"] is False
    assert {"name", "password"} <= set(schema["required"])
    assert operation["x-permission"] == "users-manage"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    asked = set(_references(document))
    assert asked
    assert asked <= known


def test_a_name_in_the_path_is_a_parameter_and_a_number_is_a_number(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/api/v1/documents/{document_id}/pages/{number}"]["get"]["parameters"]
    assert [(each["name"], each["in"], each["schema"]["type"]) for each in parameters] == [
        ("document_id", "path", "string"),
        ("number", "path", "integer"),
    ]


def test_what_a_query_takes_is_told_with_its_limits(document: dict[str, Any]) -> None:
    parameters = [
        each for item in document["paths"].values() for operation in item.values() for each in operation["parameters"]
    ]
    assert {each["in"] for each in parameters} == {"path", "query"}
    assert all(each["schema"] for each in parameters)


def test_only_what_is_public_needs_no_proof(document: dict[str, Any]) -> None:
    open_to_all = {
        path for path, item in document["paths"].items() for operation in item.values() if not operation["security"]
    }
    assert open_to_all == {"/api/v1/state", "/api/v1/unlock", "/api/v1/first-setup"}


def test_a_stranger_gets_no_document(box: TestBox) -> None:
    assert box.app.test_client().get("/api/v1/openapi.json").status_code == 401


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for value in part.values() for found in _references(value)]
    if isinstance(part, list):
        return [found for value in part for found in _references(value)]
    return []
