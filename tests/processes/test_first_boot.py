"""The first start as systemd makes it: no vault, a code for root alone, and everything else in a browser."""

import re

import httpx2
import pytest

from appliance.vault.client import KeysClient
from tests.simulators.units import PASSPHRASE, PASSWORD, Units


def test_a_box_that_systemd_starts_is_set_up_from_the_code_to_the_recovery_key() -> None:
    """About five seconds: the processes start in their accounts, and Argon2 is real."""
    with Units() as units, httpx2.Client(base_url=units.url, timeout=60) as browser:
        units.start("keys", "inference", "worker", "web")
        assert browser.get("/chat").headers["Location"] == "/setup"
        with pytest.raises(httpx2.HTTPStatusError):
            browser.post("/api/v1/first-setup", json={}).raise_for_status()
        with units.client() as root:
            code = root.post("/first-setup", {})["code"]
        token = ""

        def send(step: str, **form: str) -> str:
            nonlocal token
            page = browser.post("/setup", data={"step": step, "token": token, **form}).text
            found = re.search(r'name="token" value="([^"]*)"', page)
            token = found[1] if found else token
            return page

        assert 'name="code"' in send("language", language="en")
        assert 'name="passphrase"' in send("code", code=code.lower())
        assert 'name="display_name"' in send("vault", passphrase=PASSPHRASE, again=PASSPHRASE)
        shown = send("account", display_name="Mori", name="mori", password=PASSWORD)
        groups = re.findall(r"<li>([0-9A-Z]{5})</li>", shown)
        assert len(groups) == 8
        asked = re.search(r"\d", send("recovery").split('for="group">')[1])
        assert asked
        assert "measure" in send("confirm", group=groups[int(asked[0]) - 1])
        status = KeysClient(units.settings.keys_socket).status()
        assert (status.exists, status.sealed, status.recovery_confirmed) == (True, False, True)
        assert browser.get("/api/v1/me").json()["user"]["role"] == "operator"
        with units.client() as root:
            assert root.post("/setup-link", {}) == {"path": None, "code": None}
            assert root.get("/state")["set_up"] is True
        assert (units.data / "vault.json").stat().st_mode & 0o007 == 0
