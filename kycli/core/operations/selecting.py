"""Listing keys by conditions on their values, and the indexes on fields."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kycli.core.codec import decode, range_of
from kycli.core.documents.conditions import (
    SPECIAL,
    Condition,
    Field,
    Order,
    parse,
    parse_field,
    parse_order,
)
from kycli.core.operations.entry import Entry
from kycli.core.sql import fields as sql
from kycli.core.sql.fields import FieldIndex, Plan, Question
from kycli.errors import (
    CorruptError,
    DiskFullError,
    InvalidConditionError,
    KycliError,
    MisuseError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kycli.core.storage import Kycore

_PAGE_ROWS = 1000
_NARROW_ROWS = 10_000
"""An index that leads to more rows than this is not used unless rows are to be sorted: reading
them one by one through the index would take as long as reading the scope in its order."""
_FIELD_MAX = 4096


def select(
    store: Kycore,
    scope: str,
    where: str | None,
    order: str | None,
    limit: int | None,
    prefix: str | None,
) -> Iterator[Entry]:
    """Return the entries of a scope that meet a condition; see ``Kycore.select``."""
    question = _question(store, scope, where, order, prefix)
    if limit == 0:
        return iter(())
    return _answers(store, question, limit)


def _question(
    store: Kycore, scope: str, where: str | None, order: str | None, prefix: str | None
) -> Question:
    now = store._now()
    condition: Condition | None = None if where is None else parse(where, now)
    by: tuple[Order, ...] = () if order is None else tuple(parse_order(order))
    first, past = range_of(prefix)
    return Question(scope, now, first, past, condition, by)


def _answers(store: Kycore, question: Question, limit: int | None) -> Iterator[Entry]:
    is_short = limit is not None and limit <= _NARROW_ROWS
    # What a transaction takes back, it would take from under a listing that goes on after it.
    if question.order and not is_short and not store._in_transaction():
        yield from _spooled(store, question, limit)
        return
    found = _at_once(store, question, limit)
    if found is not None:
        yield from _entries(store, found)
        return
    first = question.first
    left = limit
    while left is None or left > 0:
        most = _PAGE_ROWS if left is None else min(left, _PAGE_ROWS)
        page = sql.rows(store, sql.plan(question._replace(now=store._now(), first=first), {}, most))
        yield from _entries(store, page)
        if len(page) < most:
            return
        first = page[-1][0] + "\0"
        left = None if left is None else left - len(page)


def _spooled(store: Kycore, question: Question, limit: int | None) -> Iterator[Entry]:
    """Yield entries as of one moment, sorted, of which SQLite keeps the rest on the disk."""
    with store.snapshot():
        plan = _plan(store, question, limit)
        try:
            table = sql.spool(store, plan)
        except DiskFullError as error:
            raise DiskFullError(
                "no space is left for the temporary files of a sorted listing",
                hint="SQLITE_TMPDIR names another directory for them; or give a limit",
            ) from error
    try:
        after = 0
        while page := sql.spooled(store, table, after, _PAGE_ROWS):
            yield from _entries(store, page)
            after += len(page)
    finally:
        with suppress(KycliError):  # such as a store that is closed, and the table with it
            sql.drop_spool(store, table)


def _at_once(store: Kycore, question: Question, limit: int | None) -> list[tuple[Any, ...]] | None:
    """Return all rows, as of one moment; None where the scope is to be read in pages."""
    with store.snapshot():  # in which an index that is there stays there
        plan = _plan(store, question, limit)
        if question.order:
            return sql.rows(store, plan)
        if not plan.reads:
            return None
        rows = sql.rows(store, plan)
    if len(rows) > _NARROW_ROWS:
        return None
    rows.sort(key=lambda row: row[0])
    return rows if limit is None else rows[:limit]


def _plan(store: Kycore, question: Question, limit: int | None) -> Plan:
    usable = _usable(store, question.scope)
    most = (-1 if limit is None else limit) if question.order else _NARROW_ROWS + 1
    return sql.plan(question, usable, most)


def _usable(store: Kycore, scope: str) -> dict[str, Field]:
    """Return the fields of a scope that have an index that can be used, by their text."""
    found = ((index, _as_made(index, made)) for index, _, made in sql.recorded(store))
    return {index.field: field for index, field in found if field and index.scope == scope}


def _as_made(index: FieldIndex, made: str) -> Field | None:
    """Return the field of an index; None if the index is not as it would be created now."""
    try:
        field = parse_field(index.field)
    except InvalidConditionError:
        return None
    return field if sql.is_as_made(index.scope, field, made) else None


def _entries(store: Kycore, rows: list[tuple[Any, ...]]) -> Iterator[Entry]:
    """Yield entries; leave out what cannot be read, or has been changed and pruned meanwhile."""
    for key, value, kind, version, expires_at, updated_at, home, *_ in rows:
        if home is not None:
            found = sql.large_value(store, home)
            if found is None:
                continue
            (value,) = found
        try:
            yield Entry(key, decode(value, kind), version, expires_at, updated_at)
        except CorruptError:
            continue


def explain(
    store: Kycore,
    scope: str,
    where: str | None,
    order: str | None,
    limit: int | None,
    prefix: str | None,
) -> str:
    """Return how ``select`` finds its entries, as lines of text."""
    question = _question(store, scope, where, order, prefix)
    with store.snapshot():
        plan = _plan(store, question, limit)
        said = []
        reads = ", ".join(field.text for field in plan.reads)
        if not reads:
            said.append(f"reads all keys of {scope}" + " that begin with it" * bool(prefix))
        elif not question.order and len(sql.rows(store, plan)) > _NARROW_ROWS:
            said.append(
                f"reads all keys of {scope}: the index on {reads} leads to more "
                f"than {_NARROW_ROWS:,}"
            )
            plan = sql.plan(question, {}, _PAGE_ROWS)
        else:
            said.append(f"uses the index on {reads}")
        if question.order:
            names = [f"{'-' * each.descending}{each.field.text}" for each in question.order]
            said.append(f"sorts by {', '.join(names)}")
        depth = {0: 1}
        for number, above, text in sql.how(store, plan):
            depth[number] = depth.get(above, 1) + 1
            said.append(f"{'  ' * (depth[number] - 1)}{text}")
    return "\n".join(said)


# ---------------------------------------------------------------- indexes


def create_index(store: Kycore, scope: str, text: str) -> bool:
    """Create an index on a field, unless there is one; return whether there was none."""
    field = _of_value(text)
    with store.transaction():
        for index, name, made in sql.recorded(store):
            if index == FieldIndex(scope, field.text):
                if sql.is_as_made(scope, field, made):
                    return False
                sql.drop(store, name)
        sql.create(store, scope, field)
    return True


def drop_index(store: Kycore, scope: str, text: str) -> bool:
    """Drop the index on a field; return whether there was one."""
    field = _of_value(text)
    return drop_indexes(store, scope, field.text) > 0


def drop_indexes(store: Kycore, scope: str, field: str | None = None) -> int:
    """Drop the indexes of a scope, or the one on a field; return how many."""
    count = 0
    with store.transaction():
        for index, name, _ in sql.recorded(store):
            if index.scope == scope and field in (None, index.field):
                sql.drop(store, name)
                count += 1
    return count


def rename_indexes(store: Kycore, scope: str, to_scope: str) -> None:
    """Give a scope the indexes of another, inside a transaction."""
    for index in indexes(store, scope):
        drop_index(store, scope, index.field)
        create_index(store, to_scope, index.field)


def indexes(store: Kycore, scope: str | None) -> list[FieldIndex]:
    """Return the indexes of a scope, or of all, sorted."""
    return [index for index, _, _ in sql.recorded(store) if scope in (None, index.scope)]


def renew_index(store: Kycore, index: FieldIndex) -> None:
    """Create an index again, or drop it if its field is none."""
    drop_indexes(store, index.scope, index.field)
    try:
        create_index(store, index.scope, index.field)
    except InvalidConditionError:
        pass


def outdated(store: Kycore) -> list[FieldIndex]:
    """Return the indexes that are not as they would be created now, and so are not used."""
    return [index for index, _, made in sql.recorded(store) if _as_made(index, made) is None]


def _of_value(text: str) -> Field:
    field = parse_field(text)
    if field.text in SPECIAL[1:]:
        raise MisuseError(
            f"an index is on a field of the values, not on {field.text}",
            hint="an index on @value is on values that are no documents",
        )
    if len(field.text.encode()) > _FIELD_MAX:
        raise InvalidConditionError(f"a field with an index has at most {_FIELD_MAX:,} bytes")
    names = "".join(step for step in field.steps if isinstance(step, str))
    if any(c in '"\\' or c < " " or c == "\x7f" for c in names):
        # Releases of SQLite before 3.45 do not find such a member by its path, and a program
        # with one of them would write wrong entries into the index.
        raise InvalidConditionError(
            f"there can be no index on {field.text}",
            hint="names with a quote, a backslash or a control character have none",
        )
    return field
