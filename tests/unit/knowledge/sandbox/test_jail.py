"""In the jail: what a document that has taken over its reader can still do."""

import os

import pytest

from appliance.knowledge.extract.contract import Extracted
from appliance.knowledge.sandbox.reader import DocumentReader
from appliance.machine import jail
from tests.simulators.documents import filling, shapes
from tests.simulators.hostile_zygote import ATTEMPTS

REFUSED = {"EPERM", "EACCES", "ENOSYS", "EAGAIN"}


def asked(reader: DocumentReader, name: str) -> Extracted:
    return reader.read(filling(b"x"), name, lambda _done, _total: None)


@pytest.mark.parametrize("kind", ["hostile", "nobodys"])
def test_nothing_that_was_tried_succeeds(kind: str, request: pytest.FixtureRequest) -> None:
    reader: DocumentReader = request.getfixturevalue(kind)
    outcomes = dict(text.split(": ") for _, text in shapes(asked(reader, "probe")))
    assert outcomes.keys() == ATTEMPTS.keys()
    assert {name: outcome for name, outcome in outcomes.items() if outcome not in REFUSED} == {}


@pytest.mark.parametrize("kind", ["hostile", "nobodys"])
def test_the_required_layers_hold_whoever_starts_the_reader(kind: str, request: pytest.FixtureRequest) -> None:
    reader: DocumentReader = request.getfixturevalue(kind)
    asked(reader, "identity")
    assert set(reader.layers) >= jail.REQUIRED
    assert reader.layers == tuple(name for name in jail.LAYERS if name in reader.layers)


def test_a_child_of_root_is_nobody(hostile: DocumentReader) -> None:
    uid = int(shapes(asked(hostile, "identity"))[0][1].split()[0])
    assert uid == (65534 if os.getuid() == 0 else os.getuid())


def test_the_document_can_not_be_changed(hostile: DocumentReader) -> None:
    assert shapes(asked(hostile, "overwrite")) == [("paragraph", "sealed")]
