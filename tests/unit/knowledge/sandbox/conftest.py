"""Readers that run: the real one, and one whose children misbehave."""

from collections.abc import Iterator

import pytest

from appliance.knowledge.sandbox.reader import DocumentReader
from tests.simulators.hostile_zygote import COMMAND, LIMITS


@pytest.fixture(scope="module")
def reader() -> Iterator[DocumentReader]:
    """The real reader."""
    reader = DocumentReader(LIMITS)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def hostile() -> Iterator[DocumentReader]:
    """A reader whose children do what the document's name says."""
    reader = DocumentReader(LIMITS, COMMAND)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def hasty() -> Iterator[DocumentReader]:
    """The same with a second to read in."""
    reader = DocumentReader(LIMITS.model_copy(update={"parse_seconds": 1}), COMMAND)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def nobodys() -> Iterator[DocumentReader]:
    """The same, started by an ordinary user."""
    reader = DocumentReader(LIMITS, (*COMMAND, "--nobody"))
    yield reader
    reader.close()
