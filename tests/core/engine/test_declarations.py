"""What is declared of scopes: kept in memory, and never stale, whoever declares it."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock
from forks import in_child

from kycli import Kycore
from kycli.core import storage
from kycli.errors import InvalidTTLError

pytestmark = pytest.mark.usefixtures("_both_statements")

CACHE = "shop.cache"
ROW = "SELECT cache_ms, history_days, history_versions, archive_days, fold_keys FROM sys_namespaces"


def warm(store: Kycore) -> Kycore:
    """Use a store until it keeps in memory what it can, declarations too."""
    for _ in range(20):
        store.save("warm", 1)
        store.save("warm", 1, scope=CACHE)
        store.getkey("WARM")
    return store


def sql(path: Path, text: str, bindings: tuple[Any, ...] = ()) -> None:
    """Execute plain SQL on a connection of its own, as another program would."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5000)
    connection.execute(text, bindings)
    connection.close()


def fold(path: Path, scope: str, folds: int | None = 1) -> None:
    """Have a scope ignore the case of keys; only earlier releases, and plain SQL, declare that."""
    sql(
        path,
        "INSERT INTO sys_namespaces (scope, fold_keys, created_at) VALUES (?1, ?2, 1) "
        "ON CONFLICT DO UPDATE SET fold_keys = ?2",
        (scope, folds),
    )


def lifetime(store: Kycore, scope: str = CACHE) -> float | None:
    """Save a new value, and return the lifetime that it has got."""
    store.save("k", random.random(), scope=scope)
    return store.ttl("k", scope=scope)


def declared(store: Kycore, scope: str) -> tuple[Any, ...]:
    """Return what the engine believes to be declared."""
    found = store._declared(scope)
    assert found.scope == scope
    return (
        found.cache_ms,
        found.history_days,
        found.history_versions,
        found.archive_days,
        found.fold_keys,
    )


def true(store: Kycore, scope: str) -> tuple[Any, ...]:
    """Return what the database says at this moment, on the connection of the store."""
    rows = store._query(f"{ROW} WHERE scope = ?", (scope,))
    return (*rows[0][:4], bool(rows[0][4])) if rows else (None, None, None, None, False)


@pytest.fixture
def other(path: Path, clock: Clock, store: Kycore) -> Iterator[Kycore]:
    """A second store on the same database, as another process would have it."""
    with Kycore(path, clock=clock) as other:
        yield other


# ---------------------------------------------------------------- by others


def test_a_cache_that_another_declares_counts_from_the_next_save(
    store: Kycore, other: Kycore
) -> None:
    warm(store)
    assert lifetime(store) == float("inf")
    with pytest.raises(InvalidTTLError):
        store.save("k", 1, ttl=5, scope=CACHE)
    other.create_cache(CACHE, 60)
    assert lifetime(store) == 60
    other.set_cache(CACHE, 30)
    assert lifetime(store) == 30
    other.drop_cache(CACHE)
    assert lifetime(store) == float("inf")
    other.create_cache(CACHE, 20)
    store.save("k", 1, ttl=5, scope=CACHE)
    assert store.ttl("k", scope=CACHE) == 5
    other.drop_scope(CACHE)
    assert lifetime(store) == float("inf")


def test_every_way_to_write_follows_the_declaration(
    store: Kycore, other: Kycore, clock: Clock
) -> None:
    warm(store)
    ways: list[Callable[[str], object]] = [
        lambda key: store.save(key, 1, scope=CACHE),
        lambda key: store.save(key, 1, scope=CACHE, if_absent=True),
        lambda key: store.save_many({key: 1}, scope=CACHE),
        lambda key: store.incr(key, scope=CACHE),
        lambda key: store.push(key, 1, scope=CACHE),
        lambda key: store.append(key, "x", scope=CACHE),
        lambda key: store.getset(key, 1, scope=CACHE),
        lambda key: store.import_rows([(key, 1)], scope=CACHE),
        lambda key: store.copy("warm", key, to_scope=CACHE),
    ]
    for round in range(3):
        for number, way in enumerate(ways):
            other.create_cache(CACHE, 10 + round)
            way(f"a{round}.{number}")
            assert store.ttl(f"a{round}.{number}", scope=CACHE) == 10 + round
            other.drop_cache(CACHE)
            way(f"b{round}.{number}")
            assert store.ttl(f"b{round}.{number}", scope=CACHE) == float("inf")


