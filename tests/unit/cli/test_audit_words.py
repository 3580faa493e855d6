"""Entries in a terminal read as on the page: the cases of `features/audit/audit.test.ts`."""

from typing import Any

import pytest

from appliance.cli import audit_words

ENTRY: dict[str, Any] = {
    "number": 1,
    "at": "2026-11-23T05:02:09.000Z",
    "actor": "mori",
    "who": {"kind": "person", "name": "森 健太", "account": "mori"},
    "action": "model-loaded",
    "group": "models",
    "outcome": "done",
    "target": "qwen3",
    "what": {"kind": "model", "name": "Qwen3 8B", "state": "there"},
    "detail": {},
    "named": {},
}
GONE = {
    "action": "user-deleted",
    "target": "usr_0123456789abcdefghjk",
    "what": {"kind": "user", "name": "", "state": "gone"},
}
HIDDEN = {
    "action": "document-added",
    "target": "doc_0123456789abcdefghjk",
    "what": {"kind": "document", "name": "", "state": "unknown"},
}
ALIAS = {
    "action": "model-alias-set",
    "target": "gpt-4",
    "what": {"kind": "alias", "name": "gpt-4", "state": "there"},
    "detail": {"model": "qwen3"},
    "named": {"model": {"kind": "model", "name": "Qwen3 8B", "state": "there"}},
}


@pytest.mark.parametrize(
    ("language", "changes", "words"),
    [
        ("ja_JP.UTF-8", {}, "森 健太がモデルQwen3 8Bを読み込みました"),
        ("ja_JP.UTF-8", GONE, "森 健太がusr_01234567…（消去済み）の登録を消去しました"),
        ("en_GB.UTF-8", {}, "森 健太 loaded model Qwen3 8B"),
        ("en_GB.UTF-8", HIDDEN, "森 健太 added document “doc_01234567…” (erased, or not yours to see)"),
        ("en_GB.UTF-8", ALIAS, "森 健太 gave model Qwen3 8B the alias gpt-4"),
        ("en_GB.UTF-8", {"action": "model-adapter-added"}, "森 健太 added the adapter – to model Qwen3 8B"),
        ("en_GB.UTF-8", {"action": "tea-made", "group": None}, "森 健太 did tea-made (model Qwen3 8B)"),
    ],
)
def test_a_sentence_is_that_of_the_page(
    language: str, changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", language)
    assert audit_words.sentence(ENTRY | changes) == words


@pytest.mark.parametrize(("outcome", "word"), [("done", ""), ("failed", "Failed"), ("stopped", "Stopped")])
def test_only_what_did_not_go_well_is_said(outcome: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    assert audit_words.outcome(ENTRY | {"outcome": outcome}) == word
