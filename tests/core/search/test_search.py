"""Search sees every committed change and nothing that is gone, whatever the index has seen."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import check

from kycli import Kycore
from kycli.core import storage
from kycli.core.search import checking as index_check
from kycli.core.search import indexing
from kycli.core.search.searching import Hit
from kycli.errors import BusyError, CorruptError, InvalidValueError, MisuseError, WrongTypeError


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each step of catching up take in one key."""
    monkeypatch.setattr(indexing, "STEP_SECONDS", -1)


def keys(store: Kycore, query: str, **options: Any) -> list[str]:
    return sorted(store.search(query, keys_only=True, **options))


# What is found


def test_it_returns_keys_and_values_best_first(store: Kycore) -> None:
    store.save("a", "apple pie and apple juice and more of it")
    store.save("b", "apple")
    store.save("apple", "fruit")
    store.save("c", "pear")
    found = store.search("apple")
    assert next(iter(found.items())) == ("apple", "fruit")  # a key weighs more
    assert set(found) == {"apple", "a", "b"}
    assert store.search("apple", keys_only=True) == list(found)
    assert list(store.search("apple", limit=2)) == list(found)[:2]
    assert store.search("apple", limit=0) == {}
    assert len(store.search("apple", limit=None)) == 3


def test_each_scope_is_searched_by_itself(store: Kycore) -> None:
    store.save("k", "apple one")
    store.save("k", "apple two", scope="shop.prod")
    assert store.search("apple") == {"k": "apple one"}
    assert store.search("apple", scope="shop.prod") == {"k": "apple two"}
    assert store.search("apple", scope="elsewhere") == {}
    assert store.search("shop") == {}
    hits = store.search_hits("apple", all_scopes=True)
    assert {(hit.scope, hit.key, hit.value) for hit in hits} == {
        ("default", "k", "apple one"), ("shop.prod", "k", "apple two"),
    }  # fmt: skip
    assert store.search_hits("apple", all_scopes=True, limit=1)[0] in hits


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("plain text", "text"),
        (12345, "12345"),
        (10**30, str(10**30)),
        (2.5, "2.5"),
        (True, "true"),
        (None, "null"),
        ({"name": "Ada", "tags": ["admin", {"age": 36}]}, "name ada tags admin age 36"),
        (["two\nlines"], '"two lines"'),
        ({"a": b"\0", "b": 'say "hi" \\o'}, '"say hi"'),
        ("x" * 5000 + " needle", "needle"),
        ({"long": "y" * 5000, "n": "needle\\"}, "needle"),
    ],
)
def test_a_value_is_found_by_its_text(store: Kycore, value: Any, query: str) -> None:
    store.save("k", value)
    assert store.search(query) == {"k": value}
    assert store.search(f"value:({query})") == {"k": value}


def test_bytes_are_found_by_their_key_alone(store: Kycore) -> None:
    store.save("logo", b"apple")
    store.save("document", {"bytes": b"apple"})
    store.save("large", b"apple " * 1000)
    assert store.search("apple") == {}
    assert store.search("YXBwbGU") == {}  # as base64
    assert store.search("key:logo") == {"logo": b"apple"}


def test_any_script_is_found(store: Kycore) -> None:
    texts = {
        "fr": "Le café était fermé",
        "ja": "東京都の天気は晴れ",
        "th": "มนุษย์ทั้งหลายเกิดมามีอิสระ",
        "ko": "서울에서 만나요",
        "hi": "सभी मनुष्यों को",
        "ar": "يُولَدُ جميعُ الناسِ",
        "emoji": "party 🎉🦀",
    }
    store.save_many(texts)
    for query, key in {
        "cafe ETAIT": "fr", "天気": "ja", "京都": "ja", "อิสระ": "th", "서울": "ko",
        "मनुष्यों": "hi", "الناس": "ar", "🦀": "emoji",
    }.items():  # fmt: skip
        assert store.search(query) == {key: texts[key]}, query


