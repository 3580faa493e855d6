"""What tests of knowledge share: a library, the cast, two handbooks."""

from pathlib import Path

import pytest

from appliance.knowledge.bases import Base
from appliance.storage.database import Database
from tests.simulators.library import Library, member

HANDBOOK_JA = """# 職員ハンドブック

## 夜勤手当

夜勤手当は1回につき6,000円です。夜勤は22時から翌朝5時までの勤務をいいます。手当は翌月の給与とともに支払います。

## 有給休暇

有給休暇は1年に20日です。使わなかった日は翌年度に限り繰り越せます。申請は3日前までに上司に行います。

## 鍵の管理

薬品庫の鍵は看護師長が保管します。鍵を失くしたときは直ちに総務課へ届け出ます。
"""

HANDBOOK_EN = """# Laboratory rules

## Chemicals

Solvents are stored in the yellow cabinet next to the fume hood. Never pour solvents into the sink.

## Visitors

Visitors sign the register at the front desk and wear safety glasses. A member of staff accompanies them at all times.

## Emergencies

In case of fire leave through the north staircase. The assembly point is the parking lot behind the library.
"""


@pytest.fixture
def library(database: Database, people: dict[str, str], tmp_path: Path) -> Library:
    assert people["alice"] == member("alice").user_id
    return Library(database, tmp_path)


@pytest.fixture
def shelf(library: Library) -> Base:
    """Alice's private base with both handbooks."""
    base = library.bases.create(member("alice"), "Handbooks")
    library.take_in(member("alice"), base, HANDBOOK_JA, "職員.md")
    library.take_in(member("alice"), base, HANDBOOK_EN, "lab.md")
    return library.bases.get(member("alice"), base.id)
