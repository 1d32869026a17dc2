"""What programs need that show a store while others change it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kycli import Kycore
from kycli.core.layout import JSON, OPAQUE
from kycli.core.operations.excerpts import excerpt_of
from kycli.errors import FileReplacedError, InvalidKeyError, InvalidValueError, WrongTypeError


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "kycli.db")


def elsewhere(path: str, code: str) -> None:
    """Run code with a store ``kv`` in another process."""
    program = f"from kycli import Kycore\nwith Kycore({path!r}) as kv:\n    {code}"
    subprocess.run([sys.executable, "-P", "-c", program], check=True)


# ---------------------------------------------------------------- marks


def test_a_mark_stays_until_somebody_commits(path: str) -> None:
    with Kycore(path) as kv:
        mark = kv.commit_mark()
        kv.getkey("k"), kv.listkeys(), kv.count()
        assert kv.commit_mark() == mark
        kv["k"] = 1
        after = kv.commit_mark()
        assert after != mark
        elsewhere(path, "kv['k'] = 2")
        assert kv.commit_mark() != after
        assert kv["k"] == 2


def test_a_mark_tells_what_is_no_change_of_a_key(path: str) -> None:
    with Kycore(path) as kv, Kycore(path) as other:
        mark = kv.commit_mark()
        other.create_cache("shop.cart", 60)
        assert kv.commit_mark() != mark


def test_what_is_rolled_back_or_staged_moves_no_mark_of_others(path: str) -> None:
    with Kycore(path) as kv, Kycore(path) as other:
        kv["k"] = 1
        mark = other.commit_mark()
        with pytest.raises(ZeroDivisionError), kv.transaction():
            kv["k"] = 2
            assert other.commit_mark() == mark
            raise ZeroDivisionError
        assert other.commit_mark() == mark
        with kv.transaction():
            kv["k"] = 3
        assert other.commit_mark() != mark


def test_a_database_in_memory_and_one_without_a_cache_have_marks(path: str) -> None:
    with Kycore(":memory:") as kv:
        mark = kv.commit_mark()
        assert kv.commit_mark() == mark
        kv["k"] = 1
        assert kv.commit_mark() != mark
    with Kycore(path, cache_entries=0) as kv:
        mark = kv.commit_mark()
        elsewhere(path, "kv['k'] = 2")
        assert kv.commit_mark() != mark


def test_a_mark_of_a_read_only_store(path: str) -> None:
    with Kycore(path) as writer:
        writer["k"] = 1
        os.chmod(path, 0o400)
        with Kycore(path) as kv:
            mark = kv.commit_mark()
            assert kv.commit_mark() == mark
            writer["k"] = 2
            assert kv.commit_mark() != mark


def test_saves_that_are_not_committed_yet_stay_so(path: str) -> None:
    with Kycore(path, durability="async") as kv, Kycore(path) as other:
        kv.save("k", 1)
        kv.commit_mark()
        kv.flush()
        assert other["k"] == 1


@pytest.mark.parametrize("fate", ["removed", "replaced"])
def test_a_lost_file_is_told(path: str, fate: str) -> None:
    with Kycore(path) as kv:
        kv["k"] = 1
        kv.commit_mark()
        os.rename(path, f"{path}.away")
        if fate == "replaced":
            Path(path).write_bytes(b"")
        with pytest.raises(FileReplacedError, match=fate):
            kv.commit_mark()
        Path(path).unlink(missing_ok=True)
        os.rename(f"{path}.away", path)
        kv.commit_mark()


def test_a_mark_in_a_transaction(path: str) -> None:
    with Kycore(path) as kv:
        with kv.transaction():
            kv["k"] = 1
            before = kv.commit_mark()
        assert kv.commit_mark() != before


# ---------------------------------------------------------------- the trail


def test_the_trail_is_newest_first_and_of_one_scope() -> None:
    with Kycore(":memory:", clock=lambda: 1_700_000_000_000, command="kys") as kv:
        kv.save("a", 1)
        kv.save("b", "x", scope="other")
        kv.save("a", 2, ttl=60)
        kv.delete("a")
        page = kv.trail()
    found = [(event.key, event.operation, event.version) for event in page.events]
    assert [(key, operation) for key, operation, _ in found] == [
        ("a", "deleted"), ("a", "overwritten"), ("a", "created")
    ]  # fmt: skip
    deleted, overwritten, created = page.events
    assert deleted.value is None
    assert overwritten.value is not None
    assert overwritten.value.head == 2
    assert overwritten.expires_at == 1_700_000_060_000
    assert created.time == 1_700_000_000_000
    assert (created.command, created.pid) == ("kys", os.getpid())
    assert page.rest is None
    assert not page.is_rewritten


def test_pages_of_the_trail_follow_each_other() -> None:
    with Kycore(":memory:") as kv:
        for number in range(25):
            kv.save(f"k{number}", number, scope="alpha" if number % 2 else "default")
        seen, upto, pages = [], None, 0
        while True:
            page = kv.trail(limit=5, upto=upto)
            seen += [event.value.head for event in page.events if event.value]
            pages += 1
            upto = page.rest
            if upto is None:
                break
        assert seen == list(range(24, -1, -2))
        assert pages == 3


def test_only_what_is_new_is_read() -> None:
    with Kycore(":memory:") as kv:
        kv["a"] = 1
        first = kv.trail()
        assert kv.trail(seen=first.newest).events == []
        kv["b"] = 2
        kv.save("elsewhere", 3, scope="alpha")
        page = kv.trail(seen=first.newest)
        assert [event.key for event in page.events] == ["b"]
        assert page.newest > page.events[0].position > first.newest
        assert not page.is_rewritten


def test_a_page_looks_through_a_part_of_the_log() -> None:
    with Kycore(":memory:") as kv:
        kv.save("old", 1)
        kv.save_many(((f"k{n}", n) for n in range(30_000)), scope="busy")
        first = kv.trail()
        assert first.events == []
        assert first.rest is not None
        second = kv.trail(upto=first.rest)
        assert [event.key for event in second.events] == ["old"]
        assert second.rest is None


@pytest.mark.parametrize("what", ["rename", "restore"])
def test_a_rewritten_log_is_told(what: str, tmp_path: Path) -> None:
    path = str(tmp_path / "kycli.db")
    with Kycore(path) as kv:
        kv["a"] = 1
        copy = kv.backup(tmp_path / "copy.db")
        kv["a"] = 2
        seen = kv.trail().newest
        if what == "rename":
            kv.rename_scope("default", "other")
        else:
            kv.close()
            for end in ("-wal", "-shm"):
                Path(path + end).unlink(missing_ok=True)
            os.replace(copy, path)
    with Kycore(path) as kv:
        assert kv.trail(seen=seen).is_rewritten


def test_too_much_to_tell_counts_as_rewritten() -> None:
    with Kycore(":memory:") as kv:
        kv["a"] = 1
        seen = kv.trail().newest
        kv.save_many((f"k{n}", n) for n in range(20_001))
        assert kv.trail(seen=seen).is_rewritten


def test_the_trail_of_a_key_is_its_chain() -> None:
    with Kycore(":memory:") as kv:
        for number in range(7):
            kv["a"] = number
            kv["b"] = number
        kv.delete("a")
        kv["a"] = "again"
        seen: list[str] = []
        upto = None
        while True:
            page = kv.trail("a", limit=2, upto=upto)
            seen += (event.operation for event in page.events)
            upto = page.rest
            if upto is None:
                break
        assert seen == ["created", "deleted", *["overwritten"] * 6, "created"]
        newest = kv.trail("a").newest
        assert kv.trail("a", seen=newest).events == []
        assert kv.trail("missing").events == []


def test_nothing_is_written_by_looking(path: str) -> None:
    now = 1_700_000_000_000
    with Kycore(path, clock=lambda: now) as kv, Kycore(path) as other:
        kv.save("short", 1, ttl=1)
        now += 5_000
        mark = other.commit_mark()
        kv.trail(), kv.trail("short"), kv.preview("short"), kv.removed_keys(), kv.listkeys()
        assert other.commit_mark() == mark


def test_a_large_value_is_only_counted_in_the_trail() -> None:
    with Kycore(":memory:") as kv:
        kv["big"] = "x" * 100_000
        (event,) = kv.trail().events
        assert event.value is not None
        assert (event.value.size, event.value.head, event.value.is_whole) == (100_000, "", False)


def test_a_new_lifetime_is_no_value() -> None:
    with Kycore(":memory:") as kv:
        kv["a"] = None
        kv.expire("a", 60)
        lifetime, created = kv.trail().events
        assert (lifetime.operation, lifetime.value) == ("lifetime", None)
        assert created.value is not None
        assert created.value.type == "null"


# ---------------------------------------------------------------- previews

VALUES = {
    "text": "word",
    "bytes": b"\x00\xff",
    "int": 42,
    "float": 1.5,
    "bool": True,
    "null": None,
    "json": {"a": [1]},
}


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("type", sorted(VALUES))
def test_a_preview_of_each_type(type: str, size: str) -> None:
    value = VALUES[type]
    if size == "large" and type in ("text", "bytes"):
        value = value * 1000  # type: ignore[operator]
    elif size == "large" and type == "json":
        value = {"a": ["é" * 1000]}
    with Kycore(":memory:") as kv:
        kv.save("k", "before")
        kv.save("k", value)
        found = kv.preview("k")
        past = kv.preview("k", version=2)
    assert found is not None
    assert past is not None
    assert found.value == past.value
    assert (found.value.type, found.value.head, found.value.is_whole) == (type, value, True)
    assert (found.key, found.version, found.expires_at) == ("k", 2, None)


def test_a_huge_value_is_cut() -> None:
    text, data, document = "é" * 300_000, bytes(range(256)) * 1000, {"a": "b" * 100_000}
    with Kycore(":memory:") as kv:
        kv.save_many({"text": text, "data": data, "document": document, "n": 10**3000})
        cut = {key: kv.preview(key, most=1001) for key in ("text", "data", "document", "n")}
    values = {key: found.value for key, found in cut.items() if found}
    assert values["text"] == ("text", "é" * 500, 600_000, False)
    assert values["data"] == ("bytes", data[:1001], 256_000, False)
    assert values["document"] == ("json", '{"a":"' + "b" * 995, 100_008, False)
    assert values["n"] == ("int", "1" + "0" * 1000, 3001, False)


def test_a_preview_reads_the_beginning_alone(path: str) -> None:
    size = 64 << 20
    with Kycore(path) as kv:
        kv["k"] = b"\x01" * size
    code = (
        "import resource\n"
        "from kycli import Kycore\n"
        f"with Kycore({path!r}) as kv:\n"
        "    kv.getkey('missing')\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    assert len(kv.preview('k').value.head) == 65536\n"
        "    assert kv.trail().events[0].value.size == 64 << 20\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) * 1024 < size // 4


def test_previews_of_versions() -> None:
    with Kycore(":memory:") as kv:
        for value in ("one", "two" * 1000, {"three": 3}):
            kv["k"] = value
        kv.expire("k", 60)
        kv.delete("k")
        assert kv.preview("k") is None
        found = [kv.preview("k", version=version) for version in (1, 2, 3, 9)]
    heads = [None if preview is None else preview.value.head for preview in found]
    assert heads == ["one", "two" * 1000, {"three": 3}, None]


def test_what_plain_sql_wrote_is_shown(path: str) -> None:
    import apsw

    with Kycore(path) as kv:
        kv["k"] = 1
    connection = apsw.Connection(path)
    connection.execute("INSERT INTO kvstore (key, value) VALUES ('sql', ?)", ("x" * 5000,))
    connection.close()
    with Kycore(path) as kv:
        found = kv.preview("sql", most=10)
        assert found is not None
        assert found.value == ("text", "x" * 10, 5000, False)


def test_what_cannot_be_read_is_shown_as_it_is() -> None:
    assert excerpt_of("{broken", JSON, 7) == ("unreadable", "{broken", 7, True)
    assert excerpt_of("?", 99, 1) == ("unreadable", "?", 1, True)
    assert excerpt_of("enc:x", OPAQUE, 5) == ("opaque", "enc:x", 5, True)


def test_bad_arguments_of_a_preview_and_of_the_trail() -> None:
    with Kycore(":memory:") as kv:
        assert kv.preview("missing") is None
        assert kv.preview("missing", version=1) is None
        with pytest.raises(InvalidKeyError):
            kv.preview("")
        with pytest.raises(InvalidValueError):
            kv.preview("k", most=-1)
        with pytest.raises(WrongTypeError):
            kv.trail(seen="k")  # type: ignore[arg-type]


# ---------------------------------------------------------------- removed keys


def test_removed_keys_are_listed_in_windows() -> None:
    with Kycore(":memory:") as kv:
        kv.save_many({f"k{n}": n for n in range(10)})
        kv.save("k1", 1, scope="alpha")
        kv.delete_many([f"k{n}" for n in range(9)] + [])
        kv["k5"] = "again"
        kv.delete_many(["k3"])
        gone = ["k0", "k1", "k2", "k3", "k4", "k6", "k7", "k8"]
        assert kv.removed_keys() == gone
        assert kv.removed_keys(reverse=True, limit=2) == ["k8", "k7"]
        assert kv.removed_keys(after="k3", limit=2) == ["k4", "k6"]
        assert kv.removed_keys(after="k3", reverse=True) == ["k2", "k1", "k0"]
        assert kv.removed_keys(prefix="k7") == ["k7"]
        assert kv.removed_keys(scope="alpha") == []
        kv.restore("k0")
        assert kv.removed_keys(limit=1) == ["k1"]
