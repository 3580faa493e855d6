"""Sealed files and wrapped keys: what goes in comes out, and nothing else opens."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import EnvelopeError, VaultDamagedError
from appliance.vault import envelope

KEY = bytes(range(32))
OTHER = KEY[::-1]
CHUNK = envelope.CHUNK


class Dripping(io.BytesIO):
    """A source that gives less than was asked, as a socket does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 70_001) if size and size > 0 else size)


def sealed(content: bytes, key: bytes = KEY) -> bytes:
    target = io.BytesIO()
    assert envelope.seal_stream(key, Dripping(content), target) == len(content)
    return target.getvalue()


def opened(content: bytes, key: bytes = KEY) -> bytes:
    return b"".join(envelope.open_stream(key, Dripping(content)))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_what_is_sealed_opens_again(size: int) -> None:
    content = bytes(i % 251 for i in range(997)) * (size // 997 + 1)
    assert opened(sealed(content[:size])) == content[:size]


def test_the_same_content_looks_different_each_time_and_shows_nothing() -> None:
    content = "診療記録".encode() * 100
    assert sealed(content) != sealed(content)
    assert "診療".encode() not in sealed(content)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(EnvelopeError):
        opened(sealed(b"text"), OTHER)


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(min_value=0), st.integers(0, 7))
def test_every_flipped_bit_is_noticed(content: bytes, place: int, bit: int) -> None:
    whole = bytearray(sealed(content))
    whole[place % len(whole)] ^= 1 << bit
    with pytest.raises(EnvelopeError):
        opened(bytes(whole))


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(min_value=0))
def test_every_cut_is_noticed(content: bytes, length: int) -> None:
    whole = sealed(content)
    with pytest.raises(EnvelopeError):
        opened(whole[: length % len(whole)])


def test_a_missing_a_swapped_and_an_added_chunk_are_noticed() -> None:
    whole = sealed(bytes(2 * CHUNK) + b"end")
    start, step = len(whole) - (2 * CHUNK + 3 + 3 * 16), CHUNK + 16
    head, first, second, last = whole[:start], whole[start:][:step], whole[start:][step : 2 * step], whole[-19:]
    assert opened(head + first + second + last) == bytes(2 * CHUNK) + b"end"
    for altered in (head + first + second, head + second + first + last, head + first + last, whole + last):
        with pytest.raises(EnvelopeError):
            opened(altered)


def test_chunks_of_another_file_under_the_same_key_are_noticed() -> None:
    one, two = sealed(bytes(CHUNK) + b"1"), sealed(bytes(CHUNK) + b"2")
    with pytest.raises(EnvelopeError):
        opened(one[:-17] + two[-17:])


def test_a_wrapped_key_opens_only_with_its_key_and_its_context() -> None:
    inner = envelope.new_key()
    wrapped = envelope.wrap_key(KEY, inner, b"blob 1")
    assert envelope.unwrap_key(KEY, wrapped, b"blob 1") == inner
    assert inner not in wrapped
    for key, aad in ((OTHER, b"blob 1"), (KEY, b"blob 2"), (KEY, b"")):
        with pytest.raises(EnvelopeError):
            envelope.unwrap_key(key, wrapped, aad)


def test_every_altered_byte_of_a_wrapped_key_is_noticed() -> None:
    wrapped = envelope.wrap_key(KEY, OTHER, b"context")
    for place in range(len(wrapped)):
        altered = bytearray(wrapped)
        altered[place] ^= 1
        with pytest.raises(EnvelopeError):
            envelope.unwrap_key(KEY, bytes(altered), b"context")
    for wrong in (b"", wrapped[:-1], wrapped + b"\0"):
        with pytest.raises(EnvelopeError):
            envelope.unwrap_key(KEY, wrong, b"context")


def test_keys_of_another_length_are_refused() -> None:
    with pytest.raises(VaultDamagedError):
        envelope.wrap_key(KEY, b"short", b"")
    with pytest.raises(VaultDamagedError):
        envelope.wrap_key(b"short", KEY, b"")
    with pytest.raises(VaultDamagedError):
        envelope.seal_stream(b"short", io.BytesIO(), io.BytesIO())
