"""Pruning against a model: what there is stays, and so does the past that is promised."""

from __future__ import annotations

from typing import Any

import invariants
import pytest
from conftest import examples
from core.history.test_history_model import KEYS, QUICK, SCOPES, HistoryMachine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from kycli.errors import InvalidTimeError, UnknownChangeError

SECOND = 1 / 86_400  # in days
AGES = st.sampled_from([None, 0, 3 * SECOND, 8 * SECOND])
LIFETIME = invariants.LIFETIME

# Rows that something makes superfluous by its age: what follows is old enough, too.
SUPERFLUOUS = f"""
SELECT a.id FROM audit_log a JOIN audit_log b ON b.prev = a.id AND b.scope = a.scope
WHERE b.scope = ?1 AND b.timestamp <= ?2 AND NOT (b.op = {LIFETIME} AND a.op <> {LIFETIME})
UNION ALL
SELECT id FROM audit_log
WHERE scope = ?1 AND timestamp <= ?2 AND kind IS NULL
    AND op <> 0 AND id < (SELECT max(id) FROM audit_log WHERE op <> 0)"""
LENGTHS = "SELECT count(*) FROM audit_log WHERE scope = ?1 GROUP BY key"
CHAINS = """
WITH RECURSIVE chain (head, id, prev) AS (
    SELECT id, id, prev FROM audit_log
    WHERE id IN (SELECT seq FROM kvstore WHERE scope = ?1
                 UNION SELECT max(seq) FROM archive WHERE scope = ?1 GROUP BY key)
    UNION ALL SELECT head, a.id, a.prev FROM chain JOIN audit_log a ON a.id = chain.prev
)
SELECT count(*) FROM chain GROUP BY head"""


class RetentionMachine(HistoryMachine):
    def __init__(self) -> None:
        super().__init__()
        # Where the archive forgot keys before the number of versions was limited: the chains
        # of those are not found any more, and go when they are old enough.
        self.forgetful: set[str] = set()

    def reach(self, *scopes: str) -> int:
        """Return the time from which on all is to be exact."""
        rows: dict[str, int] = dict(self.store._query("SELECT scope, reaches_to FROM horizon"))
        return max(rows.get(scope, 0) for scope in scopes)

    @rule(scope=st.sampled_from(SCOPES), history=AGES, archive=AGES, versions=st.integers(0, 4))
    def declare(
        self, scope: str, history: float | None, archive: float | None, versions: int
    ) -> None:
        given = {
            "history_days": history,
            "history_versions": versions or None,
            "archive_days": archive,
        }
        if archive is not None:
            self.forgetful.add(scope)
        self.store.set_scope(scope, **given)  # type: ignore[arg-type]
        assert self.store.scope_settings(scope) == given

    @rule(
        days=st.sampled_from([0, 2 * SECOND, 6 * SECOND, 15]),
        vacuum=st.sampled_from([None, False, True]),
    )
    def compact(self, days: float, vacuum: bool | None) -> None:
        before = {scope: self.reach(scope) for scope in SCOPES}
        self.store.compact(days, vacuum=vacuum)
        for scope in SCOPES:
            declared = self.store.scope_settings(scope)
            age, versions = declared["history_days"], declared["history_versions"]
            limit = self.now - 86_400_000 * (days if age is None else age)
            assert self.store._query(SUPERFLUOUS, (scope, limit)) == []
            if versions is not None:
                for sql in [CHAINS] if scope in self.forgetful else [CHAINS, LENGTHS]:
                    lengths = self.store._query(sql, (scope,))
                    assert all(length <= versions + 1 for (length,) in lengths)
            else:
                self.forgetful.add(scope)
                archived = declared["archive_days"]
                purged = self.now - 86_400_000 * (days if archived is None else archived)
                # A change counts from its end, and a transaction here takes 5 s at most.
                assert self.reach(scope) <= max(before[scope], limit + 5000, purged + 5000)

    @rule(backs=st.lists(st.integers(0, 15_000), min_size=3, max_size=6))
    def look_back(self, backs: list[int]) -> None:
        """In each scope for itself: the past of one may reach further than that of the other."""
        for back in backs:
            time = max(self.past[0][0] + 1, self.now - back)
            for scope in SCOPES:
                if time >= self.reach(scope):
                    self.look_at(scope, time)
                    continue
                with pytest.raises(InvalidTimeError, match="reaches back to"):
                    self.store.get_entry("a", scope=scope, at=time / 1000)

    @rule(
        scope=st.sampled_from([*SCOPES, None]),
        back=st.integers(0, 12_000),
        kind=st.sampled_from(["restore", "count"]),
    )
    def restore_to(self, scope: str | None, back: int, kind: str) -> None:
        time = max(self.past[0][0] + 1, self.now - back)
        if time >= self.reach(*(SCOPES if scope is None else [scope])):
            super().restore_to(scope, back, kind)
            return
        options: Any = {"all_scopes": True} if scope is None else {"scope": scope}
        with pytest.raises(InvalidTimeError, match="reaches back to"):
            self.store.restore_to(time / 1000, **options)

    @rule(scope=st.sampled_from(SCOPES), key=st.sampled_from(KEYS), back=st.integers(0, 12_000))
    def restore_as_it_was(self, scope: str, key: str, back: int) -> None:
        time = max(self.past[0][0] + 1, self.now - back)
        if time >= self.reach(scope):
            super().restore_as_it_was(scope, key, back)
            return
        with pytest.raises(InvalidTimeError, match="reaches back to"):
            self.store.restore(key, time / 1000, scope=scope)

    @rule(scope=st.sampled_from(SCOPES))
    def wear_out(self, scope: str) -> None:
        """Have all but the newest row of each key of a scope pruned."""
        self.declare(scope, None, None, 1)
        for key in KEYS:
            self.now += 1000
            self.save(scope, key, self.now, None)
        self.compact(15, False)

    @rule(data=st.data(), force=st.booleans())
    def undo(self, data: st.DataObject, force: bool) -> None:
        """A change is taken back as a whole, or refused: which of them, the horizons say."""
        for number, events in [*self.changes.items()]:
            within = [event.at > self.reach(event.name[0]) for event in events]
            if not all(within):
                # It may be whole all the same, as far as the horizons tell, but what was
                # before it may not be there any more.
                del self.changes[number]
                with pytest.raises(UnknownChangeError):
                    self.store.undo(number, force=True)
        if self.changes:
            super().undo(data, force)

    def teardown(self) -> None:
        for scope in SCOPES:
            whole = self.store.get_history(scope=scope)
            for key in KEYS:
                # A key that the archive has forgotten begins anew.
                of_key = self.store.get_history(key, scope=scope)
                assert of_key == [change for change in whole if change.key == key][: len(of_key)]
        self.store.close()
        invariants.check(self.path)
        self.directory.cleanup()


def test_pruning_leaves_what_it_promises() -> None:
    run_state_machine_as_test(RetentionMachine, settings=settings(QUICK, max_examples=examples(40)))


@pytest.mark.soak
def test_pruning_leaves_what_it_promises_for_long() -> None:
    run_state_machine_as_test(
        RetentionMachine, settings=settings(QUICK, max_examples=5000, stateful_step_count=60)
    )
