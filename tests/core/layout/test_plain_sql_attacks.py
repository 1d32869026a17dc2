"""What hostile plain SQL got past the triggers once."""

from __future__ import annotations

import pytest
from core.layout.sql_programs import Refused, Sql

from kycli import Kycore


@pytest.mark.parametrize("kind", [-1, 3, 6, 9])
def test_a_kind_that_does_not_fit_does_not_stay(store: Kycore, sql: Sql, kind: int) -> None:
    store.save("k", "text")
    sql(f"UPDATE kvstore SET kind = {kind}")
    for _ in range(2):
        sql(
            "INSERT INTO kvstore (key, value) VALUES ('new', 'x') "
            "ON CONFLICT DO UPDATE SET value = excluded.value, kind = excluded.kind"
        )
    assert dict(store.items()) == {"k": "text", "new": "x"}
    assert store.search("text") == {"k": "text"}


@pytest.mark.parametrize("data", [b"a\0\xff", b"\0\xff", b"ok\0\xc3", b"\0\0\xed\xa0\x80"])
def test_text_that_is_not_utf8_behind_a_nul_is_refused(
    store: Kycore, sql: Sql, data: bytes
) -> None:
    store.save("bytes", data)
    for statement in (
        f"INSERT INTO kvstore (key, value) VALUES ('a', CAST(x'{data.hex()}' AS TEXT))",
        "UPDATE kvstore SET value = value || '!'",
    ):
        with pytest.raises(Refused, match="not UTF-8"):
            sql(statement)
    assert dict(store.items()) == {"bytes": data}


@pytest.mark.parametrize("text", ["a\0b", "\0ü\0", "ü\0世界\0🎉"])
def test_text_with_a_nul_is_text(store: Kycore, sql: Sql, text: str) -> None:
    sql(f"INSERT INTO kvstore (key, value) VALUES ('a', CAST(x'{text.encode().hex()}' AS TEXT))")
    assert store["a"] == text
