"""Real documents that lie beside the checkout, where there are any."""

from pathlib import Path

import pytest

from tests.simulators.documents import shared_documents


@pytest.fixture
def samples() -> Path:
    """The folder of Japanese documents in many formats."""
    return shared_documents()
