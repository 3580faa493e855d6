"""A vault file whose passphrase is quick to check."""

from pathlib import Path

import pytest

from appliance.vault.keyring import Keyring
from appliance.vault.passphrase import Cost

CHEAP = Cost(memory_kib=8, passes=1)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "vault.json", CHEAP)
