"""What is closed after use can be used in a `with` block: one base class for all of it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """Gives `with` to a class that has `close`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; harmless when done already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