@pytest.mark.parametrize("limit", [-1, 1 << 62])
def test_a_bad_limit_is_refused(store: Kycore, limit: int) -> None:
    with pytest.raises(InvalidValueError, match="limit"):
        store.search("x", limit=limit)


def test_bad_arguments_are_refused(store: Kycore) -> None:
    with pytest.raises(WrongTypeError, match="query"):
        store.search(b"x")  # type: ignore[call-overload]
    with pytest.raises(WrongTypeError, match="limit"):
        store.search("x", limit="1")  # type: ignore[call-overload]
    with pytest.raises(MisuseError, match="not both"):
        store.search_hits("x", scope="a", all_scopes=True)


# Every change is seen


def test_every_change_is_seen_at_once(store: Kycore, clock: Clock) -> None:
    store.save("k", "apple")
    assert keys(store, "apple") == ["k"]
    store.save("k", "pear")
    assert (keys(store, "apple"), keys(store, "pear")) == ([], ["k"])
    store.append("k", " banana")
    assert keys(store, "pear banana") == ["k"]
    store.move("k", "m")
    assert keys(store, "banana") == ["m"]
    store.delete("m")
    assert keys(store, "banana") == []
    store.restore("m")
    assert keys(store, "banana") == ["m"]
    store.expire("m", 10)
    assert keys(store, "banana") == ["m"]
    clock.advance(10)
    assert keys(store, "banana") == []
    store.save("m", "banana split")
    assert keys(store, "banana") == ["m"]
    assert keys(store, "split") == ["m"]


def test_an_expired_key_is_gone_before_it_is_swept(store: Kycore, clock: Clock) -> None:
    store.save("k", "apple", ttl=1)
    assert keys(store, "apple") == ["k"]
    clock.advance(1)
    with store.snapshot():
        assert keys(store, "apple") == []
    assert keys(store, "apple") == []


def test_large_values_are_followed_too(store: Kycore, clock: Clock) -> None:
    store.save("k", "apple " * 1000)
    assert keys(store, "apple") == ["k"]
    store.save("k", "pear " * 1000, ttl=60)
    store.persist("k")
    assert (keys(store, "apple"), keys(store, "pear")) == ([], ["k"])
    store.save("k", "short")
    assert (keys(store, "pear"), keys(store, "short")) == ([], ["k"])


def test_a_transaction_finds_what_it_has_written(store: Kycore) -> None:
    store.save("k", "apple")
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.save("k", "pear")
        assert (keys(store, "apple"), keys(store, "pear")) == ([], ["k"])
        raise ZeroDivisionError
    assert (keys(store, "apple"), keys(store, "pear")) == (["k"], [])
    with store.transaction():
        store.save("k", "pear")
        assert keys(store, "pear") == ["k"]
    assert keys(store, "pear") == ["k"]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_snapshot_finds_what_is_not_indexed(path: Path, clock: Clock, indexed: bool) -> None:
    with Kycore(path, clock=clock) as store, Kycore(path, clock=clock) as other:
        store.save_many({"a": "apple one", "b": "apple two", "c": "apple three"})
        store.save("d", "apple", scope="other")
        if indexed:
            store.search("apple")
        store.save("a", "pear")
        store.save("e", "apple " * 1000)
        store.save("f", "apple five", ttl=5)
        store.delete("b")
        with store.snapshot():
            other.save("a", "apple again")
            other.delete("c")
            assert keys(other, "apple") == ["a", "e", "f"]  # and the index has moved on
            assert keys(store, "apple") == ["c", "e", "f"]
            assert keys(store, "pear") == ["a"]
            assert next(iter(store.search("apple", limit=1).values())).startswith("apple")
            hits = store.search_hits("apple", all_scopes=True)
            assert {(hit.scope, hit.key) for hit in hits} >= {("other", "d"), ("default", "e")}
            clock.advance(5)
            assert keys(store, "apple") == ["c", "e"]
        assert keys(store, "apple") == ["a", "e"]


