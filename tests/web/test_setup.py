"""First set-up in the browser: the code on the screen, a vault, and what the machine still needs."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance.vault import certificates
from tests.simulators.box import PASSPHRASE, PASSWORD, Keys, TestBox
from tests.simulators.certificates import certificate, new_key
from tests.simulators.machine import Machine
from tests.web.test_machine import by
from webui import setup_link

SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[TestBox]:
    box = TestBox(tmp_path / "b")
    yield box
    box.close()


@pytest.fixture
def machine(fresh: TestBox, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "machine")
    with made.served(fresh.settings.helper_socket):
        yield made


class Person:
    """In a browser without a script: sends what the page's form would send."""

    def __init__(self, box: TestBox) -> None:
        self.client: FlaskClient = box.app.test_client()
        self.text, self.status = "", 0
        self.steps = 0

    def go(self, path: str = "/setup") -> "Person":
        return self._took(self.client.get(path))

    def send(self, step: str, *, options: dict[str, Any] | None = None, **form: str) -> "Person":
        token = re.search(r'name="token" value="([^"]*)"', self.text)
        said = {"step": step, "token": token[1] if token else "", **form}
        self.steps += 1
        return self._took(self.client.post("/setup", data=said, headers=SAME, **(options or {})))

    def is_at(self, step: str) -> bool:
        return f'name="step" value="{step}"' in self.text

    def register(self) -> "Person":
        """From the account to a confirmed recovery key."""
        self.send("account", display_name="Mori", name="mori", password=PASSWORD)
        asked = int(re.search(r"\d+", self.send("recovery").text.split('for="group">')[1])[0])  # type: ignore[index]
        return self.send("confirm", group=Keys.RECOVERY.split("-")[asked - 1])

    def _took(self, answer: Any) -> "Person":
        self.status, self.text = answer.status_code, answer.get_data(as_text=True)
        self.location = answer.location
        return self


