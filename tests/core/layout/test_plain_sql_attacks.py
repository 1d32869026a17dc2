"""What hostile plain SQL got past the triggers once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kycli import Kycore


@pytest.fixture
def other(path: Path, store: Kycore) -> Iterator[sqlite3.Connection]:
    """Another program's connection to the database of the store."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
        yield connection


def is_sound(store: Kycore) -> bool:
    return store.check() == []


@pytest.mark.parametrize("kind", [-1, 3, 6, 9])
def test_a_kind_that_does_not_fit_does_not_stay(
    store: Kycore, other: sqlite3.Connection, kind: int
) -> None:
    store.save("k", "text")
    other.execute("UPDATE kvstore SET kind = ?", (kind,))
    for _ in range(2):
        other.execute(
            "INSERT INTO kvstore (key, value) VALUES ('new', 'x') "
            "ON CONFLICT DO UPDATE SET value = excluded.value, kind = excluded.kind"
        )
    assert dict(store.items()) == {"k": "text", "new": "x"}
    assert store.search("text") == {"k": "text"}
    assert is_sound(store)


@pytest.mark.parametrize("data", [b"a\0\xff", b"\0\xff", b"ok\0\xc3", b"\0\0\xed\xa0\x80"])
def test_text_that_is_not_utf8_behind_a_nul_is_refused(
    store: Kycore, other: sqlite3.Connection, data: bytes
) -> None:
    store.save("bytes", data)
    for statement in (
        f"INSERT INTO kvstore (key, value) VALUES ('a', CAST(x'{data.hex()}' AS TEXT))",
        "UPDATE kvstore SET value = value || '!'",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="not UTF-8"):
            other.execute(statement)
    assert dict(store.items()) == {"bytes": data}
    assert is_sound(store)


@pytest.mark.parametrize("text", ["a\0b", "\0ü\0", "ü\0世界\0🎉"])
def test_text_with_a_nul_is_text(store: Kycore, other: sqlite3.Connection, text: str) -> None:
    other.execute("INSERT INTO kvstore (key, value) VALUES ('a', ?)", (text,))
    assert store["a"] == text
    assert is_sound(store)