@pytest.mark.parametrize("indexed", [None, "half", "all"])
def test_a_read_only_database_is_searched_as_it_is(
    path: Path, indexed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Kycore(path) as store:
        store.save_many((f"k{n}", f"apple {n}") for n in range(1500))
        if indexed == "all":
            store.search("apple")
        elif indexed == "half":
            monkeypatch.setattr(indexing, "STEP_SECONDS", -1)
            with store.transaction():
                indexing._step(store, indexing.State(store), 1500, indexing._Pace(), True)
        store.save("k7", "pear")
        store.delete("k8")
    with tempfile.TemporaryDirectory() as directory:  # whose parents everybody may enter
        copy = Path(directory, "kv.db")
        shutil.copy(path, copy)
        copy.chmod(0o444)
        Path(directory).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-P", "-c", READ_ONLY, str(copy)], stdout=subprocess.PIPE, check=True
        )
        Path(directory).chmod(0o755)
    assert done.stdout.decode() == "True 1498 {'k7': 'pear'} {}\n"


READ_ONLY = """
import os, sys
from kycli import Kycore
# Imported while the installed files can be read.
import kycli.core.search.searching, kycli.core.search.snippets
if os.getuid() == 0:
    os.setuid(65534)
with Kycore(sys.argv[1]) as store:
    found = len(store.search("apple", limit=None))
    print(store.read_only, found, store.search("pear"), store.search("key:k8"))
"""


def test_a_writer_that_takes_long_does_not_stop_a_search(path: Path) -> None:
    with Kycore(path) as writer, Kycore(path, busy_timeout_ms=50) as store:
        writer.save("k", "apple")
        with writer.transaction():
            writer.save("m", "apple too")
            with pytest.raises(BusyError):
                store.save("x", "y")
            assert keys(store, "apple") == ["k"]
        assert keys(store, "apple") == ["k", "m"]


def test_scopes_are_followed_when_they_are_renamed_and_dropped(store: Kycore) -> None:
    store.save("a", "apple", scope="old")
    assert keys(store, "apple", scope="old") == ["a"]
    store.save("b", "apple", scope="old")  # not indexed yet
    store.rename_scope("old", "new")
    assert keys(store, "apple", scope="old") == []
    assert keys(store, "apple", scope="new") == ["a", "b"]
    store.save("c", "apple", scope="newer")
    store.delete("c", scope="newer")
    store.rename_scope("new", "newer")  # a name with a past: keys are moved one by one
    assert keys(store, "apple", scope="newer") == ["a", "b"]
    store.drop_scope("newer")
    assert keys(store, "apple", scope="newer") == []


def test_a_scope_may_be_renamed_while_the_index_is_built(store: Kycore, small_steps: None) -> None:
    store.save_many({f"k{n}": "apple" for n in range(10)}, scope="b")
    with pytest.raises(KeyboardInterrupt):
        store.search_hits("apple", scope="b", progress=interrupt_after(4))
    store.rename_scope("b", "a")  # which comes before where building has got to
    assert len(keys(store, "apple", scope="a")) == 10


