"""The store against a model: dicts, a clock, and a stack of copies for transactions."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import invariants
import pytest
from conftest import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kycli import Kycore
from kycli.errors import ConflictError, InvalidTTLError, MissingKeyError, WrongTypeError

pytestmark = pytest.mark.usefixtures("_both_statements")

SCOPES = st.sampled_from(["default", "alpha", "alpha.cache", "alpha.plain"])
KEYS = st.sampled_from(["a", "ab", "b", "é", "a.b", "A"])
PATHS = st.sampled_from(["a", "b", "a.b", "b.c", "A.b"])
PREFIXES = st.sampled_from(["", "a", "ab", "é", "z"])
VALUES = st.one_of(
    st.integers(-3, 3),
    st.sampled_from(
        ["", "x", "5", b"x", None, True, 1.5, [1, {"k": b"v"}], "L" * 600, b"M" * 600, 2**70]
    ),
)
TTLS = st.sampled_from([None, None, 1, 3, "5s"])
SECONDS = {None: None, 1: 1000, 3: 3000, "5s": 5000}
CACHE_TTL = 2000


class Item:
    """What the model knows of a key."""

    def __init__(self, value: Any, expires_at: float, version: int) -> None:
        self.value = value
        self.expires_at = expires_at
        self.version = version


class Model:
    """All of a database: items and the versions that keys had when they went."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Item]] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self.caches: set[str] = set()


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal and of the same types, also inside lists and dicts."""
    return repr(left) == repr(right)


class Peer:
    """Another process, which does on its own store what it is told."""

    CODE = """
import pickle, sys
from kycli import Kycore
store, now = None, 0
while True:
    try:
        now, name, arguments, options = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    if name == "open":
        store, answer = Kycore(*arguments, clock=lambda: now), None
    elif name == "contents":
        answer = [(e.key, e.value, e.version) for e in store.entries(**options)]
    else:
        answer = getattr(store, name)(*arguments, **options)
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, now: int, name: str, *arguments: Any, **options: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        pickle.dump((now, name, arguments, options), self.process.stdin)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)

    def stop(self) -> None:
        self.process.communicate()


