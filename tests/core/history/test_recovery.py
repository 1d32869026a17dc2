"""Bringing back what was: one key, a scope, or what one change did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import invariants
import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import (
    ConflictError,
    InvalidTimeError,
    InvalidValueError,
    MissingKeyError,
    MisuseError,
    ReadOnlyError,
    UnknownChangeError,
    WrongTypeError,
)

START = 1_700_000_000_000


def newest(store: Kycore, scope: str | None = None) -> int:
    return store.get_history(limit=1, scope=scope)[0].change


def operations(store: Kycore, key: str) -> list[str]:
    return [change.operation for change in store.get_history(key)]


# ---------------------------------------------------------------- one key


@pytest.mark.parametrize("value", ["a", "x" * 5000, b"\xff" * 5000, None, float("inf"), [1], 2**99])
def test_a_deleted_value_comes_back_with_its_type(store: Kycore, value: Any) -> None:
    store.save("k", value)
    store.delete("k")
    assert store.restore("k") == "restored"
    assert store["k"] == value
    assert type(store["k"]) is type(value)
    assert operations(store, "k") == ["restored", "deleted", "created"]


def test_a_live_key_gets_the_value_before_and_back_again(store: Kycore) -> None:
    store.save("k", "one")
    store.save("k", "two")
    store.expire("k", 50)
    assert store.restore("k") == "restored"
    assert (store["k"], store.ttl("k")) == ("one", 50)
    assert store.restore("k") == "restored"
    assert store["k"] == "two"


def test_a_value_that_is_there_already_is_no_earlier_one(store: Kycore) -> None:
    store.save("k", "one")
    store.save("k", "two")
    store.delete("k")
    store.save("k", "two")
    store.restore("k")
    assert store["k"] == "one"


def test_nothing_to_restore_is_a_missing_key(store: Kycore) -> None:
    with pytest.raises(MissingKeyError, match="no key 'k' in scope 'default'"):
        store.restore("k")
    store.save("k", 1)
    with pytest.raises(KeyError, match="no earlier value of 'k'"):
        store.restore("k")
    assert operations(store, "k") == ["created"]


def test_an_older_version_comes_back(store: Kycore) -> None:
    for number in range(1, 6):
        store.save("k", f"v{number}")
    assert store.restore("k", version=2) == "restored"
    assert store["k"] == "v2"
    assert store.restore("k", version=6) == "nochange"
    store.delete("k")
    assert store.restore("k", version=4) == "restored"
    assert store["k"] == "v4"
    with pytest.raises(MissingKeyError, match="no version 99 of 'k'"):
        store.restore("k", version=99)


@pytest.mark.parametrize(
    ("version", "error"),
    [
        *((0, InvalidValueError), (-1, InvalidValueError), (-(2**64), InvalidValueError)),
        *(("1", WrongTypeError), (1.0, WrongTypeError), (True, WrongTypeError)),
        *((2**63 - 1, MissingKeyError), (2**63, MissingKeyError)),
        pytest.param(10**5000, MissingKeyError, id="huge"),
    ],
)
def test_a_bad_version_is_refused(store: Kycore, version: Any, error: type[Exception]) -> None:
    store.save("k", 1)
    store.save("k", 2)
    with pytest.raises(error):
        store.restore("k", version=version)
    store.delete("k")
    with pytest.raises(error):
        store.restore("k", version=version)


def test_a_key_comes_back_as_it_was_at_a_time(store: Kycore, clock: Clock) -> None:
    store.save("k", "one", ttl=100)
    clock.advance(10)
    store.save("k", "two")
    clock.advance(10)
    store.delete("k")
    clock.advance(10)
    assert store.restore("k", "25s ago") == "restored"
    assert (store["k"], store.ttl("k")) == ("one", 70)
    assert store.restore("k", START / 1000 + 10) == "restored"
    assert (store["k"], store.ttl("k")) == ("two", float("inf"))
    with pytest.raises(MissingKeyError, match="at 2023-11-14 22:13:45"):
        store.restore("k", "5s ago")
    with pytest.raises(InvalidTimeError):
        store.restore("k", "tomorrow")
    with pytest.raises(MisuseError):
        store.restore("k", "5s ago", version=1)
    assert store["k"] == "two"


def test_what_was_deleted_gets_the_time_it_had_left(store: Kycore, clock: Clock) -> None:
    store.save("early", 1, ttl=100)
    store.save("late", 1, ttl=100)
    clock.advance(30)
    store.delete("early")
    store.delete("late")
    clock.advance(10)
    store.restore("early")
    assert store.ttl("early") == 60  # it would have lived on
    clock.advance(100)
    store.restore("late")
    assert store.ttl("late") == 70


def test_what_had_expired_lives_on_as_if_saved_anew(store: Kycore, clock: Clock) -> None:
    store.create_cache("web.pages", 30)
    store.save("k", 1, ttl=5)
    store.save("k", 1, scope="web.pages")
    clock.advance(60)
    store.restore("k")
    store.restore("k", scope="web.pages")
    assert store.ttl("k") == float("inf")
    assert store.ttl("k", scope="web.pages") == 30


# ---------------------------------------------------------------- a scope


def test_a_scope_goes_back_exactly(store: Kycore, clock: Clock) -> None:
    store.save_many({"kept": 1, "changed": 1, "deleted": 1, "lived": 1})
    store.save("expired", 1, ttl=30)
    store.save("swept", "x" * 1000, ttl=30)
    store.save("elsewhere", 1, scope="other")
    then = START / 1000 + 10
    clock.advance(20)
    store.save("changed", 2)
    store.save("created", 2)
    store.delete("deleted")
    store.expire("lived", 500)
    store.save("elsewhere", 2, scope="other")
    clock.advance(100)
    assert "swept" not in store
    listed = {d.key: d.operation for d in store.differences(then)}
    assert listed == {
        "changed": "restored", "created": "deleted", "deleted": "restored",
        "lived": "lifetime", "expired": "restored", "swept": "restored",
    }  # fmt: skip
    assert store.restore_to(then, dry_run=True) == 6
    assert store["changed"] == 2
    assert store.restore_to(then) == 6
    assert dict(store.items()) == {
        "kept": 1, "changed": 1, "deleted": 1, "lived": 1, "expired": 1, "swept": "x" * 1000,
    }  # fmt: skip
    assert (store.ttl("expired"), store.ttl("lived")) == (20, float("inf"))
    assert store.getkey("elsewhere", scope="other") == 2
    assert list(store.differences(then)) == []
    assert store.restore_to(then, all_scopes=True) == 1
    assert store.getkey("elsewhere", scope="other") == 1


def test_going_back_is_one_change_and_can_be_undone(store: Kycore, clock: Clock) -> None:
    for number in range(1500):
        store.save(f"k{number}", "then")
    clock.advance(1)
    for number in range(1500):
        store.save(f"k{number + 700}", "now")
    clock.advance(1)
    present = dict(store.items())
    assert store.restore_to(START / 1000) == 1500
    assert dict(store.items()) == {f"k{number}": "then" for number in range(1500)}
    changes = {c.change for c in store.get_history(since=clock.now / 1000)}
    assert len(changes) == 1
    assert store.undo() == 1500
    assert dict(store.items()) == present


def test_a_key_is_judged_by_what_it_was_and_is_and_not_by_what_happened(
    store: Kycore, clock: Clock
) -> None:
    store.save("k", 1)
    clock.advance(1)
    store.delete("k")
    store.save("k", 2)
    store.save("k", 1)
    clock.advance(1)
    changes = len(store.get_history("k"))
    assert store.restore_to(START / 1000) == 0
    assert len(store.get_history("k")) == changes


def test_a_time_between_the_parts_of_a_transaction_is_before_it(
    store: Kycore, clock: Clock
) -> None:
    store.save("a", 0)
    with store.transaction():
        for key in "abcd":
            clock.advance(1)
            store.save(key, 1)
    store.restore_to("1s ago")
    assert dict(store.items()) == {"a": 0}


def test_bad_times_change_nothing(store: Kycore, clock: Clock) -> None:
    store.save("k", 1)
    store._query("INSERT INTO horizon VALUES ('default', ?1)", (START - 5000,))
    clock.advance(1)
    for bad in ("nonsense", "2999-01-01", START / 1000 + 2, None, "1d ago", "7s ago"):
        with pytest.raises(InvalidTimeError):
            store.restore_to(bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidTimeError):
            store.differences(bad)  # type: ignore[arg-type]
    with pytest.raises(MisuseError):
        store.restore_to("1s ago", "default", all_scopes=True)
    assert dict(store.items()) == {"k": 1}


def test_a_snapshot_reads_the_past_and_restores_nothing(store: Kycore, clock: Clock) -> None:
    store.save("k", 1)
    clock.advance(1)
    store.save("k", 2)
    with store.snapshot():
        assert store.getkey("k", at="1s ago") == 1
        with pytest.raises(MisuseError):
            store.restore_to("1s ago")
    assert store["k"] == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_can_only_be_read_shows_its_past(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", 1)
    moment = time.time()
    path.chmod(0o400)
    with Kycore(path) as store:
        assert store.read_only
        assert store.getkey("k", at=moment) == 1
        assert len(store.get_history("k")) == 1
        assert store.restore_to(moment, dry_run=True) == 0
        with pytest.raises(ReadOnlyError):
            store.restore_to(moment)


# ---------------------------------------------------------------- one change


def test_a_dropped_scope_comes_back_with_all_its_keys(store: Kycore) -> None:
    store.save_many({"a": 1, "b": 2}, scope="alpha")
    store.drop_scope("alpha")
    assert store.undo(scope="alpha") == 2
    assert dict(store.scan(scope="alpha")) == {"a": 1, "b": 2}


def test_undoing_reverts_one_change_and_no_other(store: Kycore, clock: Clock) -> None:
    store.save_many({"a": 1, "b": 1, "c": 1})
    clock.advance(1)
    with store.transaction():
        store.save("a", 2)
        store.delete("b")
        store.save("d", 2)
        store.expire("c", 10)
        store.save("a", 3)
    change = newest(store)
    clock.advance(1)
    store.save("e", 3)
    assert store.undo(change) == 4
    assert dict(store.items()) == {"a": 1, "b": 1, "c": 1, "e": 3}
    assert store.ttl("c") == float("inf")
    assert store.undo() == 4
    assert dict(store.items()) == {"a": 3, "c": 1, "d": 2, "e": 3}
    assert store.ttl("c") == 9  # the expiry that is still to come


def test_a_key_that_changed_since_is_named_and_nothing_is_undone(store: Kycore) -> None:
    store.save_many({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1})
    change = newest(store)
    store.save("b", 2)
    with pytest.raises(ConflictError, match=r"^the key has changed since change 1: 'b'$") as caught:
        store.undo(change)
    assert "--force" in str(caught.value.hint)
    for key in "cde":
        store.delete(key)
    with pytest.raises(ConflictError, match="'b', 'c', 'd' and 1 more"):
        store.undo(change)
    assert dict(store.items()) == {"a": 1, "b": 2}
    assert store.undo(change, force=True) == 2
    assert dict(store.items()) == {}


def test_an_expiry_since_is_nobodys_change(store: Kycore, clock: Clock) -> None:
    store.save("k", "before")
    store.save("k", "mine", ttl=5)
    change = newest(store)
    clock.advance(10)
    assert "k" not in store
    assert operations(store, "k")[0] == "expired"
    assert store.undo(change) == 1
    assert store["k"] == "before"


def test_writing_over_an_expired_key_is_undone_to_no_key(store: Kycore, clock: Clock) -> None:
    store.save("k", "old", ttl=5)
    clock.advance(10)
    with store.transaction():
        store.save("k", "new")
        store.save("other", 1)
    assert operations(store, "k") == ["created", "expired", "created"]
    assert store.undo() == 2
    assert "k" not in store


def test_undoing_what_an_undo_did_and_so_on(store: Kycore) -> None:
    store.save("k", 1)
    for expected in (None, 1, None, 1):
        assert store.undo() == 1
        assert store.getkey("k") == expected


def test_the_parts_of_a_command_are_one_change_wherever_they_stand(path: Path) -> None:
    with Kycore(path) as other, Kycore(path, command="kycli load") as store:
        store.save("a", 1)
        other.save("x", 1)
        store.save("b", 1)
        other.save("b", 2)
        other.save("c", 2)
        store.save("c", 3)
        change = newest(other)
        assert {c.change for c in other.get_history() if c.command} == {change}
        with pytest.raises(ConflictError, match=r": 'b'$"):
            other.undo(change)
        assert other.undo(change, force=True) == 3
        # What another wrote before the command met the key is what it was before.
        assert dict(other.items()) == {"x": 1, "c": 2}


def test_a_key_that_others_changed_between_two_parts_has_changed(path: Path) -> None:
    with Kycore(path) as other, Kycore(path, command="kycli load") as store:
        store.save("k", 1)
        other.save("k", "theirs")
        store.save("k", 2)
        with pytest.raises(ConflictError, match=r": 'k'$"):
            other.undo(1)
        assert other.undo(1, force=True) == 1
        assert "k" not in other


def test_the_newest_change_is_that_of_the_scope(store: Kycore) -> None:
    store.save("k", 1)
    store.save("k", 1, scope="other")
    assert store.undo() == 1
    assert "k" not in store
    assert store.getkey("k", scope="other") == 1
    with pytest.raises(UnknownChangeError, match="nothing to undo in scope 'empty'"):
        store.undo(scope="empty")


def test_a_renaming_is_not_taken_for_the_change_before_it(store: Kycore, clock: Clock) -> None:
    store.save("k", "v", scope="old")
    store.rename_scope("old", "new")
    store.save("elsewhere", 1)
    for scope in ("new", "old"):
        with pytest.raises(UnknownChangeError, match="'old' was renamed to 'new'") as caught:
            store.undo(scope=scope)
        assert "kycli rename-scope new old" in str(caught.value.hint)
    assert store.undo() == 1  # of another scope
    # Nor when all that can be pruned has been.
    store.save("k", "w", scope="new")
    store.undo(scope="new")
    store.rename_scope("new", "newer")
    clock.now += 400 * 86_400_000
    store.compact(1)
    with pytest.raises(UnknownChangeError, match="'new' was renamed to 'newer'"):
        store.undo(scope="newer")
    assert store.getkey("k", scope="newer") == "v"
    store.save("k", "x", scope="newer")
    assert store.undo(scope="newer") == 1
    assert store.getkey("k", scope="newer") == "v"


def test_a_renamed_scope_goes_back_under_its_new_name_alone(store: Kycore, clock: Clock) -> None:
    store.save("k", "v", scope="old")
    then = clock.now / 1000
    clock.advance(1)
    store.save("k", "w", scope="old")
    store.rename_scope("old", "new")
    store.save("again", 1, scope="old")
    for go_back in (store.restore_to, store.differences):
        with pytest.raises(InvalidTimeError, match="'old' was renamed to 'new' after"):
            go_back(then, "old")
    assert store.getkey("again", scope="old") == 1
    assert store.restore_to(then, "new") == 1
    assert store.getkey("k", scope="new") == "v"
    assert store.restore_to(clock.now / 1000, "old") == 0


@pytest.mark.parametrize("changes", [0, 1, 2])
def test_a_renaming_is_noticed_whatever_comes_before_and_after_it(
    store: Kycore, clock: Clock, changes: int
) -> None:
    store.save("k", "v", scope="old")
    clock.advance(1)
    then = clock.now / 1000
    clock.advance(1)
    if changes == 2:
        store.save("before", 1)
    store.rename_scope("old", "new")
    clock.advance(1)
    if changes:
        store.save("after", 1)
    for go_back in (store.restore_to, store.differences):
        with pytest.raises(InvalidTimeError, match="'old' was renamed to 'new' after"):
            go_back(then, "old")
    for times in ((then,), (then, then)):
        with pytest.raises(InvalidTimeError, match="'old' was renamed to 'new' after"):
            store.diff_times(*times, scope="old")
    assert store.restore_to(then, "new") == 0
    assert list(store.diff_times(then, scope="new")) == []
    since = clock.now / 1000
    assert list(store.diff_times(since, scope="old")) == []


def test_a_change_before_a_renaming_is_undone_by_its_id(store: Kycore) -> None:
    store.save("k", "v", scope="old")
    store.save("k", "w", scope="old")
    written = newest(store, "old")
    store.rename_scope("old", "new")
    assert store.undo(written, scope="new") == 1
    assert store.getkey("k", scope="new") == "v"


def test_unknown_changes_are_refused(store: Kycore, clock: Clock) -> None:
    store.save("k", 1, ttl=5)
    store.save_many({"a": 1, "b": 1})
    clock.advance(10)
    assert "k" not in store
    for bad in (0, -1, 99, 2**63, 10**30, 10**5000, -(10**5000)):
        with pytest.raises(UnknownChangeError, match="there is no change"):
            store.undo(bad)
    with pytest.raises(UnknownChangeError, match="3 is no change but a part of change 2"):
        store.undo(3)
    with pytest.raises(UnknownChangeError, match="change 4 is the expiry of a key"):
        store.undo(4)
    with pytest.raises(WrongTypeError):
        store.undo("2")  # type: ignore[arg-type]


def test_a_change_before_the_retained_history_is_not_undone_by_halves(
    store: Kycore, clock: Clock
) -> None:
    store.save("k", 1)
    clock.advance(10)
    store._query("INSERT INTO horizon VALUES ('default', ?1)", (clock.now,))
    with pytest.raises(UnknownChangeError, match="reaches back to 2023-11-14 22:13:30"):
        store.undo(1)


# ---------------------------------------------------------------- killed in the middle

KILLED = """
import sys
from kycli import Kycore
path, what, time = sys.argv[1:]
with Kycore(path) as store:
    print("ready", flush=True)
    while True:
        if what == "restore_to":
            store.restore_to(float(time))
        store.undo()
"""


def kill_at_random(path: Path, what: str, rounds: int) -> None:
    """Kill a process that goes back and forth between two states: it is always in one of them."""
    before = {f"k{n}": "before" * (1 + n % 200) for n in range(400)}
    after = {f"k{n + 100}": "after" * (1 + n % 200) for n in range(400)}
    with Kycore(path) as store:
        store.save_many(before)
        moment = time.time()
        time.sleep(0.01)
        with store.transaction():
            store.delete_many(prefix="")
            store.save_many(after)
    for number in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), what, str(moment)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.002 + 0.0137 * number % 0.1)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL  # in the middle of its work
        process.stdout.close()
        with Kycore(path) as store:
            found = dict(store.items())
            assert found in (before, after)
        invariants.check(path)


@pytest.mark.alone
@pytest.mark.parametrize("what", ["restore_to", "undo"])
def test_killed_in_the_middle_it_is_all_or_nothing(path: Path, what: str) -> None:
    kill_at_random(path, what, 6)


@pytest.mark.soak
@pytest.mark.parametrize("what", ["restore_to", "undo"])
def test_killed_in_the_middle_again_and_again(path: Path, what: str) -> None:
    kill_at_random(path, what, 200)
