"""Keyed digests and derived keys."""

import hashlib
import hmac
import io

import pytest

from appliance.errors import VaultDamagedError
from appliance.vault import digests

KEY = bytes(range(32))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    for use in (
        lambda: digests.check_key(key),
        lambda: digests.derive(key, "hako/v1/database"),
        lambda: digests.keyed_digest(key, b""),
        lambda: digests.KeyedReader(key, io.BytesIO()),
    ):
        with pytest.raises(VaultDamagedError):
            use()


def test_derived_keys_are_hkdf_sha256_of_rfc_5869() -> None:
    pseudo = hmac.digest(bytes(32), KEY, "sha256")
    expected = hmac.digest(pseudo, b"hako/v1/database\x01", "sha256")
    assert digests.derive(KEY, "hako/v1/database") == expected


def test_each_label_and_each_key_gives_another_key() -> None:
    labels = ("hako/v1/database", "hako/v1/blobs", "hako/v1/tokens", "hako/v1/audit")
    made = {digests.derive(key, label) for key in (KEY, KEY[::-1]) for label in labels}
    assert len(made) == 8
    assert {len(key) for key in made} == {32}


def test_bytes_streams_and_readers_digest_alike() -> None:
    content = "診療記録".encode() * 200_000
    expected = hmac.new(KEY, content, hashlib.sha256).hexdigest()
    reader = digests.KeyedReader(KEY, io.BytesIO(content))
    assert b"".join(iter(lambda: reader.read(4096), b"")) == content
    assert digests.keyed_digest(KEY, content) == expected
    assert digests.keyed_digest(KEY, io.BytesIO(content)) == expected
    assert reader.digest() == expected


def test_a_digest_tells_nothing_without_the_key() -> None:
    assert digests.keyed_digest(KEY, b"known file") != digests.keyed_digest(KEY[::-1], b"known file")
    assert digests.keyed_digest(KEY, b"known file") != hashlib.sha256(b"known file").hexdigest()


def test_comparing_takes_text_and_bytes() -> None:
    assert digests.same("abc", b"abc")
    assert not digests.same("abc", "abd")
    assert not digests.same("abc", "abcd")