WORDS = st.sampled_from(["apple", "pear", "plum", "fig", "kiwi"])
CHANGE = st.one_of(
    st.tuples(st.just("save"), st.integers(0, 8), st.lists(WORDS, max_size=3).map(" ".join)),
    st.tuples(st.just("large"), st.integers(0, 8), st.lists(WORDS, max_size=3).map(" ".join)),
    st.tuples(st.just("delete"), st.integers(0, 8), st.just("")),
    st.tuples(st.just("expire"), st.integers(0, 8), st.just("")),
    st.tuples(st.just("search"), st.just(0), WORDS),
    st.tuples(st.just("snapshot"), st.just(0), WORDS),
    st.tuples(st.just("optimize"), st.just(0), WORDS),
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(CHANGE, max_size=30), st.booleans())
def test_search_agrees_with_looking_at_every_value(changes: list[Any], small: bool) -> None:
    texts: dict[str, str] = {}
    usual = indexing.STEP_SECONDS
    indexing.STEP_SECONDS = -1 if small else usual
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "kv.db")
            clock = Clock()
            with Kycore(path, clock=clock) as store:
                for what, number, text in [*changes, ("search", 0, "apple")]:
                    key = f"k{number}"
                    if what in ("save", "large"):
                        texts[key] = text if what == "save" else text + " x" * 400
                        store.save(key, texts[key])
                    elif what == "delete":
                        assert store.delete(key) == (texts.pop(key, None) is not None)
                    elif what == "expire":
                        store.expire(key, 1)
                        clock.advance(1)
                        texts.pop(key, None)
                    else:
                        expected = {k: v for k, v in texts.items() if text in v.split()}
                        if what == "optimize":
                            store.optimize_index()
                        with store.snapshot() if what == "snapshot" else store.transaction():
                            assert store.search(text) == expected
                        assert store.search(text) == expected
            check(path)
    finally:
        indexing.STEP_SECONDS = usual


# Catching up


def interrupt_after(count: int) -> Callable[[int, int], None]:
    """Return a progress that interrupts at its ``count``-th call."""
    calls = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == count:
            raise KeyboardInterrupt

    return progress


def test_building_goes_on_where_it_was_interrupted(store: Kycore, small_steps: None) -> None:
    store.save_many({f"k{n:02}": f"apple {n}" for n in range(30)})
    told: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        store.search_hits("apple", progress=interrupt_after(10))
    store.save("k05", "pear")  # before where building has got to
    store.save("k25", "pear")  # and behind it
    store.delete("k03")
    store.delete("k29")
    found = store.search_hits("apple", progress=lambda *count: told.append(count), limit=None)
    assert len(found) == 26
    assert keys(store, "pear") == ["k05", "k25"]
    assert told == sorted(told)
    assert told[0][0] == 1
    assert told[0][1] in (18, 19, 20)  # what was left


def test_catching_up_goes_on_where_it_was_interrupted(store: Kycore, small_steps: None) -> None:
    store.save("first", "apple")
    store.search("apple")
    store.save_many({f"k{n:02}": f"apple {n}" for n in range(30)})
    with pytest.raises(KeyboardInterrupt):
        store.search_hits("apple", progress=interrupt_after(10))
    state = indexing.State(store)
    assert state.is_built
    assert not state.is_current
    assert len(store.search("apple", limit=None)) == 31
    assert indexing.State(store).is_current


def test_a_key_that_changed_often_is_indexed_once(store: Kycore) -> None:
    store.search("x")
    for _ in range(5000):
        store.incr("hits")
    steps: list[int] = []
    assert store.search_hits("5000", progress=lambda done, _: steps.append(done))[0].key == "hits"
    assert steps[-1] == 5000
    assert store.search("4999") == {}


def test_others_write_between_the_steps(path: Path, small_steps: None) -> None:
    with Kycore(path) as store, Kycore(path, busy_timeout_ms=0) as other:
        store.save_many({f"k{n}": "apple" for n in range(20)})

        def progress(done: int, total: int) -> None:
            other.save(f"other{done}", "apple")
            assert len(other.search("apple", limit=None)) == 20 + done  # and catch up as well

        assert len(store.search_hits("apple", progress=progress, limit=None)) >= 20
        assert set(keys(store, "apple", limit=None)) == {*store}


@pytest.fixture(params=[True, False], ids=["native", "by apsw"])
def native(request: pytest.FixtureRequest) -> Iterator[None]:
    storage._use_native_statements(request.param)
    yield
    storage._use_native_statements(True)


