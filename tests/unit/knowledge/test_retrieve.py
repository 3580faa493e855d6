"""Search over a small real corpus in Japanese and English: what is found, in what order, and for whom."""

import json

import pytest

from appliance.knowledge import hits as found_hits
from appliance.knowledge.bases import Base
from appliance.knowledge.hits import Candidate, Row
from appliance.knowledge.retrieve import Retrieval, SearchOptions
from tests.simulators.library import Library, member
from tests.unit.knowledge.conftest import HANDBOOK_JA

ALICE, BOB, MALLORY = member("alice"), member("bob"), member("mallory")


def search(library: Library, bases: list[Base], query: str, **options: object) -> Retrieval:
    return library.retriever.search(bases, query, SearchOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("夜勤手当はいくらですか", "夜勤手当"),
        ("休暇は何日ありますか", "有給休暇"),
        ("鍵を失くしたらどこに届けますか", "鍵の管理"),
        ("Where are solvents stored?", "Chemicals"),
        ("What do visitors have to wear?", "Visitors"),
        ("where do we meet after a fire", "Emergencies"),
        ("鍵", "鍵の管理"),
        ("円", "夜勤手当"),
        ("６，０００円", "夜勤手当"),
        ("VISITOR", "Visitors"),
        ("staircases", "Emergencies"),
    ],
)
def test_the_passage_that_answers_comes_first(library: Library, shelf: Base, query: str, heading: str) -> None:
    found = search(library, [shelf], query)
    assert found.hits[0].heading.endswith(heading)
    assert found.hits[0].rank == 1
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)


def test_a_hit_tells_where_it_stands(library: Library, shelf: Base) -> None:
    hit = search(library, [shelf], "夜勤手当はいくらですか").hits[0]
    assert (hit.document, hit.title, hit.page, hit.pages) == ("職員.md", "職員ハンドブック", 1, 3)
    assert (hit.lexical_rank, hit.dense_rank) == (1, 1)
    assert hit.score == pytest.approx(0.4 * hit.lexical + 0.6 * hit.dense)
    page = library.documents.page(ALICE, hit.document_id, hit.page)
    for sentence in hit.sentences:
        assert page.text[sentence.start : sentence.end] == sentence.text
    best = max(hit.sentences, key=lambda sentence: sentence.score)
    assert best.text == "夜勤手当は1回につき6,000円です。"
    assert 0 <= min(sentence.score for sentence in hit.sentences) <= best.score <= 1


def test_a_result_can_be_sent_as_json(library: Library, shelf: Base) -> None:
    found = search(library, [shelf], "solvents")
    sent = json.loads(json.dumps([[hit.as_dict() for hit in found.hits], found.signals, found.probability]))
    assert sent[0][0]["document"] == "lab.md"
    assert set(sent[1]) == {"h1", "h5", "cov1", "bm_drop"}


def test_the_weight_decides_between_words_and_meaning(library: Library, shelf: Base) -> None:
    words = search(library, [shelf], "solvents", lexical_weight=1.0)
    assert [hit.score for hit in words.hits] == [hit.lexical for hit in words.hits]
    assert [hit.lexical_rank for hit in words.hits].count(None) == 5
    meaning = search(library, [shelf], "solvents", lexical_weight=0.0)
    assert [hit.dense_rank for hit in meaning.hits] == [1, 2, 3, 4, 5, 6]


def test_a_single_word_counts_as_a_word_unless_another_weight_is_chosen(library: Library, shelf: Base) -> None:
    for word in ("鍵", "夜勤手当", "solvents"):
        first = search(library, [shelf], word).hits[0]
        assert first.score == pytest.approx(0.7 * first.lexical + 0.3 * first.dense)
        assert first.lexical == 1.0
    for query, options in (("夜勤手当の額", {}), ("yellow cabinet", {}), ("鍵", {"lexical_weight": 0.3})):
        weight = options.get("lexical_weight", 0.4)
        first = search(library, [shelf], query, **options).hits[0]
        assert first.score == pytest.approx(weight * first.lexical + (1 - weight) * first.dense)


def test_passages_in_another_language_are_no_rivals(library: Library, shelf: Base) -> None:
    only = library.bases.create(ALICE, "Japanese only")
    library.take_in(ALICE, only, HANDBOOK_JA)
    query = "夜勤手当はいくらですか"
    both, alone = search(library, [shelf], query).signals, search(library, [only], query).signals
    assert (both["h1"], both["h5"]) == (alone["h1"], alone["h5"])


def test_no_more_hits_than_asked_for(library: Library, shelf: Base) -> None:
    assert len(search(library, [shelf], "the rules", k=2).hits) == 2
    assert search(library, [shelf], "the rules", k=0).hits == ()


@pytest.mark.parametrize("query", ["", "  \n", "\u3000"])
def test_an_empty_query_finds_nothing(library: Library, shelf: Base, query: str) -> None:
    found = search(library, [shelf], query)
    assert (found.hits, found.verdict, found.probability) == ((), "none", 0.0)


@pytest.mark.parametrize(
    "query", ["?!", "\"'", "a OR b AND NOT (c", "base_1_text", "%", "は", "🗝", "x" * 5000, "鍵" * 3000]
)
def test_no_query_breaks_the_search(library: Library, shelf: Base, query: str) -> None:
    assert len(search(library, [shelf], query).hits) == 6


def test_an_empty_base_finds_nothing(library: Library) -> None:
    base = library.bases.create(ALICE, "Empty")
    found = search(library, [base], "anything")
    assert (found.hits, found.verdict) == ((), "none")
    assert search(library, [], "anything").hits == ()