class StoreMachine(RuleBasedStateMachine):
    peer: Peer  # one for all examples: a process takes long to start

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "kycli.db"
        self.now = 1_700_000_000_000
        self.model = Model()
        self.saved: list[Model] = []
        self.blocks: list[Any] = []
        self.store = self.open()
        self.other = self.open()
        self.peer(self.now, "open", str(self.path))

    def open(self) -> Kycore:
        return Kycore(self.path, clock=lambda: self.now, busy_timeout_ms=0)

    # -- the model's own semantics

    def alive(self, scope: str) -> dict[str, Item]:
        return {
            key: item
            for key, item in self.model.items.get(scope, {}).items()
            if item.expires_at > self.now
        }

    def put(self, scope: str, key: str, value: Any, expires_at: float) -> str:
        before = self.alive(scope).get(key)
        if before is not None and same(before.value, value):
            self.model.items[scope][key] = Item(value, expires_at, before.version)
            return "nochange"
        version = self.model.versions.get((scope, key), 0) + 1
        self.model.versions[scope, key] = version
        self.model.items.setdefault(scope, {})[key] = Item(value, expires_at, version)
        return "created" if before is None else "overwritten"

    def expiry(self, scope: str, ttl: Any) -> float | None:
        """When a key saved now expires; None where a TTL is not allowed."""
        lifetime = SECONDS[ttl]
        if "." in scope:
            if scope in self.model.caches:
                lifetime = CACHE_TTL if lifetime is None else lifetime
            elif lifetime is not None:
                return None
        return math.inf if lifetime is None else self.now + lifetime

    # -- rules

    @rule(scope=SCOPES, key=KEYS, value=VALUES, ttl=TTLS)
    def save(self, scope: str, key: str, value: Any, ttl: Any) -> None:
        expires_at = self.expiry(scope, ttl)
        if expires_at is None:
            with pytest.raises(InvalidTTLError):
                self.store.save(key, value, ttl=ttl, scope=scope)
            return
        status = self.store.save(key, value, ttl=ttl, scope=scope)
        assert status == self.put(scope, key, value, expires_at)

    @rule(scope=SCOPES, pairs=st.lists(st.tuples(KEYS, VALUES)), ttl=TTLS)
    def save_many(self, scope: str, pairs: list[tuple[str, Any]], ttl: Any) -> None:
        expires_at = self.expiry(scope, ttl)
        if expires_at is None:
            with pytest.raises(InvalidTTLError):
                self.store.save_many(pairs, ttl, scope=scope)
            return
        assert self.store.save_many(pairs, ttl, scope=scope) == len(pairs)
        for key, value in pairs:
            self.put(scope, key, value, expires_at)

    @rule(scope=SCOPES, key=KEYS, value=VALUES)
    def save_if_absent(self, scope: str, key: str, value: Any) -> None:
        status = self.store.save(key, value, scope=scope, if_absent=True)
        if key in self.alive(scope):
            assert status == "nochange"
        else:
            assert status == self.put(scope, key, value, self.expiry(scope, None) or math.inf)

    @rule(scope=SCOPES, key=KEYS, value=VALUES, version=st.integers(0, 4))
    def save_if_version(self, scope: str, key: str, value: Any, version: int) -> None:
        item = self.alive(scope).get(key)
        if version != (item.version if item else 0):
            with pytest.raises(ConflictError):
                self.store.save(key, value, scope=scope, if_version=version)
            return
        status = self.store.save(key, value, scope=scope, if_version=version)
        assert status == self.put(scope, key, value, self.expiry(scope, None) or math.inf)

    @rule(scope=SCOPES, key=KEYS)
    def delete(self, scope: str, key: str) -> None:
        assert self.store.delete(key, scope=scope) == (key in self.alive(scope))
        self.model.items.get(scope, {}).pop(key, None)

    @rule(scope=SCOPES, prefix=PREFIXES)
    def delete_prefix(self, scope: str, prefix: str) -> None:
        doomed = [key for key in self.alive(scope) if key.startswith(prefix)]
        assert self.store.delete_many(prefix=prefix, scope=scope) == len(doomed)
        for key in doomed:
            del self.model.items[scope][key]

    @rule(scope=SCOPES, key=KEYS, by=st.sampled_from([1, -2, 0.5, 2**64]))
    def incr(self, scope: str, key: str, by: float) -> None:
        item = self.alive(scope).get(key)
        start = item.value if item else 0
        if start == "5":
            start = 5
        if type(start) not in (int, float):
            with pytest.raises(WrongTypeError):
                self.store.incr(key, by, scope=scope)
            return
        total = self.store.incr(key, by, scope=scope)
        assert same(total, start + by)
        expires_at = item.expires_at if item else self.expiry(scope, None)
        self.put(scope, key, total, expires_at or math.inf)

    @rule(scope=SCOPES, key=KEYS, suffix=st.sampled_from(["", "é", b"", b"\xff", "N" * 600]))
    def append(self, scope: str, key: str, suffix: Any) -> None:
        item = self.alive(scope).get(key)
        if item and type(item.value) not in (str, bytes):
            with pytest.raises(WrongTypeError):
                self.store.append(key, suffix, scope=scope)
            return
        start = item.value if item else type(suffix)()
        if type(start) is not type(suffix):
            start = start.encode() if isinstance(start, str) else start
            suffix_bytes = suffix.encode() if isinstance(suffix, str) else suffix
            whole = start + suffix_bytes
        else:
            whole = start + suffix
        assert self.store.append(key, suffix, scope=scope) == len(whole)
        expires_at = item.expires_at if item else self.expiry(scope, None)
        self.put(scope, key, whole, expires_at or math.inf)

    @rule(scope=SCOPES, name=PATHS, value=VALUES)
    def patch(self, scope: str, name: str, value: Any) -> None:
        key, members, item = self.located(scope, name)
        if key is None:
            with pytest.raises(WrongTypeError):
                self.store.patch(name, value, scope=scope)
            return
        if item is None:
            key, _, member = name.partition(".")
            members = [member] if member else []
        whole = copy.deepcopy(item.value) if item else None
        if members:
            whole = whole or {}
            whole[members[0]] = value
        else:
            whole = value
        status = self.store.patch(name, value, scope=scope)
        assert status == self.put(scope, key, whole, self.kept(scope, item))

    @rule(
        scope=SCOPES,
        name=PATHS,
        value=st.sampled_from([1, True, "x"]),
        unique=st.booleans(),
        removed=st.booleans(),
    )
    def change_list(self, scope: str, name: str, value: Any, unique: bool, removed: bool) -> None:
        key, members, item = self.located(scope, name)
        whole: Any = copy.deepcopy(item.value) if item else []
        part = (whole or {}).get(members[0], []) if key and members else whole

        def change() -> str:
            if removed:
                return self.store.remove(name, value, scope=scope)
            return self.store.push(name, value, unique, scope=scope)

        if key is None or type(part) is not list:
            with pytest.raises(WrongTypeError):
                change()
            return
        if removed:
            changed = [one for one in part if not same(one, value)]
        else:
            known = any(same(one, value) for one in part)
            changed = part if unique and known else [*part, value]
        if changed == part:
            assert change() == "nochange"
            return
        whole = {**(whole or {}), members[0]: changed} if members else changed
        assert change() == self.put(scope, key, whole, self.kept(scope, item))

    def located(self, scope: str, name: str) -> tuple[str | None, list[str], Item | None]:
        """Return key, members and item that a name means; no key where it fits none."""
        items = self.alive(scope)
        base, _, member = name.partition(".")
        if name in items or base not in items:
            return name, [], items.get(name)
        if items[base].value is not None and type(items[base].value) is not dict:
            return None, [], None
        return base, [member], items[base]

    def kept(self, scope: str, item: Item | None) -> float:
        return item.expires_at if item else self.expiry(scope, None) or math.inf

    @rule(scope=SCOPES, key=KEYS, ttl=st.sampled_from([1, 3]))
    def expire(self, scope: str, key: str, ttl: int) -> None:
        if "." in scope and scope not in self.model.caches:
            with pytest.raises(InvalidTTLError):
                self.store.expire(key, ttl, scope=scope)
            return
        item = self.alive(scope).get(key)
        assert self.store.expire(key, ttl, scope=scope) == (item is not None)
        if item:
            item.expires_at = self.now + ttl * 1000

    @rule(scope=SCOPES, key=KEYS)
    def persist(self, scope: str, key: str) -> None:
        item = self.alive(scope).get(key)
        assert self.store.persist(key, scope=scope) == (item is not None)
        if item:
            item.expires_at = math.inf

    @rule(
        scope=SCOPES,
        key=KEYS,
        to_scope=SCOPES,
        to_key=KEYS,
        overwrite=st.booleans(),
        move=st.booleans(),
    )
    def transfer(
        self, scope: str, key: str, to_scope: str, to_key: str, overwrite: bool, move: bool
    ) -> None:
        if (scope, key) == (to_scope, to_key):
            return
        call = self.store.move if move else self.store.copy
        arguments: dict[str, Any] = {"scope": scope, "to_scope": to_scope, "overwrite": overwrite}
        item = self.alive(scope).get(key)
        if item is None:
            assert call(key, to_key, **arguments) is False
            return
        if to_key in self.alive(to_scope) and not overwrite:
            with pytest.raises(ConflictError):
                call(key, to_key, **arguments)
            return
        expires_at = item.expires_at
        if "." in to_scope and to_scope not in self.model.caches and expires_at != math.inf:
            with pytest.raises(InvalidTTLError):
                call(key, to_key, **arguments)
            return
        if to_scope in self.model.caches and expires_at == math.inf:
            expires_at = self.now + CACHE_TTL
        assert call(key, to_key, **arguments) is True
        self.put(to_scope, to_key, item.value, expires_at)
        if move:
            del self.model.items[scope][key]

    @rule(declared=st.booleans())
    def declare_cache(self, declared: bool) -> None:
        known = "alpha.cache" in self.model.caches
        if declared and not known:
            self.store.create_cache("alpha.cache", "2s")
            self.model.caches.add("alpha.cache")
        elif not declared and known:
            self.store.drop_cache("alpha.cache")
            self.model.caches.discard("alpha.cache")
        elif not declared:
            with pytest.raises(MissingKeyError):
                self.store.drop_cache("alpha.cache")

    @rule(scope=SCOPES)
    def drop_scope(self, scope: str) -> None:
        assert self.store.drop_scope(scope) == len(self.alive(scope))
        self.model.items.pop(scope, None)
        self.model.caches.discard(scope)

    @rule(seconds=st.sampled_from([0.001, 0.999, 1, 2, 5]))
    def time_passes(self, seconds: float) -> None:
        self.now += round(seconds * 1000)

    # -- transactions

    @precondition(lambda self: len(self.blocks) < 3)
    @rule()
    def begin(self) -> None:
        block = self.store.transaction()
        block.__enter__()
        self.blocks.append(block)
        self.saved.append(copy.deepcopy(self.model))

    @precondition(lambda self: self.blocks)
    @rule()
    def commit(self) -> None:
        self.blocks.pop().__exit__(None, None, None)
        self.saved.pop()

    @precondition(lambda self: self.blocks)
    @rule()
    def roll_back(self) -> None:
        error = RuntimeError()
        self.blocks.pop().__exit__(RuntimeError, error, None)
        self.model = self.saved.pop()

    @precondition(lambda self: not self.blocks)
    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    @precondition(lambda self: not self.blocks)
    @rule()
    def another_process_takes_over(self) -> None:
        self.store, self.other = self.other, self.store

    @precondition(lambda self: not self.blocks)
    @rule(scope=SCOPES, key=KEYS, value=VALUES)
    def another_process_saves(self, scope: str, key: str, value: Any) -> None:
        status = self.peer(self.now, "save", key, value, scope=scope)
        assert status == self.put(scope, key, value, self.expiry(scope, None) or math.inf)

    @precondition(lambda self: not self.blocks)
    @rule(scope=SCOPES, key=KEYS)
    def another_process_deletes(self, scope: str, key: str) -> None:
        assert self.peer(self.now, "delete", key, scope=scope) == (key in self.alive(scope))
        self.model.items.get(scope, {}).pop(key, None)

    @rule(scope=SCOPES)
    def another_process_looks(self, scope: str) -> None:
        model = self.saved[0] if self.blocks else self.model  # it sees what is committed
        items = model.items.get(scope, {})
        alive = {key: item for key, item in items.items() if item.expires_at > self.now}
        contents = self.peer(self.now, "contents", scope=scope)
        assert [(key, version) for key, _, version in contents] == [
            (key, alive[key].version) for key in sorted(alive)
        ]
        assert all(same(value, alive[key].value) for key, value, _ in contents)

    # -- what must hold after each step

    @initialize()
    def start(self) -> None:
        assert self.store.scopes() == []

    @invariant()
    def the_store_is_the_model(self) -> None:
        self.compare(self.store)
        if not self.blocks:
            self.compare(self.other)

    def compare(self, store: Kycore) -> None:
        for scope in ("default", "alpha", "alpha.cache", "alpha.plain"):
            items = self.alive(scope)
            entries = list(store.entries(scope=scope))
            assert [entry.key for entry in entries] == sorted(items)
            for entry in entries:
                item = items[entry.key]
                assert same(entry.value, item.value)
                assert entry.version == item.version
                assert (entry.expires_at or math.inf) == item.expires_at
        used = {scope for scope in self.model.items if self.alive(scope)}
        assert store.scopes() == sorted(used | self.model.caches)

    @invariant()
    def reads_agree(self) -> None:
        items = self.alive("alpha")
        for key in ("a", "é", "z"):
            found = self.store.getkey(key, "none", scope="alpha")
            assert same(found, items[key].value if key in items else "none")

    def teardown(self) -> None:
        while self.blocks:
            self.commit()
        self.store.close()
        self.other.close()
        self.peer(self.now, "close")
        invariants.check(self.path)
        self.directory.cleanup()


QUICK = settings(
    max_examples=examples(60),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture
def _peer() -> Iterator[None]:
    StoreMachine.peer = Peer()
    yield
    StoreMachine.peer.stop()


@pytest.mark.usefixtures("_peer")
def test_the_store_behaves_as_the_model() -> None:
    run_state_machine_as_test(StoreMachine, settings=QUICK)


@pytest.mark.soak
@pytest.mark.usefixtures("_peer")
def test_the_store_behaves_as_the_model_for_long() -> None:
    long = settings(QUICK, max_examples=2000, stateful_step_count=80)
    run_state_machine_as_test(StoreMachine, settings=long)
