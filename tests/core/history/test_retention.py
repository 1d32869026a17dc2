"""Pruning: what goes and what stays, by age, by number and on demand, and who notices."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import invariants
import pytest

from kycli import Kycore
from kycli.errors import (
    InvalidTimeError,
    InvalidValueError,
    MissingKeyError,
    MisuseError,
    ReadOnlyError,
    UnknownChangeError,
)

DAY = 86_400
HUGE = pytest.param(10**5000, id="huge")


def values(store: Kycore, key: str) -> list[Any]:
    return [change.value for change in store.get_history(key)]


def rows(store: Kycore) -> int:
    count: int = store._query("SELECT count(*) FROM audit_log WHERE op <> 0")[0][0]
    return count


# Compacting


def test_what_is_older_goes_and_the_state_then_stays(store: Kycore, clock: Any) -> None:
    for number in range(10):
        store["counter"] = number
        clock.advance(DAY)
    done = store.compact(3)
    assert (done.changes, done.values) == (7, 0)
    assert store["counter"] == 9
    assert values(store, "counter") == [9, 8, 7]
    clock.advance(-2.5 * DAY)
    then = clock.now / 1000
    clock.advance(2.5 * DAY)
    assert store.getkey("counter", at=then) == 7
    with pytest.raises(InvalidTimeError, match="reaches back to"):
        store.getkey("counter", at=then - DAY)


def test_by_default_15_days_stay(store: Kycore, clock: Any) -> None:
    store["k"] = 1
    store["k"] = 2
    store["gone"] = 3
    del store["gone"]
    store["stays"] = 4
    clock.advance(14.9 * DAY)
    assert store.compact()[:2] == (0, 0)
    clock.advance(0.2 * DAY)
    assert store.compact()[:2] == (3, 1)
    assert values(store, "k") == [2]
    with pytest.raises(MissingKeyError):
        store.restore("gone")


def test_large_values_stay_where_they_are_kept(store: Kycore) -> None:
    store["large"] = "a" * 10_000
    store["large"] = "b" * 10_000
    store.expire("large", 1000)
    store.persist("large")
    store["small"] = "c"
    store.compact(0)
    assert (store["large"], store["small"]) == ("b" * 10_000, "c")
    # The row with the value, and the one that it is the value of.
    assert values(store, "large") == ["b" * 10_000] * 2


def test_renewed_lifetimes_do_not_add_up(store: Kycore, clock: Any) -> None:
    store.save("session", "token", ttl=60)
    for _ in range(50):
        clock.advance(1)
        store.expire("session", 60)
    assert store.compact(0).changes == 49
    assert [c.operation for c in store.get_history("session")] == ["lifetime", "created"]
    clock.advance(1)
    del store["session"]
    assert store.restore("session") == "restored"
    assert (store["session"], store.ttl("session")) == ("token", 59)


def test_a_deleted_key_can_be_restored_while_its_history_is_gone(store: Kycore) -> None:
    store.set_scope("default", archive_days=30)
    store["k"] = 1
    store["k"] = 2
    del store["k"]
    store["other"] = 1
    assert store.compact(0)[:2] == (3, 0)
    assert store.get_history("k") == []
    assert store.restore("k") == "restored"
    assert store["k"] == 2
    assert store.get_history("k")[0].version == 3


def test_undoing_what_came_before_is_refused(store: Kycore, clock: Any) -> None:
    store["k"] = 1
    clock.advance(1)
    store["k"] = 2
    change = store.get_history("k")[0].change
    store.compact(0)
    with pytest.raises(UnknownChangeError, match="too long ago"):
        store.undo(change)
    assert store["k"] == 2
    clock.advance(1)
    store["k"] = 3
    store.undo()
    assert store["k"] == 2


def test_going_back_amidst_a_transaction_whose_keys_past_is_pruned(
    store: Kycore, clock: Any
) -> None:
    clock.advance(1)
    store["k"] = 1
    del store["k"]
    with store.transaction():
        for value in (2, 3):
            clock.advance(1)
            store["k"] = value
    store.compact(2 / DAY)
    assert [change.value for change in store.get_history("k")] == [3, 2]
    within = clock.now / 1000 - 0.001
    assert store.get_entry("k", at=within) is None
    assert [(d.key, d.operation) for d in store.differences(within)] == [("k", "deleted")]
    assert store.restore_to(within) == 1
    assert "k" not in store
    with pytest.raises(InvalidTimeError, match="reaches back to"):
        store.restore_to(within - 2)


def test_what_scopes_declare_goes_before_the_days_given(store: Kycore, clock: Any) -> None:
    for scope in ("long", "short", "plain"):
        for number in range(3):
            store.save("k", number, scope=scope)
    store.set_scope("long", history_days=100)
    store.set_scope("short", history_days=1)
    clock.advance(2 * DAY)
    store.compact(50)
    kept = {scope: len(store.get_history("k", scope=scope)) for scope in store.scopes()}
    assert kept == {"long": 3, "plain": 3, "short": 1}
    clock.advance(60 * DAY)
    store.compact(50)
    kept = {scope: len(store.get_history("k", scope=scope)) for scope in store.scopes()}
    assert kept == {"long": 3, "plain": 1, "short": 1}


def test_ids_are_never_given_again(store: Kycore) -> None:
    store["k"] = 1
    del store["k"]
    newest = store._query("SELECT max(id) FROM audit_log")[0][0]
    store.compact(0)
    store["k"] = 2
    assert store.get_history("k")[0].change > newest


@pytest.mark.parametrize("limit", [{}, {"history_versions": 3}, {"history_days": 0.0}])
def test_nothing_names_a_key_that_is_gone(path: Path, limit: dict[str, Any]) -> None:
    """Neither the newest change, nor the index, nor a page of the file."""
    with Kycore(path) as store, Kycore(path) as other:
        store.save("stays", "here")
        store.set_scope("secret", **limit)
        store.save("secret-key", "secret-value", scope="secret")
        assert store.search("secret-value", scope="secret") == {"secret-key": "secret-value"}
        other.getkey("secret-key", scope="secret")
        store.delete("secret-key", scope="secret")
        newest = store._query("SELECT max(id) FROM audit_log")[0][0]
        store.compact(0, vacuum=True)
        assert store._query("SELECT scope, key FROM audit_log WHERE key <> ''") == [
            ("default", "stays")
        ]
        assert store.get_history(scope="secret") == []
        assert other.getkey("secret-key", scope="secret") is None
        # Notes do not add up, ids go on, and the index notices what comes.
        for _ in range(3):
            store.compact(0)
        assert store._query("SELECT count(*) FROM audit_log") == [(2,)]
        store.save("later", "secret words")
        assert store._query("SELECT max(id) FROM audit_log")[0][0] > newest
        assert store.search("secret") == {"later": "secret words"}
        assert store.check() == []
    assert b"secret-key" not in path.read_bytes()


def test_what_is_not_to_go_yet_gets_no_note(store: Kycore, clock: Any) -> None:
    store.set_scope("long", history_days=100)
    store.save("k", 1, scope="long")
    store.delete("k", scope="long")
    clock.advance(50 * DAY)
    store.compact(20)
    assert store._query("SELECT op FROM audit_log ORDER BY id") == [(1,), (3,)]


def test_caches_of_others_notice(path: Path) -> None:
    with Kycore(path) as one, Kycore(path) as two:
        one["k"] = 1
        one["stays"] = 1
        for _ in range(20):
            assert (two.getkey("k"), two.getkey("stays")) == (1, 1)
        assert two.cache_stats()["enabled"]
        del one["k"]
        one.compact(0)
        assert (two.getkey("k"), two.getkey("stays")) == (None, 1)


def test_the_space_comes_back(path: Path) -> None:
    with Kycore(path) as store:
        for number in range(40):
            store["k"] = str(number) * 50_000
        before = path.stat().st_size + Path(f"{path}-wal").stat().st_size
        done = store.compact(0)
        assert done.freed_bytes > 1_500_000
        assert store["k"] == "39" * 50_000
    assert path.stat().st_size < before / 4


@pytest.mark.parametrize("vacuum", [False, None])
def test_the_file_stays_as_large_where_shrinking_would_hold_others_up(
    path: Path, vacuum: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kycli.core.history.retention.VACUUM_BYTES", 0)
    with Kycore(path) as store:
        for number in range(40):
            store["k"] = str(number) * 50_000
        done = store.compact(0, vacuum=vacuum)
        assert done.freed_bytes == 0
        assert done.free_bytes > 1_500_000
        done = store.compact(0, vacuum=True)
        assert done.freed_bytes > 1_500_000
        assert done.free_bytes == 0


def test_readers_of_an_older_state_keep_it(path: Path) -> None:
    with Kycore(path) as writer, Kycore(path) as reader:
        for number in range(5):
            writer["k"] = str(number) * 50_000
        with reader.snapshot():
            assert reader["k"][0] == "4"
            assert len(reader.get_history("k")) == 5
            writer.compact(0)
            assert len(reader.get_history("k")) == 5
        assert len(reader.get_history("k")) == 1


def test_progress_is_told(store: Kycore) -> None:
    for number in range(100):
        store["k"] = number
    told: list[tuple[int, int]] = []
    store.compact(0, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert all(0 < done <= total for done, total in told)


@pytest.mark.parametrize("days", [-1, "3", None, float("nan"), float("inf"), True, 1e9, HUGE])
def test_what_is_no_number_of_days_is_refused(store: Kycore, days: Any) -> None:
    store["k"] = 1
    store["k"] = 2
    with pytest.raises(InvalidValueError, match="number of days"):
        store.compact(days)
    with pytest.raises(InvalidValueError, match="number of days"):
        store.set_scope("default", history_days="x" if days is None else days)  # type: ignore[arg-type]
    assert values(store, "k") == [2, 1]
    assert store.scope_settings() == {}


def test_compacting_is_no_part_of_a_transaction(store: Kycore) -> None:
    with store.transaction(), pytest.raises(MisuseError, match="transaction"):
        store.compact()
    with store.snapshot(), pytest.raises(MisuseError):
        store.compact()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_database_cannot_be_compacted(path: Path) -> None:
    with Kycore(path) as store:
        store["k"] = 1
    path.chmod(0o400)
    with Kycore(path) as store, pytest.raises(ReadOnlyError):
        store.compact(0)


# What is declared


def test_settings_are_kept_shown_and_taken_back(path: Path) -> None:
    with Kycore(path) as store:
        store.set_scope("a", history_days=1.5, history_versions=3)
        store.set_scope("a", archive_days=7)
        store.set_scope("b.c", history_versions=1)
    with Kycore(path) as store:
        everything = {"history_days": 1.5, "history_versions": 3, "archive_days": 7}
        assert store.scope_settings("a") == everything
        assert store.scope_settings("nothing") == dict.fromkeys(everything)
        assert list(store.scope_settings()) == ["a", "b.c"]
        store.set_scope("a", history_days=None)
        assert store.scope_settings("a")["history_days"] is None
        assert store.scope_settings("a")["history_versions"] == 3
        store.set_scope("b.c", history_versions=None)
        assert list(store.scope_settings()) == ["a"]
        assert "b.c" not in store.scopes()


@pytest.mark.parametrize("versions", [0, -1, 1.5, "3", True, 2**63, HUGE])
def test_a_number_of_versions_is_1_or_more(store: Kycore, versions: Any) -> None:
    with pytest.raises(InvalidValueError, match="whole number from 1 up"):
        store.set_scope("default", history_days=1, history_versions=versions)
    assert store.scope_settings() == {}


def test_a_cache_keeps_its_timeout_and_a_renamed_scope_its_settings(store: Kycore) -> None:
    store.create_cache("p.cache", 60)
    store.set_scope("p.cache", history_days=1)
    store.set_scope("p.cache", history_days=None)
    assert store.caches() == {"p.cache": 60}
    store.save("k", 1, scope="old")
    store.set_scope("old", history_versions=2)
    store.rename_scope("old", "new")
    assert store.scope_settings("new")["history_versions"] == 2


def test_a_counter_does_not_grow_without_end(store: Kycore) -> None:
    store.set_scope("default", history_versions=10)
    most = 0
    for _ in range(30):
        for _ in range(100):
            store.incr("counter")
        most = max(most, rows(store))
    assert most < 10 + 64 + 10
    assert store["counter"] == 3000
    assert values(store, "counter")[:10] == list(range(3000, 2990, -1))


def test_what_others_write_in_bulk_is_limited_too(path: Path, clock: Any) -> None:
    with Kycore(path, clock=clock) as one, Kycore(path, clock=clock) as two:
        one.set_scope("default", history_versions=2)
        for number in range(6):
            two.save_many((f"k{n}", number) for n in range(500))
        for _ in range(20):
            clock.advance(2)
            one["other"] = clock.now
        assert rows(one) <= 2 * 500 + 2
        assert values(one, "k7") == [5, 4]


def test_one_command_after_the_other_keeps_to_it(path: Path) -> None:
    for number in range(8):
        with Kycore(path) as store:
            store.set_scope("default", history_versions=3) if number == 0 else None
            store["k"] = number
    with Kycore(path) as store:
        assert values(store, "k") == [7, 6, 5]


def test_old_history_goes_by_itself(store: Kycore, clock: Any) -> None:
    store.set_scope("default", history_days=2)
    store.save_many((f"k{n}", n) for n in range(3000))
    store.delete_many(prefix="k1")
    store.save("other", 1, scope="kept")
    store.save("other", 2, scope="kept")
    clock.advance(3 * DAY)
    for number in range(20):
        clock.advance(1)
        store["k2"] = -number
    assert len(store.get_history("other", scope="kept")) == 2
    assert store.get_history("k1") == []
    assert store.getkey("k2999") == 2999
    # What is there, and what was written since.
    assert rows(store) == 3000 - 1111 + 20 + 2


def test_old_archived_values_go_by_themselves(store: Kycore, clock: Any) -> None:
    store.set_scope("default", archive_days=1)
    for scope in ("default", "kept"):
        store.save("k", 1, scope=scope)
        store.delete("k", scope=scope)
    clock.advance(2 * DAY)
    store["other"] = 1
    clock.advance(2)
    store["other"] = 2
    with pytest.raises(MissingKeyError):
        store.restore("k")
    assert store.restore("k", scope="kept") == "restored"
    with pytest.raises(InvalidTimeError, match="reaches back to"):
        store.getkey("k", at=(clock.now - 3 * DAY * 1000) / 1000)


def test_a_scope_without_limits_is_left_alone(store: Kycore, clock: Any) -> None:
    store.set_scope("other", history_versions=1, history_days=0, archive_days=0)
    for number in range(200):
        store["k"] = number
        clock.advance(10)
    assert rows(store) == 200
    assert store._query("SELECT * FROM horizon") == []


def test_a_wrong_clock_does_not_stop_it(store: Kycore, clock: Any) -> None:
    store.set_scope("default", history_days=1)
    clock.advance(1000 * DAY)
    store["wrong"] = 1
    clock.advance(-1000 * DAY)
    store["k"] = 1
    store["k"] = 2
    clock.advance(2 * DAY)
    store["k"] = 3
    clock.advance(2)
    store["k"] = 4
    assert values(store, "k") == [4, 3, 2]


# Killed


WRITER = """
import sys, time
from kycli import Kycore
with Kycore(sys.argv[1]) as store:
    number = 0
    while True:
        number += 1
        store["a"] = number
        store.save("large", str(number) * 400, scope="other")
        if number % 7 == 0:
            store.delete("a")
        print(number, flush=True)
