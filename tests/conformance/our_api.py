"""schemathesis on the box's own OpenAPI document: whatever fits it, or nearly does, never gets a 5xx."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import httpx2

from tests.conformance.box import SCRIPTED, Target
from tests.conformance.packages import PYTHON

LEFT_OUT = {
    "POST /api/v1/unlock": "wrong passphrases are counted, and the way in is closed for a while",
    "DELETE /api/v1/me/sessions/{session_id}": "may end the session that asks",
    "POST /api/v1/me/password": "a change ends all sessions of the person, the asking one too",
    "PATCH /api/v1/users/{user_id}": "may take the asking operator's own role",
    "DELETE /api/v1/users/{user_id}": "may remove the asking operator",
    "POST /api/v1/users/{user_id}/password": "ends the sessions of that person, the asking one too",
    "POST /api/v1/models/uploads": "a size that the disk has no room for is rightly answered with 507",
    "POST /api/v1/models/{model_id}/bench": "keeps the box busy for minutes each time",
}
"""Routes that would take the ground from under the run, each with a reason."""


def run(target: Target, examples: int = 12) -> bool:
    """First with names that nobody has, then with those of real things; nothing is removed in the second round."""
    cookie = target.operator_cookie()
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        rounds = [_round(target, cookie, Path(folder), examples, {})]
        rounds.append(_round(target, cookie, Path(folder), examples, _things(target, cookie)))
        return all(rounds) and not _crashes(target)


def _round(target: Target, cookie: str, folder: Path, examples: int, known: dict[str, str]) -> bool:
    document = _call(target, cookie, "GET", "/api/v1/openapi.json")
    for path, item in document["paths"].items():
        for method in list(item):
            if f"{method.upper()} {path}" in LEFT_OUT or (known and method == "delete"):
                del item[method]
            else:
                _set_known(item[method], known)
    schema = folder / "openapi.json"
    schema.write_text(json.dumps(document), "utf-8")
    command = [
        PYTHON.with_name("schemathesis"), "run", schema, "--url", target.url, "--checks", "not_a_server_error",
        "--phases", "coverage,fuzzing", "--max-examples", str(examples), "--seed", "7", "--continue-on-failure",
        "--request-timeout", "60", "--warnings", "off", "--suppress-health-check", "all",
        "-H", f"Cookie: {cookie}", "--generation-database", "none",
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=folder, env=target.environment(folder, {}), check=False)
    return ended.returncode == 0


def _set_known(operation: dict[str, Any], known: dict[str, str]) -> None:
    """Only the name of a real thing fits a parameter that names such a thing."""
    for parameter in operation["parameters"]:
        if parameter["in"] == "path" and parameter["name"] in known:
            parameter["schema"] = {"const": known[parameter["name"]]}


def _things(target: Target, cookie: str) -> dict[str, str]:
    """One real thing for each name in a path."""
    base = _call(target, cookie, "POST", "/api/v1/bases", {"name": "Conformance"})["id"]
    chat = _call(target, cookie, "POST", "/api/v1/chats", {"base_ids": [base]})["id"]
    asked = _call(target, cookie, "POST", f"/api/v1/chats/{chat}/messages", {"text": "What is here?"})
    key = _call(target, cookie, "POST", "/api/v1/me/keys", {"name": "conformance"})["item"]
    response = _call(target, cookie, "POST", "/v1/responses", {"model": SCRIPTED["chat"], "input": "Hello"})
    return {
        "base_id": base,
        "chat_id": chat,
        "message_id": asked["answer"]["id"],
        "run_id": asked["run_id"],
        "key_id": key["id"],
        "model_id": SCRIPTED["chat"],
        "response_id": response["id"],
    }


def _call(target: Target, cookie: str, method: str, path: str, body: object = None) -> Any:
    answer = httpx2.request(method, target.url + path, json=body, headers={"Cookie": cookie}, timeout=60)
    answer.raise_for_status()
    return answer.json()


def _crashes(target: Target) -> list[str]:
    """Lines of the box's log that only a fault of ours writes."""
    found = [line for line in target.box.log().splitlines() if '"level":"error"' in line.replace(" ", "")]
    print("\n".join(found[:20]))
    return found
