"""The past against a model: whole copies of what there was after each change."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import invariants
import pytest
from conftest import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from kycli import Kycore
from kycli.errors import ConflictError, MissingKeyError, UnknownChangeError

START = 1_700_000_000_000
SCOPES = ("default", "alpha")
KEYS = ("a", "b", "c", "d")
VALUES = st.sampled_from([0, 1, "x", b"x", None, [1], 1.0, True, "L" * 600, "M" * 600])
TTLS = st.sampled_from([None, None, 2, 5])
Name = tuple[str, str]


class Item(NamedTuple):
    """A key in the model: its value, its type, and when it expires."""

    value: Any
    kind: type
    expires_at: float

    def put_off(self, then: int, now: int) -> Item:
        left = self.expires_at - then
        return self if self.expires_at > now else self._replace(expires_at=now + left)


class Event(NamedTuple):
    """One change of one key in the model."""

    name: Name
    before: Item | None
    at: int


class HistoryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "kycli.db"
        self.now = START
        self.store = Kycore(self.path, clock=lambda: self.now)
        self.items: dict[Name, Item] = {}
        self.past: list[tuple[int, dict[Name, Item]]] = [(START - 1, {})]
        self.events: list[Event] = []  # of the change that is under way
        self.changes: dict[int, list[Event]] = {}
        self.newest: dict[Name, int] = {}  # the change that a key was last changed by

    # -- the model

    def alive(self, name: Name) -> Item | None:
        item = self.items.get(name)
        return item if item is not None and item.expires_at > self.now else None

    def put(self, name: Name, item: Item | None) -> None:
        before = self.alive(name)
        if before == item and (before is None or item is None or before.kind is item.kind):
            return
        self.events.append(Event(name, before, self.now))
        self.items.pop(name, None)
        if item is not None:
            self.items[name] = item

    def done(self) -> None:
        """End a change: what there is now is what there was from now on."""
        if not self.events:
            return
        number = max(c.change for s in SCOPES for c in self.store.get_history(scope=s)
                     if c.operation != "expired")  # fmt: skip
        self.changes[number] = self.events
        for event in self.events:
            self.newest[event.name] = number
        self.past.append((self.events[-1].at, dict(self.items)))
        self.events = []

    def at(self, time: int) -> dict[Name, Item]:
        state = [items for when, items in self.past if when <= time][-1] if self.past else {}
        return {name: item for name, item in state.items() if item.expires_at > time}

    # -- rules

    @rule(seconds=st.sampled_from([0.001, 1, 2, 4]))
    def time_passes(self, seconds: float) -> None:
        self.now += round(seconds * 1000)

    @rule(scope=st.sampled_from(SCOPES), key=st.sampled_from(KEYS), value=VALUES, ttl=TTLS)
    def save(self, scope: str, key: str, value: Any, ttl: int | None) -> None:
        self.store.save(key, value, ttl=ttl, scope=scope)
        expires_at = math.inf if ttl is None else self.now + ttl * 1000
        self.put((scope, key), Item(value, type(value), expires_at))
        self.done()

    @rule(scope=st.sampled_from(SCOPES), key=st.sampled_from(KEYS))
    def delete(self, scope: str, key: str) -> None:
        self.store.delete(key, scope=scope)
        self.put((scope, key), None)
        self.done()

    @rule(scope=st.sampled_from(SCOPES), key=st.sampled_from(KEYS), ttl=st.sampled_from([1, 5]))
    def expire(self, scope: str, key: str, ttl: int) -> None:
        self.store.expire(key, ttl, scope=scope)
        item = self.alive((scope, key))
        if item is not None:
            self.put((scope, key), item._replace(expires_at=self.now + ttl * 1000))
        self.done()

    @rule(
        writes=st.lists(
            st.tuples(st.sampled_from(SCOPES), st.sampled_from(KEYS), VALUES, TTLS), max_size=5
        )
    )
    def transaction_that_takes_its_time(self, writes: list[Any]) -> None:
        with self.store.transaction():
            for scope, key, value, ttl in writes:
                self.now += 1000
                if value is None:
                    self.store.delete(key, scope=scope)
                    self.put((scope, key), None)
                    continue
                expires_at = math.inf if ttl is None else self.now + ttl * 1000
                self.store.save(key, value, ttl=ttl, scope=scope)
                self.put((scope, key), Item(value, type(value), expires_at))
        self.done()

    @rule(
        scope=st.sampled_from([*SCOPES, None]),
        back=st.integers(0, 12_000),
        kind=st.sampled_from(["restore", "count"]),
    )
    def restore_to(self, scope: str | None, back: int, kind: str) -> None:
        time = max(START, self.now - back)
        then = self.at(time)
        wanted = {
            name: then[name].put_off(time, self.now) if name in then else None
            for name in {*self.items, *then}
            if scope in (None, name[0])
        }
        differing = {name for name, item in wanted.items() if self.alive(name) != item}
        options: dict[str, Any] = {"all_scopes": True} if scope is None else {"scope": scope}
        listed = list(self.store.differences(time / 1000, **options))
        assert sorted((d.scope, d.key) for d in listed) == sorted(differing)
        assert all((d.operation == "deleted") == (wanted[d.scope, d.key] is None) for d in listed)
        dry = kind == "count"
        count = self.store.restore_to(time / 1000, dry_run=dry, **options)
        assert count == len(differing)
        if not dry:
            for name in wanted:
                self.put(name, wanted[name])
            self.done()

    @rule(data=st.data(), force=st.booleans())
    def undo(self, data: st.DataObject, force: bool) -> None:
        if not self.changes:
            with pytest.raises(UnknownChangeError):
                self.store.undo()
            return
        number = data.draw(st.sampled_from(sorted(self.changes)))
        firsts: dict[Name, Event] = {}
        for event in self.changes[number]:
            firsts.setdefault(event.name, event)
        changed_since = [name for name in firsts if self.newest[name] != number]
        if changed_since and not force:
            with pytest.raises(ConflictError) as caught:
                self.store.undo(number)
            assert any(repr(key) in str(caught.value) for _, key in changed_since)
            return
        count = self.store.undo(number, force=force)
        for name, event in firsts.items():
            self.put(name, event.before and event.before.put_off(event.at, self.now))
        assert count == len(self.events)
        self.done()

    @rule(scope=st.sampled_from(SCOPES), key=st.sampled_from(KEYS), back=st.integers(0, 12_000))
    def restore_as_it_was(self, scope: str, key: str, back: int) -> None:
        time = max(START, self.now - back)
        item = self.at(time).get((scope, key))
        if item is None:
            with pytest.raises(MissingKeyError):
                self.store.restore(key, time / 1000, scope=scope)
            return
        status = self.store.restore(key, time / 1000, scope=scope)
        self.put((scope, key), item.put_off(time, self.now))
        assert status == ("restored" if self.events else "nochange")
        self.done()

    # -- what must hold after each step

    @invariant()
    def the_present_is_the_models(self) -> None:
        for scope in SCOPES:
            entries = {e.key: e for e in self.store.entries(scope=scope)}
            assert {(scope, key) for key in entries} == {
                name for name in self.items if name[0] == scope and self.alive(name)
            }
            for key, entry in entries.items():
                assert_same(entry, self.items[scope, key])

    @rule(backs=st.lists(st.integers(0, 15_000), min_size=3, max_size=6))
    def look_back(self, backs: list[int]) -> None:
        for back in backs:
            time = max(START, self.now - back)
            for scope in SCOPES:
                self.look_at(scope, time)

    def look_at(self, scope: str, time: int) -> None:
        then = self.at(time)
        for key in KEYS:
            entry = self.store.get_entry(key, scope=scope, at=time / 1000)
            item = then.get((scope, key))
            assert (entry is None) == (item is None)
            if entry is not None and item is not None:
                assert_same(entry, item)

    def teardown(self) -> None:
        for scope in SCOPES:
            of_keys = {key: self.store.get_history(key, scope=scope) for key in KEYS}
            whole = self.store.get_history(scope=scope)
            for key in KEYS:
                assert of_keys[key] == [change for change in whole if change.key == key]
        self.store.close()
        invariants.check(self.path)
        self.directory.cleanup()


def assert_same(entry: Any, item: Item) -> None:
    assert entry.value == item.value
    assert type(entry.value) is item.kind
    assert (entry.expires_at or math.inf) == item.expires_at


QUICK = settings(
    max_examples=examples(60),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_the_past_is_the_models() -> None:
    run_state_machine_as_test(HistoryMachine, settings=QUICK)


@pytest.mark.soak
def test_the_past_is_the_models_for_long() -> None:
    run_state_machine_as_test(
        HistoryMachine, settings=settings(QUICK, max_examples=3000, stateful_step_count=60)
    )
