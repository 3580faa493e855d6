"""The audit log against a model of it: whatever happens in whatever order, no false alarm, and no tampering missed."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.storage.audit_lab import Lab


class Box(RuleBasedStateMachine):
    """What a box lives through. `confirmed`: the entries that the newest of so many checkpoints holds."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp())
        self._copies = 0

    @initialize()
    def begin(self) -> None:
        (self._folder / "box").mkdir()
        self.lab = Lab(self._folder / "box")
        self.lab.audit.begin()
        self.tampered = False
        self.entries = 1
        self.confirmed = 1
        self.checkpoints = 1
        self.older: list[tuple[Path, int, int]] = []

    @rule(count=st.integers(1, 3))
    def work(self, count: int) -> None:
        self.lab.fill(count)
        self.entries += count

    @rule()
    def confirm(self) -> None:
        self.lab.audit.checkpoint()
        self.checkpoints += self.entries > self.confirmed
        self.confirmed = self.entries

    @rule()
    def restart(self) -> None:
        self.lab.close()
        self.lab.open()

    @precondition(lambda self: len(self.older) < 2 and not self.tampered)
    @rule()
    def copy(self) -> None:
        self._copies += 1
        self.older.append((self.lab.keep(f"copy-{self._copies}"), self.entries, self.checkpoints))

    @precondition(lambda self: not self.tampered)
    @rule(at=st.floats(0, 1, exclude_max=True), how=st.sampled_from(["actor = actor || 'x'", "at = at + 1"]))
    def alter(self, at: float, how: str) -> None:
        self.lab.tamper(f"update audit set {how} where number = ?", 1 + int(at * self.entries))
        self.tampered = True

    @precondition(lambda self: not self.tampered)
    @rule(at=st.floats(0, 1, exclude_max=True))
    def cut(self, at: float) -> None:
        kept = int(at * self.confirmed)  # what was not confirmed yet may be lost, as the contract says
        self.lab.tamper("delete from audit where number > ?", kept)
        self.entries = kept
        self.tampered = True

    @precondition(lambda self: self.older and not self.tampered)
    @rule(database=st.booleans(), which=st.integers(0, 1))
    def put_back(self, database: bool, which: int) -> None:
        copy, entries, checkpoints = self.older[which % len(self.older)]
        lost = self.checkpoints - checkpoints
        self.lab.put_back(copy, database=database, file=not database)
        # A power cut may leave the file one ahead of the database; what it confirms is still there then.
        self.tampered = lost > 0 and not (database and lost == 1 and entries >= self.confirmed)
        self.entries = self.lab.audit.verify().entries

    @invariant()
    def the_look_tells_the_truth(self) -> None:
        assert self.lab.audit.verify().is_sound is not self.tampered

    @invariant()
    def the_quick_look_gives_no_false_alarm(self) -> None:
        if not self.tampered:
            assert self.lab.audit.verify(whole=False).is_sound

    def teardown(self) -> None:
        if hasattr(self, "lab"):
            self.lab.close()
        shutil.rmtree(self._folder)


TestBox = Box.TestCase
TestBox.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
