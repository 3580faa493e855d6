"""BM25: statistics over exactly the bases that are searched."""

import math

import numpy as np

from appliance.knowledge import index, lexical
from appliance.storage.database import Database


def fill(database: Database, number: int, texts: dict[int, str]) -> None:
    with database.write() as connection:
        index.create(connection, number)
        vector = np.ones(384, np.float32).tobytes()
        index.add(connection, number, [(i, vector, text.split()) for i, text in texts.items()], [])


def test_rare_terms_count_more_and_long_passages_less(database: Database) -> None:
    fill(database, 1, {1: "tea tea cup", 2: "tea cup", 3: "tea saucer", 4: "tea " + "filler " * 30})
    with database.read() as connection:
        found = lexical.score(connection, [1], ["saucer", "tea"])
    assert found.idf["saucer"] > found.idf["tea"]
    assert found.best(4) == [3, 1, 2, 4]
    assert found.best(2, np.array([1, 4])) == [1, 4]


def test_the_formula_is_the_known_one(database: Database) -> None:
    fill(database, 1, dict.fromkeys(range(1, 121), "cup saucer"))
    with database.write() as connection:
        index.add(connection, 1, [(200, np.ones(384, np.float32).tobytes(), ["tea", "tea"])], [])
    with database.read() as connection:
        found = lexical.score(connection, [1], ["tea"])
    idf = math.log(1 + (121 - 1 + 0.5) / (1 + 0.5))
    assert np.isclose(found.score(200), idf * 2 * 2.2 / (2 + 1.2))
    assert found.score(1) == 0.0
    assert np.isclose(found.ceiling, 2.2 * idf)


def test_bases_that_are_searched_together_share_their_statistics(database: Database) -> None:
    fill(database, 1, {1: "tea cup", 2: "tea pot"})
    fill(database, 2, {3: "tea cup", 4: "dust dust"})
    with database.read() as connection:
        together = lexical.score(connection, [1, 2], ["tea", "cup"])
        alone = lexical.score(connection, [1], ["tea", "cup"])
    assert np.isclose(together.score(1), together.score(3))
    assert list(together.ids) == [1, 2, 3]
    assert together.idf["tea"] < alone.idf["tea"]


def test_coverage_is_the_weighted_share_of_terms(database: Database) -> None:
    fill(database, 1, {1: "tea cup", 2: "tea"})
    with database.read() as connection:
        found = lexical.score(connection, [1], ["tea", "cup", "jam"])
    assert found.coverage(1, ["tea", "cup"]) == 1.0
    assert 0 < found.coverage(2, ["tea", "cup"]) < 0.5
    assert found.coverage(1, ["jam"]) == 0.0
    assert found.coverage(1, []) == 0.0
    assert found.coverage(1, ["unasked"]) == 0.0


def test_terms_with_signs_of_the_query_language_are_only_words(database: Database) -> None:
    fill(database, 1, {1: "tea"})
    with database.read() as connection:
        found = lexical.score(connection, [1], ['"', "' or 1=1 --", "*", "tea*", ""])
    assert found.best(5) == []


def test_removed_passages_no_longer_count(database: Database) -> None:
    fill(database, 1, {1: "tea cup", 2: "tea pot", 3: "tea"})
    with database.write() as connection:
        index.remove(connection, 1, [2, 3], [])
    with database.read() as connection:
        found = lexical.score(connection, [1], ["tea", "pot"])
    assert list(found.ids) == [1]
    assert len(found.holders["pot"]) == 0