def test_another_process_declares_while_this_one_writes(path: Path) -> None:
    program = """
        import sys
        from kycli import Kycore
        with Kycore(sys.argv[1]) as store:
            for line in sys.stdin:
                name, value = line.split()
                if name == "fold":
                    store._query(
                        "UPDATE sys_namespaces SET fold_keys = ? WHERE scope = 'shop.cache'",
                        (int(value),))
                elif name == "cache":
                    store.set_cache("shop.cache", float(value))
                else:
                    store.set_scope("shop.cache", **{name: int(value)})
                print("done", flush=True)
    """
    with Kycore(path) as store:
        store.create_cache(CACHE, 1000)
        warm(store)
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None

        def tell(name: str, value: int) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{name} {value}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"

        for round in range(20):
            store.save("k", f"before {round}", scope=CACHE)
            tell("cache", 2000 + round * 1000)
            store.save("k", f"after {round}", scope=CACHE)
            left = store.ttl("k", scope=CACHE)
            assert left is not None
            assert 1100 + round * 1000 < left <= 2000 + round * 1000
            tell("history_versions", round + 1)
            assert store.scope_settings(CACHE)["history_versions"] == round + 1
            tell("fold", 1)
            store.save(f"KEY{round}", round, scope=CACHE)
            assert store.getkey(f"key{round}", scope=CACHE) == round
            tell("fold", 0)
            assert store.getkey(f"KEY{round}", scope=CACHE) is None
        process.stdin.close()
        assert process.wait() == 0
        process.stdout.close()


def test_folding_that_plain_sql_declares_counts_from_the_next_call(
    store: Kycore, path: Path
) -> None:
    warm(store)
    store.save("Old", 1, scope="s")
    assert store.getkey("NEW", "none", scope="s") == "none"
    fold(path, "s")
    store.save("NEW", 2, scope="s")
    assert sorted(store.iterkeys(scope="s")) == ["Old", "new"]
    assert store.getkey("Old", scope="s") == 1  # stays as it is
    assert store.getkey("New", scope="s") == 2
    fold(path, "s", None)
    assert store.getkey("New", scope="s") is None
    store.save("New", 3, scope="s")
    assert sorted(store.iterkeys(scope="s")) == ["New", "Old", "new"]


@pytest.mark.parametrize("read", ["getkey", "get_many"])
def test_a_key_that_was_missing_is_found_when_its_scope_ignores_case(
    store: Kycore, path: Path, read: str
) -> None:
    def get(key: str) -> Any:
        if read == "getkey":
            return store.getkey(key)
        return next(iter(store.get_many([key]).values()), None)

    warm(store)
    store.save("name", 1)
    for _ in range(3):
        assert get("NAME") is None
    fold(path, "default")
    assert get("other") is None  # catches up with the commit
    assert get("name") == 1
    for _ in range(3):
        assert get("NAME") == 1
    fold(path, "default", None)
    for _ in range(3):
        assert get("NAME") is None
        assert get("name") == 1


def test_a_database_that_is_restored_has_its_own_declarations(
    store: Kycore, path: Path, tmp_path: Path
) -> None:
    with Kycore(tmp_path / "backup.db") as backup:
        backup.create_cache(CACHE, 77)
        backup.save("key", "of the backup")
    fold(tmp_path / "backup.db", "default")
    store.create_cache(CACHE, 60)
    warm(store)
    assert lifetime(store) == 60
    assert store.getkey("KEY") is None
    source, target = apsw.Connection(str(tmp_path / "backup.db")), apsw.Connection(str(path))
    with target.backup("main", source, "main") as copying:
        copying.step()
    source.close()
    target.close()
    assert lifetime(store) == 77
    assert store.getkey("KEY") == "of the backup"


def test_a_renamed_scope_takes_along_what_is_declared(store: Kycore, other: Kycore) -> None:
    store.create_cache(CACHE, 60)
    warm(store)
    other.rename_scope(CACHE, "shop.new")
    assert (lifetime(store), lifetime(store, "shop.new")) == (float("inf"), 60)
    store.drop_scope(CACHE)
    store.rename_scope("shop.new", CACHE)
    assert (lifetime(store), lifetime(store, "shop.new")) == (60, float("inf"))


# ---------------------------------------------------------------- transactions and snapshots


@pytest.mark.parametrize("memory", [False, True])
def test_a_block_sees_its_own_declarations_until_they_are_rolled_back(
    store: Kycore, clock: Clock, memory: bool
) -> None:
    with Kycore(":memory:", clock=clock) if memory else nullcontext(store) as kv:
        warm(kv)
        with pytest.raises(ZeroDivisionError), kv.transaction():
            kv.create_cache(CACHE, 60)
            assert lifetime(kv) == 60
            with pytest.raises(KeyError), kv.transaction():
                kv.set_cache(CACHE, 30)
                assert lifetime(kv) == 30
                raise KeyError
            assert lifetime(kv) == 60
            with kv.transaction():
                kv.set_cache(CACHE, 20)
            assert lifetime(kv) == 20
            raise ZeroDivisionError
        assert lifetime(kv) == float("inf")
        with kv.transaction():
            kv.create_cache(CACHE, 10)
            assert lifetime(kv) == 10
        assert lifetime(kv) == 10


