"""Which layers of the sandbox hold: all, some, none that can be told; and what a container doesn't look at."""

import re
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.health import registry
from appliance.health.checks.sandbox import SandboxCheck
from appliance.health.host import Host
from appliance.machine import jail
from tests.unit.health.checks.machines import is_unknown
from tests.unit.health.checks.test_every_check import words
from webui import locales
from webui.api.help_pages import FOLDER

CARD = frozenset({"lo", "eth0"})
ALL = " ".join(jail.LAYERS)


def seen(said: str | None, cards: frozenset[str] = CARD):
    host = Host(Path("/nonexistent"), lambda _command: said, lambda _folder: None)
    return SandboxCheck(lambda: cards).look(host)


def test_it_is_whole_or_says_what_is_missing_and_how_bad_that_is() -> None:
    assert seen(ALL).state == "ok"
    weak = seen(ALL.replace("namespaces", ""))
    assert (weak.state, weak.params, weak.findings[0].code) == ("warning", {"missing": "namespaces"}, "HK-IMG-017")
    bad = seen("limits nobody landlock")
    assert (bad.state, bad.params["missing"]) == ("error", "no-new-privileges, namespaces, seccomp")


def test_a_network_without_a_way_out_stands_for_a_network_of_its_own() -> None:
    assert seen(ALL.replace("namespaces", ""), frozenset({"lo"})).state == "ok"


@pytest.mark.parametrize("said", [None, "", "Traceback: no module"])
def test_what_says_nothing_of_use_is_unknown(said: str | None) -> None:
    assert is_unknown(seen(said))


def test_it_is_tried_for_real() -> None:
    held = set((Host().run(SandboxCheck.command) or "").split())
    assert jail.REQUIRED <= held <= set(jail.LAYERS)


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_its_words_and_its_row_are_there(language: locales.Language) -> None:
    own = {key for key in locales.catalogue(language) if key.startswith("health.sandbox.")}
    assert words(SandboxCheck()) == own
    text = (FOLDER / language / "health.md").read_text("utf-8")
    assert re.search(rf"^\| `HK-IMG-017` \| {locales.t('health.sandbox.weak.title', language)} \|", text, re.MULTILINE)
    assert f"| {locales.t('health.sandbox.title', language)} |" in text


def test_a_container_looks_at_its_sandbox_and_not_at_the_hosts_machine(tmp_path: Path) -> None:
    machine = [check.name for check in registry.machine(Settings(data_dir=tmp_path))]
    contained = registry.machine(Settings(data_dir=tmp_path, container=True))
    assert [check.name for check in contained] == [*machine, "sandbox"]
    looks = {check.name: check.look(_alarming()) for check in contained if check.name in registry.HOSTS}
    assert looks.keys() == registry.HOSTS
    assert {name for name, look in looks.items() if look.state != "unknown"} == {"tpm"}
    assert looks["tpm"].value == "none"
    assert not [finding for look in looks.values() for finding in look.findings]


def _alarming() -> Host:
    """A host whose every look would be an alarm: nobody may look."""

    def never(*_given: object) -> None:
        pytest.fail("the host's machine was looked at")

    return Host(Path("/"), never, never)
