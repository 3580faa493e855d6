"""A publisher at a terminal: every key in one hand, everything typed as the manual says."""

import re
from pathlib import Path

from click.testing import CliRunner

from appliance.bundle.publish.repository import ROLE_NAMES
from appliance.cli.main import main


class PublishersTerminal:
    """Types commands in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.repository = folder, folder / "repo"
        self._secret = folder / "passphrase"
        self._secret.touch(mode=0o600)
        self._secret.write_text("correct horse battery\n")
        self.hako("keygen", "carol", "--into", folder / "keys", "--passphrase-file", self._secret)
        shares = [word for role in ROLE_NAMES for word in ("--key", f"{role}={folder}/keys/carol.pub.json")]
        self.hako("ceremony", self.repository, *shares)
        self.sign()

    @property
    def root(self) -> Path:
        return self.repository / "metadata" / "1.root.json"

    def hako(self, *words: str | Path) -> str:
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
        key = self.folder / "keys" / "carol.key.json"
        self.hako("sign", self.repository, key, "--passphrase-file", self._secret)