def test_a_snapshot_stays_with_what_was_declared(store: Kycore, path: Path) -> None:
    warm(store)
    store.save("key", 1)
    with store.snapshot():
        fold(path, "default")
        for _ in range(3):
            assert store.getkey("KEY") is None
            assert declared(store, "default") == true(store, "default")
    assert store.getkey("KEY") == 1
    with store.snapshot():
        assert store.getkey("KEY") == 1
        fold(path, "default", None)
        assert store.getkey("KEY") == 1
    assert store.getkey("KEY") is None


def test_another_thread_does_not_see_what_is_not_committed(store: Kycore) -> None:
    warm(store)
    inside, seen, leave = threading.Event(), [], threading.Event()

    def declare() -> None:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.create_cache(CACHE, 60)
            assert lifetime(store) == 60
            inside.set()
            leave.wait(60)
            raise ZeroDivisionError

    def save() -> None:
        seen.append(lifetime(store))

    declaring, saving = threading.Thread(target=declare), threading.Thread(target=save)
    declaring.start()
    assert inside.wait(60)
    saving.start()
    leave.set()
    declaring.join()
    saving.join()
    assert seen == [float("inf")]


def test_threads_that_declare_and_write_at_once(store: Kycore, path: Path) -> None:
    store.create_cache(CACHE, 1)
    warm(store)
    errors: list[BaseException] = []
    done = threading.Event()

    def declare() -> None:
        try:
            with Kycore(path) as own:
                for number in range(200):
                    (own if number % 2 else store).set_cache(CACHE, 1 + number)
        except BaseException as error:
            errors.append(error)
        done.set()

    def write() -> None:
        try:
            while not done.is_set():
                with store.transaction():
                    store.save("KEY", random.random(), scope=CACHE)
                    left = store.ttl("KEY", scope=CACHE)
                    timeout = true(store, CACHE)[0]
                assert left == timeout / 1000
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for work in (declare, write, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert lifetime(store) == 200


def test_a_block_whose_thread_has_ended_leaves_nothing_declared(store: Kycore) -> None:
    warm(store)

    def begin() -> None:
        store.transaction().__enter__()
        store.create_cache(CACHE, 60)
        assert lifetime(store) == 60

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    with pytest.warns(RuntimeWarning, match="a thread ended inside a transaction"):
        assert lifetime(store) == float("inf")


def test_parent_and_child_of_a_fork_see_what_the_other_declares(store: Kycore) -> None:
    store.create_cache(CACHE, 60)
    warm(store)

    def work() -> None:
        assert lifetime(store) == 60
        store.set_cache(CACHE, 30)
        assert lifetime(warm(store)) == 30

    assert in_child(work) == 0
    assert lifetime(store) == 30


def test_whatever_happens_a_store_knows_what_the_database_says(
    store: Kycore, other: Kycore, path: Path
) -> None:
    """The connection of the store itself is asked by SQL what is right at that moment."""
    chance = random.Random(7)
    scopes = [CACHE, "shop", "a.b", "default"]
    limits = ("history_days", "history_versions", "archive_days")

    def timeout(kv: Kycore, scope: str) -> None:
        if scope in kv.caches():
            if chance.random() < 0.5:
                kv.drop_cache(scope)
            else:
                kv.set_cache(scope, 9)
        elif "." in scope:
            kv.create_cache(scope, chance.randrange(1, 5))

    def change(kv: Kycore) -> None:
        scope = chance.choice(scopes)
        what = chance.randrange(4)
        if what == 0:
            timeout(kv, scope)
        elif what == 1:
            kv.set_scope(scope, **{chance.choice(limits): chance.choice([None, 1, 2])})
        elif what == 2:
            kv.drop_scope(scope)
        elif kv is other:
            fold(path, scope, chance.choice([None, 1]))

    def look() -> None:
        for scope in scopes:
            assert declared(store, scope) == true(store, scope)

    def step(depth: int) -> None:
        what = chance.randrange(8 if depth < 3 else 6)
        if what == 0:
            change(store)
        elif what == 1 and depth == 0:
            change(other)
        elif what in (2, 3):
            key = chance.choice(["k", "K", "Kk"])
            store.save(key, chance.random(), scope=chance.choice(scopes))
        elif what == 4:
            store.getkey(chance.choice(["K", "none", "NONE"]), scope=chance.choice(scopes))
        elif what == 5 and depth == 0:
            other.save("k", chance.random())
        elif what >= 6:
            with pytest.raises(KeyError) if what == 7 else nullcontext(), store.transaction():
                for _ in range(chance.randrange(4)):
                    step(depth + 1)
                    look()
                if what == 7:
                    raise KeyError
        look()

    def read(block: AbstractContextManager[Any]) -> None:
        with block:
            look()
            change(other)
            look()

    warm(store)
    for _ in range(400):
        step(0)
        if chance.random() < 0.1:
            read(store.snapshot())
            look()


# ---------------------------------------------------------------- what it costs


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """The scopes whose declarations are read on connections that are opened from now on."""
    seen: list[str] = []

    def trace(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        if "cache_ms" in sql and sql.lstrip().startswith("SELECT"):
            seen.append(bindings[0])
        return True

    def watch(connection: apsw.Connection) -> None:
        connection.exec_trace = trace

    storage._use_native_statements(False)  # whose statements nobody can trace
    apsw.connection_hooks.append(watch)
    yield seen
    apsw.connection_hooks.remove(watch)
    storage._use_native_statements(True)


@pytest.mark.native_only
@pytest.mark.parametrize("options", [{}, {"cache_entries": 0}, {"durability": "async"}])
def test_a_warm_store_does_not_ask_again(
    asked: list[str], path: Path, clock: Clock, options: dict[str, Any]
) -> None:
    with Kycore(path, clock=clock, **options) as store:
        store.create_cache(CACHE, 60)
        warm(store)
        asked.clear()
        for number in range(100):
            store.save("k", number, scope=CACHE)
            store.save("UPPER", number)
            store.getkey("UPPER")
            store.getkey(f"MISSING{number}")
            store.incr("n", scope=CACHE)
            with store.transaction():
                store.save("k", -number, scope=CACHE)
            with store.snapshot():
                store.getkey("UPPER", scope=CACHE)
        store.flush()
        assert asked.count(CACHE) == 0
        with Kycore(path, clock=clock) as other:
            other.set_cache(CACHE, 30)
        asked.clear()
        for number in range(100):
            store.save("k", number, scope=CACHE)
        store.flush()
        assert asked.count(CACHE) == 1
        assert store.ttl("k", scope=CACHE) == 30


@pytest.mark.native_only
@pytest.mark.parametrize("way", ["save_many", "import_rows", "block", "snapshot"])
def test_a_store_that_was_just_opened_asks_once_in_a_block(
    asked: list[str], path: Path, way: str
) -> None:
    rows = [(f"KEY{number}", number) for number in range(100)]
    with Kycore(path) as store:
        asked.clear()
        if way == "save_many":
            store.save_many(rows)
        elif way == "import_rows":
            store.import_rows(rows)
        elif way == "block":
            with store.transaction():
                for key, value in rows:
                    store.save(key, value)
        else:
            with store.snapshot():
                for key, _ in rows:
                    store.getkey(key)
        assert asked.count("default") == 1


@pytest.mark.native_only
def test_in_memory_nobody_else_can_declare(asked: list[str], clock: Clock) -> None:
    with Kycore(":memory:", clock=clock) as store:
        warm(store)
        asked.clear()
        for number in range(20):
            store.save("UPPER", number)
        assert asked == []
        store.create_cache(CACHE, 60)
        assert lifetime(store) == 60


def test_keys_in_upper_case_leave_deferred_what_is_deferred(path: Path, clock: Clock) -> None:
    with Kycore(path) as reader, Kycore(path, clock=clock, durability="async") as store:
        warm(store)
        store.flush()
        for number in range(10):
            assert store.save(f"UPPER{number}", number) == "created"
            assert store.getkey(f"UPPER{number}") == number
        assert reader.count("UPPER") == 0
        fold(path, "default")
        store.save("NEW", 1)
        store.save("NEW", 2)
        assert (store.getkey("new"), store.getkey("NEW")) == (2, 2)
        assert store.getkey("UPPER0") == 0  # saved in its own case before
        assert reader.count("UPPER") == reader.count("new") == 0
        store.flush()
        assert (reader.count("UPPER"), reader.count("new")) == (10, 1)


def test_a_record_stays_the_same_object_as_long_as_nothing_else_is_declared(
    store: Kycore, other: Kycore
) -> None:
    """So that what is derived from a declaration can be kept with it."""
    store.create_cache(CACHE, 60)
    warm(store)
    first = store._declared(CACHE)
    for number in range(5):
        store.save("k", number, scope=CACHE)
        other.save("k", -number, scope=CACHE)
        other.set_scope("elsewhere", history_days=number)
        assert store._declared(CACHE) is first
    other.set_cache(CACHE, 30)
    assert store._declared(CACHE) is not first


def test_there_may_be_any_number_of_scopes(store: Kycore) -> None:
    store.create_cache(CACHE, 60)
    warm(store)
    for number in range(5000):
        assert store._declared(f"s{number}.n").cache_ms is None
    assert lifetime(store) == 60