def odd(number: int) -> Any:
    """Return values of all kinds, some of them large, some not ASCII."""
    values = [f"apple {number}", "Ärger über Äpfel", number, 2.5, {"n": 'a "b"'}, "x " * 700, b"a"]
    return values[number % len(values)]


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("seconds", [-1, 0.002, 1])
def test_keys_that_changed_in_any_order_are_indexed_as_they_are(
    path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(indexing, "STEP_SECONDS", seconds)
    monkeypatch.setattr(indexing, "_BULK", 300)
    monkeypatch.setattr(indexing, "_STEPS_BETWEEN_MERGES", 3)
    chance = random.Random(1)
    with Kycore(path) as store:
        store.save_many((f"k{n:03}", odd(n)) for n in range(400))
        assert store.update_index() == 400
        for size in (350, 50):
            for n in chance.sample(range(500), size):
                if chance.random() < 0.2:
                    store.delete(f"k{n:03}")
                else:
                    store.save(f"k{n:03}", odd(n + 1))
            store.rename_scope("default", "other")
            store.rename_scope("other", "default")
            assert store.update_index() == len(store)
        assert index_check.check(store) == []
        assert index_check.compare(store) == []
        assert len(keys(store, "APFEL", limit=None)) == sum(
            value == odd(1) for value in store.values()
        )
    check(path)


def test_parts_are_merged_at_the_end_of_much_work(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "STEP_SECONDS", -1)
    monkeypatch.setattr(indexing, "_BULK", 30)
    tool = apsw.Connection(str(path))

    def parts() -> int:
        count: int = tool.execute("SELECT count(DISTINCT segid) FROM fts_kvstore_idx").get
        return count

    with Kycore(path) as store:
        for generation in range(2):
            most: list[int] = []
            store.save_many((f"k{n}", f"apple {generation}") for n in range(40))
            store.update_index(progress=lambda done, total, most=most: most.append(parts()))  # type: ignore[misc]
            assert max(most) > 30
            assert parts() < 4 * (generation + 1)
            setting = "SELECT v FROM fts_kvstore_config WHERE k = 'automerge'"
            assert tool.execute(setting).get == 4
    tool.close()
    check(path)


HAMMER = """
import random, sys
from kycli import Kycore
seed, path = int(sys.argv[1]), sys.argv[2]
chance = random.Random(seed)
with Kycore(path) as store:
    for n in range(int(sys.argv[3])):
        key = f"k{chance.randrange(200)}"
        if chance.random() < 0.2:
            store.delete(key)
        else:
            store.save(key, f"apple{seed}x{n} common")
            found = store.search(f"apple{seed}x{n}")
            assert found in ({key: f"apple{seed}x{n} common"}, {}), found
        if n % 20 == 0:
            assert all("common" in value for value in store.search("common").values())
            print(n, flush=True)
"""


def hammers(path: Path, count: int, rounds: int) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen(
            [sys.executable, "-P", "-c", HAMMER, str(seed), str(path), str(rounds)],
            stdout=subprocess.PIPE, text=True,
        )
        for seed in range(count)
    ]  # fmt: skip


@pytest.mark.alone
def test_several_processes_write_and_search_at_once(path: Path) -> None:
    processes = hammers(path, 3, 200)
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0, 0, 0]
    with Kycore(path) as store:
        assert store.search("common", limit=None) == dict(store.items())


def kill_while_indexing(path: Path, rounds: int) -> None:
    code = "import sys; from kycli import Kycore; Kycore(sys.argv[1]).search('common')"
    with Kycore(path) as store:
        for number in range(rounds):
            store.save_many((f"{number}:{n}", f"common {n} " + "w" * 50) for n in range(5000))
            process = subprocess.Popen([sys.executable, "-P", "-c", code, str(path)])
            time.sleep(0.08 + 0.5 * (number * 0.618 % 1))
            process.send_signal(signal.SIGKILL)
            process.wait()
            check(path)
            if number % 3 == 0:
                with apsw.Connection(str(path)) as tool:
                    tool.execute("UPDATE fts_state SET watermark = NULL")  # to be built anew
                tool.close()
        assert len(store.search("common", limit=None)) == 5000 * rounds
        assert index_check.check(store) == []


@pytest.mark.alone
def test_killed_while_indexing_nothing_is_lost(path: Path) -> None:
    kill_while_indexing(path, 3)


