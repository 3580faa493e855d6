"""Which encoding a text is in."""

import codecs

import pytest

from appliance.knowledge.extract import encodings
from appliance.knowledge.extract.encodings import decode

TEXT = "東京都の職員は、毎朝八時半に出勤します。カタカナとひらがな、漢字。①㈱髙橋"
PLAIN = "東京都の職員は、毎朝八時半に出勤します。カタカナとひらがな、漢字。"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
def test_a_text_with_characters_of_the_trade_is_read(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)).text == TEXT


@pytest.mark.parametrize("encoding", ["euc_jp", "iso2022_jp", "utf-16-le", "utf-16-be", "shift_jis"])
def test_a_plain_text_is_read(encoding: str) -> None:
    assert decode(PLAIN.encode(encoding)).text == PLAIN


def test_half_width_katakana_in_euc_are_not_taken_for_shift_jis() -> None:
    text = "ｶﾀｶﾅﾀﾞｹﾉﾌﾞﾝｼｮ"
    assert decode(text.encode("euc_jp")).text == text


def test_a_mark_decides() -> None:
    assert decode(codecs.BOM_UTF16_BE + "あ".encode("utf-16-be")).encoding == "utf-16"


def test_a_label_is_a_hint_that_must_hold() -> None:
    assert decode("あいう".encode(), "shift_jis").text == "あいう"
    assert decode("Łódź".encode("cp1250"), "windows-1250").text == "Łódź"


def test_a_few_damaged_bytes_are_counted_and_do_not_decide() -> None:
    data = PLAIN.encode("utf-8")
    decoded = decode(data[:30] + b"\xff" + data[30:])
    assert (decoded.encoding, decoded.unreadable) == ("utf-8", 1)


def test_latin_text_with_accents_is_read() -> None:
    assert decode("Déjà vu: café, garçon, naïve, über, año, señor".encode("cp1252")).text.startswith("Déjà vu")


def test_every_codec_can_be_loaded_beforehand() -> None:
    encodings.preload()
    for name in encodings.CODECS:
        assert codecs.lookup(name).name
