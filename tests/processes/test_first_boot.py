"""The first start as systemd makes it: no vault, a code for root alone, and everything else in a browser."""

from contextlib import closing

import httpx2
import pytest

from appliance.errors import BootTestError
from appliance.image.visitor import NAME, Visitor
from appliance.vault.client import KeysClient
from tests.simulators.units import PASSPHRASE, Units


def test_a_box_that_systemd_starts_is_set_up_from_the_code_to_the_recovery_key() -> None:
    """About five seconds: the processes start in their accounts, and Argon2 is real. `make boot-test` does the same."""
    with Units() as units, closing(Visitor(units.url)) as owner:
        units.start("keys", "inference", "worker", "web")
        assert httpx2.get(f"{units.url}/chat").headers["Location"] == "/setup"
        with pytest.raises(BootTestError, match="403"):
            owner.asks("POST", "/first-setup", {})
        with units.client() as root:
            code = root.post("/first-setup", {})["code"]
        owner.set_up(code, PASSPHRASE)
        status = KeysClient(units.settings.keys_socket).status()
        assert (status.exists, status.sealed, status.recovery_confirmed) == (True, False, True)
        who = owner.asks("GET", "/me")["user"]
        assert (who["name"], who["role"]) == (NAME, "operator")
        with units.client() as root:
            assert root.post("/setup-link", {}) == {"path": None, "code": None}
            assert root.get("/state")["set_up"] is True
        assert (units.data / "vault.json").stat().st_mode & 0o007 == 0
