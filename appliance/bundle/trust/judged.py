"""The trust code behind the three commands that TUF's public conformance suite asks a client for.

Metadata comes over HTTP from this machine's loopback here; everything above the fetcher is what a box runs.
"""

import argparse
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tuf.api.exceptions import DownloadError
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from appliance import clock
from appliance.bundle.trust.state import TrustStore
from appliance.bundle.trust.statement import Statement, inspect_root
from appliance.errors import BundleInvalidError, HakoError

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class _Loopback(Urllib3Fetcher):
    """Refuses every other host: this is for the suite only, a box has no such way out."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        if urlsplit(url).hostname not in _LOOPBACK:
            raise DownloadError("only loopback")
        return super()._fetch(url)


class _Client:
    """`folder` shows the trusted metadata under plain names; what is believed lies in `memory`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memory = folder / "memory"

    def init(self, root: Path) -> None:
        """Trust this root from now on."""
        data = root.read_bytes()
        inspect_root(data)
        self._memory.mkdir(parents=True, exist_ok=True)
        (self._memory / "key").write_bytes(secrets.token_bytes(32))
        (self._memory / "anchor.json").write_bytes(data)
        shutil.copyfile(root, self._folder / "root.json")

    def refresh(self, base: str) -> None:
        """Look at what is published now."""
        self._look(base, [], "", Path())

    def download(self, base: str, names: list[str], target_base: str, into: Path) -> None:
        """Bring targets; those that are there already and right are left alone."""
        self._look(base, names, target_base, into)

    def _look(self, base: str, names: list[str], target_base: str, into: Path) -> None:
        store = TrustStore(self._memory, (self._memory / "key").read_bytes())
        anchor = (self._memory / "anchor.json").read_bytes()
        state = store.load()
        with Statement(anchor, state, _Loopback(), base, clock.now(), str(into)) as statement:
            try:
                statement.refresh()
                for name in names:
                    target = statement.target(name)
                    if target is None:
                        raise BundleInvalidError(f"no target {name[:100]}")
                    statement.download(target, target_base)
            finally:
                learned = store.save(statement.learned())
                newest = max(learned.roots, default=0)
                shown = {"root": learned.roots.get(newest, anchor), **learned.metadata}
                for role, data in shown.items():
                    (self._folder / f"{role}.json").write_bytes(data)


def main(arguments: list[str] | None = None) -> int:
    """0 if all that was asked for is trusted, else 1."""
    parser = argparse.ArgumentParser(prog="update-client")
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url", default="")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url", default="")
    parser.add_argument("--target-dir", type=Path, default=Path())
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    wish = parser.parse_args(arguments)
    client = _Client(wish.metadata_dir)
    try:
        if wish.command == "init":
            client.init(wish.root)
        elif wish.command == "refresh":
            client.refresh(wish.metadata_url)
        else:
            client.download(wish.metadata_url, wish.target_name, wish.target_base_url, wish.target_dir)
    except (HakoError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - a command's own words
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