@pytest.mark.soak
def test_killed_many_times_while_indexing_nothing_is_lost(path: Path) -> None:
    kill_while_indexing(path, 40)


# Optimizing and checking


def test_optimizing_merges_and_counts(store: Kycore, path: Path) -> None:
    for n in range(20):
        store.save_many({f"k{n}.{m}": f"apple {m}" for m in range(50)})
        store.search("apple")
    store.delete_many(prefix="k1.")
    assert store.optimize_index() == 950
    tool = apsw.Connection(str(path))
    assert tool.execute("SELECT count(DISTINCT segid) FROM fts_kvstore_idx").get == 1
    tool.close()
    assert len(store.search("apple", limit=None)) == 950
    assert store.optimize_index() == 950


def test_optimizing_may_be_part_of_a_transaction(store: Kycore) -> None:
    store.save("k", "apple")
    with store.transaction():
        store.save("m", "apple")
        assert store.optimize_index() == 2
    assert keys(store, "apple") == ["k", "m"]


def test_compaction_does_not_wait_for_the_index(store: Kycore, clock: Clock) -> None:
    store.save_many({"a": "apple", "b": "apple", "c": "apple " * 200})
    store.search("apple")
    store.save("a", "pear")
    store.delete("b")
    store.save("c", "plum " * 200)
    store.expire("c", 1e6)
    store.save("d", "apple")
    clock.advance(86_400)
    store.compact(0)
    store.save("e", "apple")
    assert keys(store, "apple") == ["d", "e"]
    assert (keys(store, "pear"), keys(store, "plum")) == (["a"], ["c"])
    assert store.optimize_index() == 4
    assert store.check() == []


def test_an_index_is_built_from_what_compaction_left(store: Kycore, clock: Clock) -> None:
    store.save_many({"a": "apple", "b": "apple", "c": "apple " * 200})
    store.save("a", "pear")
    store.delete("b")
    clock.advance(86_400)
    store.compact(0)
    assert (keys(store, "apple"), keys(store, "pear")) == (["c"], ["a"])


def test_saves_that_wait_are_found(path: Path) -> None:
    with Kycore(path, durability="async") as store:
        for number in range(20):
            store.save("k", f"apple{number}")
            assert store.search(f"apple{number}") == {"k": f"apple{number}"}


def damage(path: Path, *statements: str) -> None:
    tool = apsw.Connection(str(path))
    for statement in statements:
        tool.execute(statement)
    tool.close()


DAMAGES = {
    "a part is lost": "DELETE FROM fts_kvstore_data WHERE id > 10",
    "all is lost": "DELETE FROM fts_kvstore_data",
    "a part is overwritten": "UPDATE fts_kvstore_data SET block = zeroblob(length(block))",
    "a key is lost": "DELETE FROM fts_docs WHERE key = 'k7'",
    "a text is lost": "DELETE FROM fts_kvstore WHERE rowid = 3",
    "a text has no key": "INSERT INTO fts_kvstore (rowid, key) VALUES (9999, 'k')",
    "emptied": "INSERT INTO fts_kvstore (fts_kvstore) VALUES ('delete-all')",
    "another text": "INSERT OR REPLACE INTO fts_kvstore (rowid, key) VALUES (3, 'wrong')",
}


@pytest.mark.damages
@pytest.mark.parametrize("statement", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_found_and_mended(path: Path, statement: str) -> None:
    with Kycore(path) as store:
        store.save_many({f"k{n}": f"apple {n}" for n in range(500)})
        store.search("apple")
        assert index_check.check(store) == []
    damage(path, statement)
    with Kycore(path) as store:
        assert index_check.check(store) != []
        assert store.optimize_index() == 500
        assert index_check.check(store) == []
        assert len(store.search("apple", limit=None)) == 500
    check(path)


@pytest.mark.damages
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM fts_kvstore_data",
        "DELETE FROM fts_kvstore_data WHERE id = 1",
        "DELETE FROM fts_kvstore_data WHERE id > 10",
        "DELETE FROM fts_kvstore_docsize",
        "DELETE FROM fts_kvstore_config",
        "UPDATE fts_kvstore_docsize SET sz = x'ffffff'",
    ],
)
def test_a_damaged_index_is_an_error_that_says_what_to_do(path: Path, statement: str) -> None:
    with Kycore(path) as store:
        store.save_many({f"k{n}": f"apple {n}" for n in range(500)})
        store.search("apple")
    damage(path, statement)
    with Kycore(path) as store:
        with pytest.raises(CorruptError, match="the search index is damaged") as caught:
            store.search("apple")
        assert "kycli doctor" in str(caught.value.hint)
        assert store["k1"] == "apple 1"


