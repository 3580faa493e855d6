"""Stored settings: JSON values by name."""

import pytest

from appliance.storage import settings_store
from appliance.storage.database import Database


@pytest.mark.parametrize("value", ["箱", 3, 2.5, True, False, [1, "二"], {"a": {"b": None}}, "", 0])
def test_a_value_comes_back_as_it_went_in(database: Database, value: object) -> None:
    settings_store.put(database, "name", value)
    assert settings_store.get(database, "name") == value


def test_what_was_never_stored_or_was_deleted_is_none(database: Database) -> None:
    assert settings_store.get(database, "name") is None
    settings_store.put(database, "name", 1)
    settings_store.put(database, "other", 2)
    settings_store.delete(database, "name")
    settings_store.delete(database, "name")
    assert settings_store.get(database, "name") is None
    assert settings_store.get(database, "other") == 2


def test_a_later_value_replaces_the_earlier_one(database: Database) -> None:
    settings_store.put(database, "name", "old")
    settings_store.put(database, "name", ["new"])
    assert settings_store.get(database, "name") == ["new"]


def test_what_json_cannot_hold_changes_nothing(database: Database) -> None:
    settings_store.put(database, "name", "old")
    with pytest.raises(TypeError):
        settings_store.put(database, "name", {b"bytes"})
    assert settings_store.get(database, "name") == "old"
