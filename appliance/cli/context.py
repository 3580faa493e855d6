"""What every command shares: the data folder, the reader's language, errors as sentences and exit codes."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from appliance import config
from appliance.cli.client import BoxClient
from appliance.config import Settings
from appliance.errors import BoxNotRunningError, HakoError, Param, PrivateFileError, RootOnlyError
from webui import locales
from webui.locales import Language

P = ParamSpec("P")
T = TypeVar("T")

NOT_RUNNING = 3
"""Exit code when no box answers."""


def language() -> Language:
    """The terminal's language: Japanese where the locale says so, else English."""
    wish = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "ja" if wish.startswith("ja") else "en"


def say(key: str, **params: Param) -> str:
    """A sentence of the locales in the terminal's language."""
    return locales.t(key, language(), **params)


@dataclass(frozen=True)
class Terminal:
    """Where the command was started."""

    data_dir: Path

    def settings(self) -> Settings:
        """Raises ConfigError."""
        return config.load(data_dir=self.data_dir)

    def client(self) -> BoxClient:
        """Raises BoxNotRunningError; creates nothing."""
        settings = self.settings()
        if not settings.admin_socket.exists():
            raise BoxNotRunningError(str(settings.admin_socket))
        return BoxClient(settings, language())


def demand_private(file: Path) -> None:
    """Refuse a file with a secret that others can read. Raises PrivateFileError, or OSError if it isn't there."""
    mode = file.stat().st_mode
    if mode & 0o077:
        raise PrivateFileError(f"mode {mode & 0o777:o}", name=file.name)


def demand_root(settings: Settings) -> None:
    """What changes root's own units is for root, where there are any. Raises RootOnlyError."""
    if not settings.accounts.are_separate or os.geteuid() != 0:
        raise RootOnlyError


def reports_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Turn a HakoError into one sentence with its code on stderr and an exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except HakoError as error:
            click.echo(f"{locales.sentence(error, language())}  {error.code}", err=True)
            sys.exit(NOT_RUNNING if isinstance(error, BoxNotRunningError) else 1)

    return run
