"""Keys for other boxes: opened by the one that they are for, in the context that they were sealed in only."""

import pytest

from appliance.errors import EnvelopeError, VaultDamagedError
from appliance.vault.parcels import ReceivingKey, seal_for

KEY = bytes(range(100, 132))


def test_only_the_receiver_opens_it_and_only_in_its_context() -> None:
    receiver, other = ReceivingKey(bytes(range(32))), ReceivingKey(bytes(range(1, 33)))
    sealed = seal_for(receiver.public, KEY, b"from ward 3")
    assert receiver.open(sealed, b"from ward 3") == KEY
    assert KEY not in sealed
    assert seal_for(receiver.public, KEY, b"from ward 3") != sealed
    for opener, context in ((other, b"from ward 3"), (receiver, b"from ward 4"), (receiver, b"")):
        with pytest.raises(EnvelopeError):
            opener.open(sealed, context)


@pytest.mark.parametrize("place", [0, 31, 32, 40, -1])
def test_every_turned_bit_is_noticed(place: int) -> None:
    receiver = ReceivingKey(bytes(range(32)))
    sealed = bytearray(seal_for(receiver.public, KEY, b"x"))
    sealed[place] ^= 1
    with pytest.raises(EnvelopeError):
        receiver.open(bytes(sealed), b"x")


@pytest.mark.parametrize("sealed", [b"", bytes(10), bytes(32), bytes(125), bytes(200)])
def test_nonsense_is_no_key(sealed: bytes) -> None:
    with pytest.raises(EnvelopeError):
        ReceivingKey(bytes(range(32))).open(sealed, b"x")


def test_keys_of_another_length_and_points_of_small_order_are_refused() -> None:
    for public in (b"", bytes(31), bytes(32)):
        with pytest.raises(EnvelopeError):
            seal_for(public, KEY, b"x")
    with pytest.raises(VaultDamagedError):
        ReceivingKey(b"short")
