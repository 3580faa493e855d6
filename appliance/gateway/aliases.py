"""Other names for models: a program that hard-codes `gpt-4o-mini` gets the model that the operator chose for it."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

from appliance.choices import Choices
from appliance.errors import BadInputError, ConflictError, NotFoundError
from appliance.inference.catalog import Catalog

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]*(/[A-Za-z0-9][A-Za-z0-9._:@+-]*)*")
_NAME_CHARS = 100
_MOST = 200
_TAKEN_PREFIX = "kb:"
"""Begins the names of bases that are asked like models."""


class Aliases:
    """A small JSON file, read anew on each look, since web and worker both resolve names. A model's own id wins."""

    def __init__(self, path: Path, catalog: Catalog, is_remote: Callable[[str], bool] = lambda _model: False) -> None:
        """`is_remote`: whether a model of another machine has that id."""
        self._chosen = Choices(path, "aliases_unreadable")
        self._catalog = catalog
        self._is_remote = is_remote
        self._lock = threading.Lock()

    def all(self) -> dict[str, str]:
        """Model ids by alias, sorted; nothing while the file can't be read."""
        return {name: str(model) for name, model in sorted(self._chosen.read().items())}

    def of(self, model: str) -> tuple[str, ...]:
        """The aliases of one model."""
        return tuple(name for name, target in self.all().items() if target == model)

    def resolve(self, name: str) -> str:
        """The id that `name` stands for; `name` itself if it is no alias."""
        return name if self.is_model(name) else self.all().get(name, name)

    def put(self, name: str, model: str) -> None:
        """Let `name` stand for `model` from now on, whatever it stood for.

        Raises:
            BadInputError: not a name that a program could call a model by.
            ConflictError: a model has that id, or there are too many aliases.
            ModelNotFoundError: no such model.
        """
        if len(name) > _NAME_CHARS or not _NAME.fullmatch(name) or name.lower().startswith(_TAKEN_PREFIX):
            raise BadInputError("alias", field="name")
        if self.is_model(name):
            raise ConflictError("a model's id", name=name)
        target = model if self._is_remote(model) else self._catalog.get(model).id
        with self._lock:
            known = self.all()
            if len(known) >= _MOST and name not in known:
                raise ConflictError("too many aliases", name=name)
            self._store({**known, name: target})

    def delete(self, name: str) -> None:
        """Raises NotFoundError."""
        with self._lock:
            known = self.all()
            if name not in known:
                raise NotFoundError("alias")
            del known[name]
            self._store(known)

    def drop(self, model: str) -> None:
        """Forget the aliases of a model that is gone."""
        with self._lock:
            known = self.all()
            kept = {name: target for name, target in known.items() if target != model}
            if kept != known:
                self._store(kept)

    def is_model(self, name: str) -> bool:
        """Whether a model has that id, whoever asks."""
        return self._catalog.has(name) or self._is_remote(name)

    def _store(self, names: dict[str, str]) -> None:
        self._chosen.write(names)