def local(box: TestBox, path: str) -> Any:
    """On the box's own socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        return box.app.test_client().post(path, json={}, environ_overrides={"gunicorn.socket": ours})


def test_the_code_on_the_screen_opens_set_up_however_it_is_typed(fresh: TestBox) -> None:
    made = local(fresh, "/api/v1/setup-link").get_json()
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", made["code"])
    mori = Person(fresh).go()
    assert (mori.status, mori.is_at("language")) == (200, True)
    assert mori.send("language", language="en").is_at("code")
    assert mori.send("code", code=f" {made['code'].replace('-', ' ').lower()} ").is_at("account")
    assert fresh.app.test_client().get(made["path"]).status_code == 403  # who has typed the code goes on alone
    assert mori.register().is_at("capacity")
    late = Person(fresh)
    assert (late.go().status, late.location) == (303, "/sign-in?next=/setup")
    assert late.send("code", code=made["code"]).status == 403


def test_a_wrong_code_is_counted_and_then_has_to_wait(fresh: TestBox) -> None:
    right = local(fresh, "/api/v1/setup-link").get_json()["code"]
    mallory = Person(fresh)
    statuses = [mallory.send("code", code=f"ZZZZZZZ{number}").status for number in range(6)]
    assert statuses == [403, 403, 403, 403, 403, 429]
    assert mallory.send("code", code=right).status == 429
    assert "HK-AUTH-004" in mallory.text
    elsewhere = Person(fresh)
    remote = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.99"}}
    assert elsewhere.send("code", code=right, options=remote).is_at("account")


def test_codes_are_worthless_where_somebody_has_an_account_or_a_newer_one_was_made(fresh: TestBox) -> None:
    first = setup_link.make(fresh.services)
    assert first
    assert setup_link.make(fresh.services)
    assert Person(fresh).send("code", code=first.code).status == 403
    assert Person(fresh).send("code", code="").status == 403
    fresh.person("mori", "operator")
    assert local(fresh, "/api/v1/setup-link").get_json() == {"path": None, "code": None}
    assert Person(fresh).go().status == 403


def test_a_box_without_a_vault_gets_one_from_who_has_the_code(tmp_path: Path) -> None:
    box = TestBox(tmp_path / "b")
    try:
        box.seal()
        box.settings.database.unlink()
        box.keys.exists = box.keys.sealed = False
        mallory = box.app.test_client()
        assert mallory.get("/chat").location == "/setup"
        assert mallory.post("/api/v1/first-setup", json={}).status_code == 403
        made = local(box, "/api/v1/first-setup").get_json()
        mori = Person(box).go()
        assert mori.send("vault", passphrase=PASSPHRASE, again=PASSPHRASE).status == 403
        assert not box.keys.exists
        assert mori.go().send("language", language="en").is_at("code")
        assert mori.send("code", code=made["code"]).is_at("vault")
        assert "HK-BOX-036" in mori.send("vault", passphrase=PASSPHRASE, again="another").text
        assert "HK-AUTH-005" in mori.send("vault", passphrase="short", again="short").text
        assert not box.keys.exists
        assert mori.send("vault", passphrase=PASSPHRASE, again=PASSPHRASE).is_at("account")
        assert (box.keys.exists, box.box.first, box.box.is_open) == (True, {}, True)
        assert mori.register().is_at("capacity")
        assert local(box, "/api/v1/first-setup").status_code == 409
    finally:
        box.close()


@pytest.fixture
def mori(fresh: TestBox, machine: Machine) -> Person:
    """At the first of the later steps, of a machine that can be changed."""
    code = local(fresh, "/api/v1/setup-link").get_json()["code"]
    person = Person(fresh).go("/setup?lang=en")
    person.send("code", code=code)
    return person.register()


def test_all_steps_are_few_and_each_can_be_passed_over_and_gone_back_to(mori: Person, machine: Machine) -> None:
    assert mori.is_at("network")
    assert mori.send("network", act="skip").is_at("time")
    assert mori.send("time", act="back").is_at("network")
    assert mori.send("network", act="skip").is_at("time")
    assert mori.send("time", act="skip").is_at("capacity")  # no certificate without TLS
    assert mori.go().is_at("capacity")  # where it stands is known, also at a new address
    assert "/docs" in mori.send("capacity", act="skip").text
    assert (mori.go().status, mori.location) == (303, "/")
    assert machine.ran == []


def test_the_machine_is_named_and_its_clock_and_zone_are_set(mori: Person, machine: Machine, fresh: TestBox) -> None:
    unchanged = {"interface": "eth0", "way": "dhcp", "address": "192.0.2.50/24"}
    assert "HK-BOX-003" in mori.send("network", **unchanged, name="No Name").text
    assert mori.send("network", **unchanged, name="ward-3").is_at("time")
    assert machine.name == "ward-3"
    shown = re.search(r'name="shown" value="([^"]+)"', mori.text)
    assert shown
    assert "HK-BOX-003" in mori.send("time", zone="Mars/Base", clock=shown[1], shown=shown[1]).text
    assert mori.send("time", zone="Asia/Tokyo", clock="2027-01-15T17:00", shown=shown[1]).is_at("capacity")
    assert machine.ran[-2:] == [
        ["timedatectl", "set-timezone", "Asia/Tokyo"], ["timedatectl", "set-time", "2027-01-15 08:00:00 UTC"],
    ]  # fmt: skip
    assert mori.send("capacity", act="back").is_at("time")
    shown = re.search(r'name="shown" value="([^"]+)"', mori.text)
    assert shown
    told = len(machine.ran)
    assert mori.send("time", zone="Asia/Tokyo", clock=shown[1], shown=shown[1]).is_at("capacity")
    assert len(machine.ran) == told  # nothing was changed, so nothing is set


def test_a_new_address_is_kept_by_its_link_and_set_up_goes_on_there(
    mori: Person, machine: Machine, fresh: TestBox
) -> None:
    wish = {"interface": "eth0", "way": "static", "name": "hako", "gateway": "192.0.2.1", "dns": "192.0.2.2"}
    assert "HK-BOX-003" in mori.send("network", **wish, address="192.0.2.7").text
    assert machine.ran == []
    mori.send("network", **wish, address="192.0.2.7/24")
    link = re.search(r'href="http://192\.0\.2\.7(/keep-network\?word=[^"]+)"', mori.text)
    assert link, mori.text
    assert mori.send("network").is_at("network")
    assert machine.network.is_on_trial
    assert "HK-BOX-029" in mori.send("network", act="keep", options=by("192.0.2.50")).text
    elsewhere = Person(fresh)
    kept = elsewhere.client.post(link[1], headers=SAME, **by("192.0.2.7"))
    assert kept.status_code == 200
    assert (elsewhere.go().status, elsewhere.location) == (303, "/sign-in?next=/setup")
    assert machine.file().name == "10-hako-eth0.network"
    assert mori.send("network", act="skip").is_at("time")


def test_a_trial_can_be_kept_or_taken_back_on_its_page(mori: Person, machine: Machine) -> None:
    wish = {"interface": "eth0", "way": "static", "name": "hako", "address": "192.0.2.7/24"}
    mori.send("network", **wish)
    assert machine.network.is_on_trial
    assert 'name="way"' in mori.send("network", act="drop").text
    assert not machine.network.is_on_trial
    mori.send("network", **wish)
    assert mori.send("network", act="keep", options=by("192.0.2.7")).is_at("time")


def test_what_the_box_can_carry_is_measured(mori: Person) -> None:
    mori.send("network", act="skip")
    mori.send("time", act="skip")
    mori.send("capacity", act="measure")
    assert (mori.status, mori.is_at("capacity")) == (200, True)
    assert re.search(r"without much waiting: \d+", mori.text)
    assert "/chat" in mori.send("capacity").text


def test_only_the_operator_takes_the_later_steps(mori: Person, fresh: TestBox, machine: Machine) -> None:
    fresh.person("mallory")
    mallory = Person(fresh)
    mallory.client.post("/sign-in", data={"name": "mallory", "password": PASSWORD}, headers=SAME)
    steps: list[Callable[[], Person]] = [
        lambda: mallory.send("network", interface="eth0", way="static", address="192.0.2.7/24", name="mine"),
        lambda: mallory.send("time", zone="Asia/Tokyo"),
        lambda: mallory.send("capacity", act="measure"),
        lambda: Person(fresh).send("network", name="mine"),
    ]
    assert {step().status for step in steps} == {403}
    assert machine.ran == []


def test_where_there_is_tls_its_fingerprint_is_compared_before_going_on(
    mori: Person, fresh: TestBox, tmp_path: Path
) -> None:
    own = certificate(new_key(), "hako")
    for name in ("box.pem", "authority.pem"):
        (tmp_path / name).write_text(own)
    web = fresh.settings.web.model_copy(update={"tls_certificate": tmp_path / "box.pem"})
    fresh.box.settings = fresh.settings.model_copy(update={"web": web})
    fresh.box.machine._certificate = tmp_path / "box.pem"
    mori.send("network", act="skip")
    assert mori.send("time", act="skip").is_at("certificate")
    assert (
        mori.text.replace("<wbr>", "").count(certificates.described(own).fingerprint) == 2
    )  # large, and at the foot of each page
    assert 'href="/authority.crt"' in mori.text
    assert mori.send("certificate").is_at("capacity")