def test_what_is_left_of_pruned_keys_is_not_found_and_removed(store: Kycore, path: Path) -> None:
    store.save_many({"a": "apple", "b": "apple"})
    store.search("apple")
    store.delete("a")
    # As if compaction had pruned the deletion before the index has seen it.
    damage(path, "UPDATE fts_state SET watermark = (SELECT max(id) FROM audit_log)")
    assert keys(store, "apple") == ["b"]
    assert store.optimize_index() == 1
    store.save("a", "apple")
    assert keys(store, "apple") == ["a", "b"]


# Snippets


def snippet(store: Kycore, query: str) -> Iterator[tuple[str, str]]:
    """Yield key and snippet of each hit, with what matched in brackets."""
    for hit in store.search_hits(query, snippets=True):
        yield tuple(  # type: ignore[misc]
            "".join(f"[{text}]" if marked else text for text, marked in pieces)
            for pieces in (hit.marked_key, hit.snippet)
        )


@pytest.mark.parametrize(
    ("key", "value", "query", "shown"),
    [
        ("k", "an apple a day", "apple", ("k", "an [apple] a day")),
        ("k", "an apple, a day", '"apple a"', ("k", "an [apple, a] day")),
        ("apple.pie", "x", "apple", ("[apple].pie", "x")),
        ("k", "Le CAFÉ noir", "cafe", ("k", "Le [CAFÉ] noir")),
        ("k", "Le cafe\u0301 noir", "café", ("k", "Le [café] noir")),
        ("k", "東京都の天気", "京都", ("k", "東[京都]の天気")),
        ("k", "Die Straße dort", "strasse", ("k", "Die [Straße] dort")),
        ("k", "go 🎉🦀!", "🦀", ("k", "go 🎉[🦀]!")),
        ("k", "two\nlines\tof \x1b[31mit", "lines", ("k", "two [lines] of  [31mit")),
        ("k", {"n": "Ada"}, "ada", ("k", '{"n":"[Ada]"}')),
        ("k", ["a\nb", True, None, 1.5], "b", ("k", '["a [b]",true,null,1.5]')),
        ("k", 42, "42", ("k", "[42]")),
        ("k", b"\0", "k", ("[k]", "")),
        ("k", "", "k", ("[k]", "")),
    ],
)
def test_a_snippet_marks_what_matched(
    store: Kycore, key: str, value: Any, query: str, shown: tuple[str, str]
) -> None:
    store.save(key, value)
    assert list(snippet(store, query)) == [shown]


def test_a_snippet_is_cut_around_the_first_match(store: Kycore) -> None:
    store.save("k", "start " * 50 + "needle" + " end" * 50)
    ((_, shown),) = snippet(store, "needle")
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert "[needle]" in shown
    assert len(shown) < 110
    store.save("k", "start " * 50 + "needle")
    ((_, shown),) = snippet(store, "needle")
    assert shown.endswith("[needle]")


def test_hits_are_named(store: Kycore) -> None:
    store.save("k", "apple")
    (hit,) = store.search_hits("apple")
    assert isinstance(hit, Hit)
    assert (hit.scope, hit.key, hit.value, hit.snippet) == ("default", "k", "apple", ())
    assert hit.rank < 0
    (hit,) = store.search_hits("apple", keys_only=True)
    assert hit.value is None