def test_a_question_in_a_language_that_no_document_has_is_not_answered(library: Library) -> None:
    base = library.bases.create(ALICE, "Japanese only")
    library.take_in(ALICE, base, "# 規則\n\n年度末に書類を提出します。\n\n## 窓口\n\n窓口は市役所の二階です。")
    found = search(library, [base], "When is the annual inventory of laboratory glassware?")
    assert found.verdict == "none"
    assert [hit.lexical_rank for hit in found.hits] == [None, None]


def test_a_deleted_document_vanishes_from_the_results(library: Library, shelf: Base) -> None:
    (document,) = {hit.document_id for hit in search(library, [shelf], "鍵", k=1).hits}
    library.documents.delete(ALICE, document)
    assert {hit.document for hit in search(library, [shelf], "鍵").hits} == {"lab.md"}


def test_only_bases_that_are_named_are_searched(library: Library, shelf: Base) -> None:
    other = library.bases.create(BOB, "Other")
    library.take_in(BOB, other, "# Solvents\n\nSolvents are ordered on Mondays.")
    assert {hit.base_id for hit in search(library, [shelf], "solvents").hits} == {shelf.id}
    assert {hit.base_id for hit in search(library, [other], "solvents").hits} == {other.id}


def test_mallory_gets_nothing_of_a_base_she_may_not_read(library: Library, shelf: Base) -> None:
    assert shelf not in library.bases.readable(MALLORY)
    assert library.found(list(library.bases.readable(MALLORY)), "夜勤手当") == []


def test_scores_tell_nothing_about_bases_that_are_not_searched(library: Library, shelf: Base) -> None:
    before = search(library, [shelf], "solvents")
    other = library.bases.create(BOB, "Other")
    for i in range(5):
        library.take_in(BOB, other, f"# Solvents {i}\n\nSolvents of kind {i} are ordered on Mondays.")
    after = search(library, [shelf], "solvents")
    assert (after.hits, after.signals) == (before.hits, before.signals)


def test_several_bases_are_ranked_together(library: Library, shelf: Base) -> None:
    other = library.bases.create(ALICE, "Orders")
    library.take_in(ALICE, other, "# Orders\n\nGlue is ordered on Mondays. Paper is ordered on Fridays.")
    assert search(library, [shelf, other], "When is glue ordered?").hits[0].base_id == other.id
    both = search(library, [shelf, other], "solvents in the yellow cabinet").hits
    assert both[0].base_id == shelf.id
    assert other.id in {hit.base_id for hit in both}


def test_a_search_can_be_narrowed_to_documents(library: Library, shelf: Base) -> None:
    lab = next(document for document in library.documents.list(ALICE, shelf.id) if document.name == "lab.md")
    found = search(library, [shelf], "夜勤手当", document_ids=(lab.id,))
    assert len(found.hits) == 3
    assert {hit.document_id for hit in found.hits} == {lab.id}
    other = library.bases.create(BOB, "Other")
    assert search(library, [other], "夜勤手当", document_ids=(lab.id,)).hits == ()


def test_a_base_deleted_after_it_was_looked_up_finds_nothing(library: Library, shelf: Base) -> None:
    library.bases.delete(ALICE, shelf.id)
    assert search(library, [shelf], "夜勤手当").hits == ()


def test_a_document_that_is_not_ready_is_not_shown(library: Library, shelf: Base) -> None:
    with library.database.write() as connection:
        connection.execute("update documents set state = 'working' where name = 'lab.md'")
    assert {hit.document for hit in search(library, [shelf], "solvents").hits} == {"職員.md"}


def test_overlapping_passages_are_one_hit() -> None:
    def candidate(number: int, document: str, first: int, last: int) -> Candidate:
        row = Row(number, document, first, last, 1, "", "", "base", "", "", 1, "en")
        return Candidate(row, (), bm25=1.0, cosine=0.9, score=1.0 - number / 10)

    kept = found_hits.distinct(
        [
            candidate(1, "a", 0, 9),
            candidate(2, "a", 3, 12),
            candidate(3, "a", 8, 20),
            candidate(4, "b", 0, 9),
            candidate(5, "a", 2, 3),
            candidate(6, "a", 9, 9),
        ]
    )
    assert [one.row.passage_id for one in kept] == [1, 3, 4]


def test_a_thousand_passages_are_searched_exactly(library: Library) -> None:
    base = library.bases.create(ALICE, "Many")
    parts = [
        f"## Item {i}\n\nItem {i} weighs {i * 37 % 1009} grams. It lies on shelf {i * 11 % 97}." for i in range(1000)
    ]
    library.take_in(ALICE, base, "# Stock\n\n" + "\n\n".join(parts))
    for i in (3, 512, 998):
        first = search(library, [base], f"how heavy is item {i}").hits[0]
        assert first.heading == f"Item {i}"


def test_a_base_that_was_closed_while_the_question_waited_gives_nothing(library: Library, shelf: Base) -> None:
    opened = library.bases.update(ALICE, shelf.id, visibility="everyone")
    seen = library.bases.get(MALLORY, shelf.id)
    assert library.found([seen], "solvents")
    library.bases.update(ALICE, shelf.id, visibility="private")
    assert library.found([seen], "solvents") == []
    assert library.found([opened], "solvents") == []
    assert library.found([library.bases.get(ALICE, shelf.id)], "solvents")
