"""The SQL functions that a migration reads old values with are held to slower ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kycli.core.migration.oldvalues import add_functions


def connected() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    assert add_functions(connection)
    return connection


def test_a_connection_loads_no_other_extension_afterwards() -> None:
    connection = connected()
    with pytest.raises(apsw.SQLError, match="not authorized"):
        connection.execute("SELECT load_extension('none')")
    connection.close()


_SLOW = (
    "SELECT unixepoch(substr(?1, 1, 19)) * 1000 "
    "+ CAST(substr(substr(?1, 21) || '000', 1, 3) AS INTEGER)"
)


@given(
    st.one_of(
        st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(str),
        st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,9})?"),
        st.text(alphabet="0123456789-: .T", max_size=30),
        st.sampled_from([None, b"2026-01-01 00:00:00", 1.5, ""]),
    )
)
@example("2024-02-29 23:59:59.999")
@example("2023-02-29 00:00:00")
@example("1900-02-29 00:00:00")
@example("2026-01-01 24:00:00")
@example("2026-01-01 00:00:00.1")
@example("2026-01-01 00:00:00.12\0")
def test_a_time_is_what_sqlite_makes_of_it_or_left_to_it(time: Any) -> None:
    connection = connected()
    told = connection.execute("SELECT kycli_ms(?)", (time,)).get
    if told is not None:
        assert told == connection.execute(_SLOW, (time,)).get
    connection.close()


def test_the_usual_times_are_told() -> None:
    connection = connected()
    for text in ("2026-11-21 20:44:30.123", "2024-02-29 00:00:00", "1999-12-31 23:59:59.999999"):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        assert connection.execute("SELECT kycli_ms(?)", (text,)).get == int(
            moment.timestamp() * 1000
        )
    connection.close()


@given(st.binary(max_size=12) | st.text(max_size=6).map(lambda text: text.encode(errors="replace")))
@example(b"\xed\xa0\x80")
@example(b"\xc0\x80")
@example(b"\xf4\x90\x80\x80")
@example(b"12345678\xc3")
def test_text_that_is_not_utf8_is_refused(data: bytes) -> None:
    connection = connected()
    sql = "SELECT kycli_hash('key', CAST(? AS TEXT))"
    try:
        data.decode()
    except UnicodeDecodeError:
        with pytest.raises(apsw.MismatchError):
            connection.execute(sql, (data,)).fetchall()
    else:
        assert isinstance(connection.execute(sql, (data,)).get, int)
    connection.close()


@pytest.mark.parametrize("key", ["", "k" * 4097, "a\0b", b"key", None, 1])
def test_a_key_that_cannot_be_ours_is_refused(key: Any) -> None:
    connection = connected()
    with pytest.raises(apsw.ConstraintError):
        connection.execute("SELECT kycli_hash(?, 'v')", (key,)).fetchall()
    connection.close()


@given(st.lists(st.tuples(st.text(min_size=1), st.text() | st.none() | st.binary()), unique=True))
def test_other_rows_have_other_hashes(rows: list[tuple[str, Any]]) -> None:
    connection = connected()
    kept = [row for row in rows if "\0" not in row[0]]
    told = [connection.execute("SELECT kycli_hash(?, ?)", row).get for row in kept]
    assert len(set(told)) == len(set(kept))
    again = [connection.execute("SELECT kycli_hash(?, ?)", row).get for row in kept]
    assert told == again
    connection.close()
