"""Citations: which sentence a claim is tied to, and what may be called quoted or supported."""

import pytest

from appliance.knowledge import cite
from appliance.knowledge.hits import Hit, HitSentence
from appliance.knowledge.sentences import split

JA = (
    "夜勤手当は1回につき6,000円です。ただし、日勤に続けて勤務する者には支給しません。"
    "手当は翌月25日に田中経理課長が支払います。申請書は総務課に提出してください。"
)
EN = (
    "Solvents are stored in the yellow cabinet next to the fume hood. Do not pour solvents into the sink, "
    "and close the bottles after use. Dr. Smith inspected 12 cabinets in 2019. Gloves are provided by the stores."
)


def hit(text: str, title: str = "", heading: str = "") -> Hit:
    sentences = tuple(
        HitSentence(i, 3, start, end, text[start:end], score)
        for i, ((start, end), score) in enumerate(zip(split(text), (0.2, 0.9, 0.4, 0.8), strict=False))
    )
    return Hit("1", "doc_1", "base_1", "a.md", title, 3, 9, heading, text, 0.8, 0.7, 0.9, 1, 1, 2, sentences)


def mark(claim: str, text: str, sentence: int, title: str = "", heading: str = "") -> str:
    found = hit(text, title, heading)
    return cite.judge(claim, found, found.sentences[sentence])


@pytest.mark.parametrize(
    ("claim", "text", "sentence"),
    [
        ("夜勤手当は1回につき6,000円です。", JA, 0),
        ("夜勤手当は１回につき６，０００円です", JA, 0),
        ("手当は翌月25日に田中経理課長が支払います", JA, 2),
        ("日勤に続けて勤務する者には支給しません。", JA, 1),
        ("Solvents are stored in the yellow cabinet next to the fume hood.", EN, 0),
        ("solvents are stored in the yellow cabinet", EN, 0),
        ("close the bottles after use", EN, 1),
        ("Do not pour solvents into the sink.", EN, 1),
    ],
)
def test_the_documents_own_words_are_quoted(claim: str, text: str, sentence: int) -> None:
    assert mark(claim, text, sentence) == "quoted"


@pytest.mark.parametrize(
    ("claim", "text", "sentence"),
    [
        ("1回の夜勤手当は6,000円となっています。", JA, 0),
        ("総務課へ申請書を提出します。", JA, 3),
        ("日勤に続く勤務の者へは支給されません。", JA, 1),
        ("The solvents are in the yellow cabinet, next to the fume hood.", EN, 0),
        ("In 2019, 12 cabinets were inspected by Smith.", EN, 2),
        ("The stores provide gloves.", EN, 3),
    ],
)
def test_reworded_claims_whose_every_word_is_there_are_supported(claim: str, text: str, sentence: int) -> None:
    assert mark(claim, text, sentence) == "supported"


@pytest.mark.parametrize(
    ("claim", "text", "sentence"),
    [
        # another number
        ("夜勤手当は1回につき8,000円です。", JA, 0),
        ("Dr. Smith inspected 13 cabinets in 2019.", EN, 2),
        # another name
        ("手当は翌月25日に佐藤経理課長が支払います。", JA, 2),
        ("Dr. Jones inspected 12 cabinets in 2019.", EN, 2),
        # denied or no longer denied
        ("日勤に続けて勤務する者には支給します。", JA, 1),
        ("夜勤手当は1回につき6,000円ではない。", JA, 0),
        ("Pour solvents into the sink.", EN, 1),
        ("Gloves are not provided by the stores.", EN, 3),
        # from elsewhere, or nothing at all
        ("有給休暇は年に20日です。", JA, 0),
        ("Visitors sign the register.", EN, 0),
        ("はい、そうです。", JA, 0),
        ("…", JA, 0),
        ("", EN, 0),
    ],
)
def test_a_changed_claim_is_left_to_the_reader(claim: str, text: str, sentence: int) -> None:
    assert mark(claim, text, sentence) == "check"


def test_title_and_heading_say_what_a_sentence_is_about() -> None:
    text = "1回につき6,000円を支給します。"
    assert mark("夜勤手当は1回6,000円です。", text, 0) == "check"
    assert mark("夜勤手当は1回6,000円です。", text, 0, heading="夜勤手当") == "supported"
    assert mark("夜勤手当は1回6,000円です。", text, 0, title="夜勤手当規程") == "supported"


def test_the_best_sentences_come_in_the_order_of_the_text() -> None:
    found = hit(EN)
    assert [sentence.ordinal for sentence in cite.best_sentences(found, 2)] == [1, 3]
    assert [sentence.ordinal for sentence in cite.best_sentences(found, 1)] == [1]
    assert len(cite.best_sentences(found, 10)) == 4


def test_a_citation_names_document_page_and_place() -> None:
    found = hit(JA, "給与規程")
    cited = cite.citation(found, found.sentences[2], "supported")
    assert cited.n == 0
    assert cited.numbered(4).as_dict() == {
        "n": 4,
        "document_id": "doc_1",
        "base_id": "base_1",
        "document": "a.md",
        "title": "給与規程",
        "page": 3,
        "pages": 9,
        "sentence": 2,
        "start": JA.index("手当は翌月"),
        "end": JA.index("申請書は"),
        "quote": "手当は翌月25日に田中経理課長が支払います。",
        "passage": JA,
        "mark": "supported",
    }


@pytest.mark.parametrize(
    ("claim", "sentence", "expected"),
    [
        ("夜勤手当は1回につき6,000円です。", (0, 0), "quoted"),
        ("申請書の提出先は総務課です。", (0, 3), "check"),
        ("Gloves are provided by the stores.", (1, 3), "quoted"),
        ("The stores provide gloves.", (1, 3), "supported"),
        ("The yellow cabinet holds all the solvents of the laboratory.", (1, 0), "check"),
    ],
)
def test_a_claim_is_matched_to_the_sentence_that_supports_it(
    claim: str, sentence: tuple[int, int], expected: str
) -> None:
    found = cite.match(claim, [hit(JA), hit(EN)])
    assert found is not None
    assert (found[1].text, found[2]) == ([hit(JA), hit(EN)][sentence[0]].sentences[sentence[1]].text, expected)


@pytest.mark.parametrize(
    "claim", ["The moon is made of cheese.", "東京タワーの高さは333メートルです。", "はい。", "Yes.", "", "42"]
)
def test_a_claim_that_comes_from_nowhere_has_no_source(claim: str) -> None:
    assert cite.match(claim, [hit(JA), hit(EN)]) is None
    assert cite.match(claim, []) is None
