"""A publisher at a terminal: everything typed as the manual says, every key in one hand or in several."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from click.testing import CliRunner

from appliance.bundle.publish.repository import ROLE_NAMES
from appliance.cli.main import main


class PublishersTerminal:
    """Types commands in a folder. `holders`: names of people, each with the roles that they sign for."""

    def __init__(self, folder: Path, holders: Mapping[str, Sequence[str]] | None = None) -> None:
        self.folder, self.repository = folder, folder / "repo"
        self._secret = folder / "passphrase"
        self._secret.touch(mode=0o600)
        self._secret.write_text("correct horse battery\n")
        self._holders = holders or {"carol": ROLE_NAMES}
        shares: list[str] = []
        for name, roles in self._holders.items():
            self.hako("keygen", name, "--into", folder / "keys", "--passphrase-file", self._secret)
            shares += [word for role in roles for word in ("--key", f"{role}={folder}/keys/{name}.pub.json")]
        self.hako("ceremony", self.repository, *shares)
        self.sign()

    @property
    def root(self) -> Path:
        return self.repository / "metadata" / "1.root.json"

    @property
    def fingerprint(self) -> str:
        """What the publisher tells an operator by another way."""
        return hashlib.sha256(self.root.read_bytes()).hexdigest()

    def hako(self, *words: str | Path) -> str:
        """`hako bundle …`; what it printed."""
        ran = CliRunner(env={"LC_ALL": "en_GB.UTF-8"}).invoke(main, ["bundle", *map(str, words)])
        assert ran.exit_code == 0, ran.output
        return ran.output

    def release(self, wheel: Path, lock: Path, counter: int, *more: str | Path) -> str:
        """Publish a release; the digest of its bundle."""
        version = wheel.name.split("-")[1]
        content = self.folder / f"release-{version}"
        self.hako("collect", content, "--wheel", wheel, "--lock", lock, "--wheels", lock.parent)
        said = self.hako(
            "build", self.repository, content, "--kind", "release", "--name", "hako", "--version", version,
            "--licence", "Apache-2.0", "--counter", str(counter), *more,
        )  # fmt: skip
        self.sign()
        return re.findall(r"^[0-9a-f]{64}$", said, re.MULTILINE)[0]

    def sign(self) -> None:
        """Each holder in turn."""
        for name in self._holders:
            key = self.folder / "keys" / f"{name}.key.json"
            self.hako("sign", self.repository, key, "--passphrase-file", self._secret)
