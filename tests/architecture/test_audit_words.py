"""Every action that is recorded anywhere has its words in both languages, and no words are left over."""

from typing import get_args

import pytest

from appliance.accounts.users import Role
from appliance.apps.writing import Mode
from appliance.backup.backups import Action as BackupWork
from appliance.bundle.index import Kind as BundleKind
from appliance.config import REPOSITORY
from appliance.health.fixes import FIXES
from appliance.storage import audit_actions, audit_check, audit_origin
from appliance.storage.audit_actions import ACTIONS
from tests.architecture import audit_calls
from tests.architecture.audit_calls import HiddenError
from webui import locales
from webui.api import audit_names
from webui.api.users import Change

COMMON = {audit_origin.VIA, audit_origin.FROM}
VALUES = {
    "role": get_args(Role),
    "mode": get_args(Mode),
    "kind": get_args(BundleKind),
    "what": get_args(BackupWork),
    "fix": tuple(FIXES),
    "via": get_args(audit_origin.Way),
    "fields": tuple(Change.model_fields),
    "chained": ("0", "1"),
    "result": (audit_actions.DONE,),
}
"""Details whose values are words of the program, and all that they can be."""


def sources() -> dict[str, str]:
    return {
        str(path.relative_to(REPOSITORY)): path.read_text("utf-8")
        for package in ("appliance", "webui")
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if "node_modules" not in path.parts
    }


RECORDED = audit_calls.find(sources()).details


def keys(area: str) -> set[str]:
    """What stands behind `audit.<area>.` in the catalogue; the two languages have the same keys."""
    prefix = f"audit.{area}."
    return {key.removeprefix(prefix) for key in locales.catalogue("ja") if key.startswith(prefix)}


def test_every_recorded_action_belongs_to_a_group_and_nothing_else_does():
    assert set(RECORDED) == set(ACTIONS), "appliance/storage/audit_actions.py"


@pytest.mark.parametrize("area", ["action", "said"])
def test_every_action_has_its_words_and_no_words_are_left_over(area: str):
    assert keys(area) == set(RECORDED)


def test_every_detail_has_a_label_and_no_label_is_left_over():
    assert keys("detail") == COMMON.union(*RECORDED.values())


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_sentences_name_who_and_what_and_only_details_that_the_action_has(language: locales.Language):
    for action, known in ACTIONS.items():
        told = locales.placeholders(locales.catalogue(language)[f"audit.said.{action}"])
        needed = {"who"} | ({"what"} if known.target != "none" else set())
        assert needed <= told <= needed | RECORDED[action], action


@pytest.mark.parametrize(
    ("area", "words"),
    [
        ("group", audit_actions.GROUPS),
        ("outcome", get_args(audit_actions.Outcome)),
        ("target", {*get_args(audit_actions.Kind), "base", "chat"} - {"asked"}),
        ("state", {*get_args(audit_names.State)} - {"plain", "there"}),
        ("actor", {"person", "gone", "terminal", *audit_names.NOBODY.values()}),
        ("finding", get_args(audit_check.Kind)),
        ("means", get_args(audit_check.Kind)),
    ],
)
def test_whatever_an_entry_can_be_has_its_words(area: str, words: tuple[str, ...]):
    assert keys(area) == set(words)


def test_values_that_are_words_of_the_program_have_their_words():
    assert keys("value") == {f"{name}.{value}" for name, values in VALUES.items() for value in values}


# -- that the finder finds


@pytest.mark.parametrize(
    ("code", "action", "details"),
    [
        ("self._audit.record(who, 'a', target, size=1)", {"a"}, {"size"}),
        ("held.callback(call.services.audit.record, who, 'a', model)", {"a"}, set()),
        ("audit.record(who, 'a' if new else 'b', **({} if new else {'code': 1}))", {"a", "b"}, {"code"}),
        ("def f(x):\n    name = {'1': 'a', '2': 'b'}[x]\n    audit.record(who, name)", {"a", "b"}, set()),
        ("ENDED = {1: 'a'}\ndef f(x):\n    audit.record(who, ENDED[x])", {"a"}, set()),
        ("def note(x, action):\n    audit.record(x, action)\nnote(1, 'a')\nnote(2, 'b')", {"a", "b"}, set()),
        ("def f():\n    d = {'x': 1}\n    d['y'] = 2\n    audit.record(who, 'a', **d)", {"a"}, {"x", "y"}),
    ],
)
def test_actions_are_found_however_they_are_written(code: str, action: set[str], details: set[str]):
    found = audit_calls.find({"x.py": code}).details
    assert set(found) == action
    assert set().union(*found.values()) == details


@pytest.mark.parametrize(
    "code",
    [
        "audit.record(who, f'update-{phase}')",
        "audit.record(who, make_a_name())",
        "def note(action):\n    audit.record(1, action)",
        "def f():\n    audit.record(who, 'a', **details())",
        "Elsewhere(audit.record)",
        "write = audit.record",
    ],
)
def test_an_action_that_cannot_be_found_is_refused(code: str):
    with pytest.raises(HiddenError):
        audit_calls.find({"x.py": code})