"""
COMPACTOR = """
import sys
from kycli import Kycore
with Kycore(sys.argv[1]) as store:
    print("ready", flush=True)
    while True:
        store.compact(0, vacuum=True)
"""


def kill_at_random(path: Path, rounds: int) -> None:
    for _ in range(rounds):
        writer, compactor = (
            subprocess.Popen(
                [sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True
            )
            for program in (WRITER, COMPACTOR)
        )
        assert compactor.stdout
        assert writer.stdout
        compactor.stdout.readline()
        writer.stdout.readline()
        time.sleep(random.uniform(0, 0.3))
        compactor.send_signal(signal.SIGKILL)
        compactor.communicate()
        time.sleep(random.uniform(0, 0.02))
        writer.send_signal(signal.SIGKILL)
        told = writer.communicate()[0].split("\n")
        live = invariants.check(path)
        if len(told) > 1:
            # What was told is there; what was under way may be.
            last = int(told[-2])
            value = live["other", "large"][0]
            assert value in (str(last) * 400, str(last + 1) * 400)


@pytest.mark.alone
def test_nothing_is_lost_when_it_is_killed(path: Path) -> None:
    kill_at_random(path, 3)


@pytest.mark.soak
def test_nothing_is_lost_when_it_is_killed_again_and_again(path: Path) -> None:
    kill_at_random(path, 150)


def test_what_is_declared_of_a_scope_holds_for_any_of_its_names(store: Kycore) -> None:
    store.set_scope("alpha.default", history_versions=2)
    assert store.scope_settings("alpha") == store.scope_settings("alpha.default")
    assert store.scope_settings("alpha")["history_versions"] == 2
    assert store.scopes() == ["alpha"]
