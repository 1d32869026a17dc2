"""Conditions on fields, and indexes on fields, as SQL.

A field of a value is one expression, whose result sorts by type as the comparisons need it: NULL
for what is missing or null and for lists and objects, then numbers, text, and false and true as
BLOBs. So a comparison with a number is a range that ends before ``''``, and one with text a range
that ends before ``x''``; both can be read from an index on the expression. It is NULL for JSON
that is malformed: otherwise one row that plain SQL wrote would fail every query and, with an
index, every write of that row.

Literals of a condition are bound. Names of members, and the scope, are written by ``_text``
alone: an index has no parameters, and SQLite uses a partial index only where the query says the
scope as the index does.

An index is recorded by its name, ``kvstore:HASH:SCOPE:FIELD``, and is used if its SQL is what
would be created now. The hash tells names apart that differ only in case. It is partial, so the
writes of other scopes do not pay for it. A large value is not in ``kvstore``: its row is under
``_ELSEWHERE`` in the index, and is looked at by itself.

SQLite is relied on for: an index on an expression, and ``INDEXED BY``, because without statistics
the planner takes the primary key; functions of JSON that parse a value once for all expressions
of a row; every number sorting before every text, and every text before every BLOB.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import count
from typing import Any, NamedTuple

from kycli.core.documents.conditions import And, Comparison, Field, Not, Or
from kycli.core.layout import BIGINT, BOOL, FLOAT, INT, JSON, LIVE_K, NONE, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.documents.conditions import Condition, Literal, Order
    from kycli.core.storage import Kycore

_PREFIX = "kvstore:"
_ELSEWHERE = "x'02'"
_BOOLEANS = {False: b"\0", True: b"\1"}

_INDEXES = f"""
SELECT name, sql FROM sqlite_schema
WHERE type = 'index' AND tbl_name = 'kvstore' AND name GLOB '{_PREFIX}*' ORDER BY name"""
_NUMBERS = count()  # of temporary tables
_SPOOLED = "SELECT * FROM temp.{} WHERE rowid > ?1 AND rowid <= ?2 ORDER BY rowid"
_LARGE = "SELECT value FROM audit_log WHERE id = ?1"

_SPECIAL = {
    "@key": "k.key",
    "@version": "k.version",
    "@updated": "k.updated_at",
    "@expires": "k.expires_at",
}
_COLUMNS = """k.key, iif(k.home IS NULL, k.value, NULL), k.kind, k.version, k.expires_at,
    k.updated_at, k.home"""

# Where a value is, by where it can be: in the row, in the log, or in either of them.
_IN_ROW = ("FROM kvstore k", "k.value")
_IN_LOG = ("FROM kvstore k{by} CROSS JOIN audit_log a ON a.id = k.home", "a.value")
_ANYWHERE = (
    "FROM kvstore k LEFT JOIN audit_log a ON a.id = k.home",
    "iif(k.home IS NULL, k.value, a.value)",
)


class FieldIndex(NamedTuple):
    """An index on a field of the values of a scope."""

    scope: str
    field: str


class Question(NamedTuple):
    """What is asked of a scope: its keys from ``first`` to before ``past``, at a time."""

    scope: str
    now: int
    first: str
    past: str | bytes
    condition: Condition | None
    order: tuple[Order, ...]


class Plan(NamedTuple):
    """A statement that answers a question, and the indexes that it reads.

    Attributes:
        reads: the fields whose indexes are read.
    """

    sql: str
    bindings: tuple[Any, ...]
    reads: tuple[Field, ...]


class _Way(NamedTuple):
    """A range of an index.

    Attributes:
        comparisons: of one field, which has an index.
        only: what is also to be true there, as other ways lead to the rest.
    """

    comparisons: list[Comparison]
    only: tuple[Condition, ...] = ()


# ---------------------------------------------------------------- names and paths


def _text(text: str) -> str:
    """Return a text without NUL as SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Return a name without NUL as SQL."""
    return '"' + name.replace('"', '""') + '"'


def _path(steps: tuple[str | int, ...]) -> str:
    """Return a path as SQL, as SQLite's functions of JSON take it."""
    return _text("$" + "".join(map(_step, steps)))


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]" if step >= 0 else f"[#{step}]"
    # A quote ends the name, with or without a backslash.
    return '."' + step.replace("\\", "\\u005c").replace('"', "\\u0022") + '"'


# ---------------------------------------------------------------- fields and conditions


def _document(value: str, steps: tuple[str | int, ...], result: str, alias: str = "k.") -> str:
    """Return an expression that is NULL where a value is no document."""
    return f"CASE WHEN {alias}kind = {JSON} AND json_valid({value}) THEN {result} END"


def _scalar(field: Field, value: str, alias: str = "k.") -> str:
    """Return the expression of a field, for a value that is in ``value``."""
    if field.text in _SPECIAL:
        return _SPECIAL[field.text]
    if not field.steps:
        return f"""CASE {alias}kind WHEN {TEXT} THEN {value} WHEN {INT} THEN {value}
    WHEN {FLOAT} THEN {value} WHEN {BIGINT} THEN CAST({value} AS REAL)
    WHEN {BOOL} THEN iif({value} = 0, x'00', x'01') END"""
    path = _path(field.steps)
    kinds = f"""CASE json_type({value}, {path})
    WHEN 'true' THEN x'01' WHEN 'false' THEN x'00' WHEN 'array' THEN NULL WHEN 'object' THEN NULL
    ELSE json_extract({value}, {path}) END"""
    return _document(value, field.steps, kinds, alias)


def _indexed(field: Field, alias: str = "k.") -> str:
    """Return the expression that an index on a field is on."""
    scalar = _scalar(field, f"{alias}value", alias)
    return f"CASE WHEN {alias}home IS NOT NULL THEN {_ELSEWHERE} ELSE {scalar} END"


class _Compiler:
    """Compiles conditions; collects what is to be bound."""

    def __init__(self, *bindings: Any) -> None:
        self.bindings: list[Any] = list(bindings)
        self._bound: dict[tuple[type, Any], str] = {}

    def bind(self, value: Literal) -> str:
        parameter = self._bound.get((type(value), value))
        if parameter is None:
            self.bindings.append(_BOOLEANS[value] if isinstance(value, bool) else value)
            parameter = self._bound[type(value), value] = f"?{len(self.bindings)}"
        return parameter

    def condition(self, tree: Condition, value: str) -> str:
        """Return what is 1 where a condition is true of the value, and else 0."""
        if isinstance(tree, Not):
            return f"NOT {self.condition(tree.item, value)}"
        if isinstance(tree, And | Or):
            word = " AND " if isinstance(tree, And) else " OR "
            return f"({word.join(self.condition(item, value) for item in tree.items)})"
        return f"({self.comparison(tree, value)}) IS TRUE"

    def comparison(self, tree: Comparison, value: str) -> str:
        field, operator, values = tree
        if operator == "null":
            return self.is_null(field, value)
        scalar = _scalar(field, value)
        if operator == "in":
            found = self.compared(scalar, "in", tuple(v for v in values if v is not None))
            return f"{found} OR {self.is_null(field, value)}" if None in values else found
        if operator == "contains":
            return self.contains(field, values[0], value, scalar)
        if operator == "like":
            return f"typeof({scalar}) = 'text' AND {scalar} LIKE {self.bind(values[0])} ESCAPE '\\'"
        if operator == "glob":
            pattern = self.bind(_glob(str(values[0])))
            return f"typeof({scalar}) = 'text' AND {scalar} GLOB {pattern}"
        return self.compared(scalar, operator, values)

    def compared(self, scalar: str, operator: str, values: tuple[Literal, ...]) -> str:
        """Return the comparison of a field's expression with values of one type or, for in, any."""
        if operator == "in":
            return f"{scalar} IN ({', '.join(map(self.bind, values))})"
        bound = f"{scalar} {operator} {self.bind(values[0])}"
        is_text = isinstance(values[0], str)
        if operator in ("<", "<=") and is_text:
            return f"{scalar} >= '' AND {bound}"
        if operator in (">", ">="):
            past = "x''" if is_text else "''"
            return f"{bound} AND {scalar} < {past}"
        return bound

    def is_null(self, field: Field, value: str) -> str:
        if field.text in _SPECIAL:
            return f"{_SPECIAL[field.text]} IS NULL"
        if not field.steps:
            return f"k.kind = {NONE}"
        kind = _document(value, field.steps, f"json_type({value}, {_path(field.steps)})")
        return f"ifnull({kind}, 'null') = 'null'"

    def contains(self, field: Field, item: Literal, value: str, scalar: str) -> str:
        """Return whether a list contains an item or, for text, whether text contains it."""
        parts = []
        if isinstance(item, str):
            parts.append(f"typeof({scalar}) = 'text' AND instr({scalar}, {self.bind(item)}) > 0")
        if field.text not in _SPECIAL:
            path = _path(field.steps)
            list_type = f"CASE json_type({value}, {path}) WHEN 'array' THEN {value} END"
            items = _document(value, field.steps, list_type)
            parts.append(
                f"EXISTS (SELECT 1 FROM json_each({items}, {path}) e WHERE {self.is_item(item)})"
            )
        return " OR ".join(parts) or "0"

    def is_item(self, item: Literal) -> str:
        if item is None or isinstance(item, bool):
            return f"e.type = '{'null' if item is None else str(item).lower()}'"
        kinds = "'text'" if isinstance(item, str) else "'integer', 'real'"
        return f"e.type IN ({kinds}) AND e.atom = {self.bind(item)}"

    def narrowed(self, field: Field, comparisons: list[Comparison]) -> str:
        """Return the range of an index that holds all that comparisons of a field choose."""
        scalar = _indexed(field)
        only, *more = _ends(comparisons)
        if not more:
            return self.compared(scalar, only.operator, only.values)
        return " AND ".join(
            f"{scalar} {side.operator} {self.bind(side.values[0])}" for side in (only, *more)
        )


def _glob(pattern: str) -> str:
    """Return a shell pattern as SQLite writes it: ``[^a]``, and ``[*]`` in place of ``\\*``."""
    pieces = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "\\" and at < len(pattern):
            character = pattern[at]
            at += 1
            pieces.append(f"[{character}]" if character in "*?[" else character)
            continue
        end = pattern.find("]", at + 1 + (pattern[at : at + 1] in ("!", "^")))
        if character != "[":
            pieces.append(character)
        elif end < 0:
            pieces.append("[[]")
        else:
            body = pattern[at:end]
            pieces.append(f"[{'^' + body[1:] if body[0] == '!' else body}]")
            at = end + 1
    return "".join(pieces)


# ---------------------------------------------------------------- plans


def plan(question: Question, indexes: dict[str, Field], most: int) -> Plan:
    """Return how to answer a question by at most so many rows, or all where ``most`` is -1.

    Without an order, and without an index, rows are in the order of their keys.

    Parameters:
        indexes: fields that have an index in the scope, by their text.
    """
    ways = _ways(question.condition, indexes)
    order = question.order
    if ways:
        reads = tuple(dict.fromkeys(way.comparisons[0].field for way in ways))
    elif order and order[0].field.text in indexes:
        reads = (order[0].field,)
    else:
        return _by_key(question, most)
    compiler = _Compiler(question.now, question.first, question.past, most)
    source, value = _IN_ROW
    arms = []
    for way in ways:
        index = way.comparisons[0].field
        narrowed = compiler.narrowed(index, way.comparisons)
        rest = question._replace(condition=_without(question.condition, _chosen(way.comparisons)))
        for condition in way.only:
            narrowed += f" AND {compiler.condition(condition, value)}"
        gives_order = index if len(ways) == 1 else None
        arms.append(
            _select(compiler, rest, source + _by(question, index), value, narrowed, gives_order)
        )
    by = _by(question, reads[0])
    if not ways:
        arms = [_select(compiler, question, source + by, value, "k.home IS NULL", reads[0])]
    source, value = _IN_LOG
    elsewhere = f"{_indexed(reads[0])} = {_ELSEWHERE}"
    arms.append(_select(compiler, question, source.format(by=by), value, elsewhere, None))
    sql = f"{' UNION ALL '.join(arms)}{_sorted(order, bool(order))} LIMIT ?4"
    return Plan(sql, tuple(compiler.bindings), reads)


def _by(question: Question, index: Field) -> str:
    return f" INDEXED BY {quoted(_index_name(question.scope, index))}"


def _by_key(question: Question, most: int) -> Plan:
    compiler = _Compiler(question.now, question.first, question.past, most)
    source, value = _ANYWHERE
    sql = _select(compiler, question, source, value, "", None)
    sql = f"{sql}{_sorted(question.order, True)} LIMIT ?4"
    return Plan(sql, tuple(compiler.bindings), ())


def _sorted(order: tuple[Order, ...], at_all: bool) -> str:
    if not at_all:
        return ""
    fields = [f"{_FIRST_SORTED + n}{' DESC' * o.descending}" for n, o in enumerate(order)]
    return f" ORDER BY {', '.join([*fields, '1'])}"


_FIRST_SORTED = 8
"""The number of the first column that rows are sorted by."""


def _select(
    compiler: _Compiler, question: Question, source: str, value: str, narrowed: str,
    index: Field | None,
) -> str:  # fmt: skip
    """Return one SELECT; ``index`` is the field that its index gives the order of."""
    sorted_by = "".join(
        f", {_indexed(o.field) if o.field == index else _scalar(o.field, value)}"
        for o in question.order
    )
    wanted = [
        f"k.scope = {_text(question.scope)}",
        narrowed,
        f"k.key >= ?2 AND k.key < ?3 AND {LIVE_K}",
    ]
    if question.condition is not None:
        wanted.append(compiler.condition(question.condition, value))
    return f"SELECT {_COLUMNS}{sorted_by} {source} WHERE {' AND '.join(filter(None, wanted))}"


_WAYS_MAX = 20
"""More ranges than this are not read one by one."""
_REPEATED_MAX = 500
"""Each range repeats the condition; together they have at most so many comparisons."""


def _ways(condition: Condition | None, indexes: dict[str, Field]) -> list[_Way]:
    """Return ranges of indexes that hold all that a condition chooses, each row in one of them.

    None where no index helps.
    """
    if condition is None:
        return []
    best = _best(condition, indexes)
    if best:
        return [_Way(best)]
    for item in _all_of(condition):
        if isinstance(item, Comparison) and item.operator == "like":
            found = _of_like(item) if item.field.text in indexes else []
        elif isinstance(item, Or):
            found = _of_alternatives(item, indexes)
        else:
            continue
        if found and len(found) <= min(_WAYS_MAX, _REPEATED_MAX // _size(condition)):
            return found
    return []


def _of_alternatives(tree: Or, indexes: dict[str, Field]) -> list[_Way]:
    ways: list[_Way] = []
    for number, item in enumerate(tree.items):
        found = _ways(item, indexes) if len(ways) < _WAYS_MAX else []
        if not found:
            return []
        only = (item, *map(Not, tree.items[:number]))
        ways += [way._replace(only=(*way.only, *only)) for way in found]
    return ways


def _size(tree: Condition) -> int:
    """Return how many comparisons a condition has."""
    if isinstance(tree, Not):
        return _size(tree.item)
    return sum(map(_size, tree.items)) if isinstance(tree, And | Or) else 1


def _all_of(condition: Condition) -> list[Condition]:
    """Return what must all be true."""
    if not isinstance(condition, And):
        return [condition]
    return [each for item in condition.items for each in _all_of(item)]


def _best(condition: Condition, indexes: dict[str, Field]) -> list[Comparison]:
    """Return the comparisons of the one field whose index narrows most; none if no index does."""
    by_field: dict[str, list[Comparison]] = {}
    for each in _all_of(condition):
        if isinstance(each, Comparison) and each.field.text in indexes:
            narrowing = _narrowing(each)
            if narrowing:
                by_field.setdefault(each.field.text, []).extend(narrowing)
    return max(by_field.values(), key=_weight, default=[])


def _narrowing(comparison: Comparison) -> list[Comparison]:
    """Return comparisons that an index can be read by, and that are true where this one is."""
    field, operator, values = comparison
    if operator in ("=", "<", "<=", ">", ">=") or (operator == "in" and None not in values):
        return [comparison]
    if operator == "glob":
        start = _literal_start(str(values[0]), "*?[")
        return _range(field, start, start)
    return []


def _ends(comparisons: list[Comparison]) -> list[Comparison]:
    """Return those of a field's comparisons that its index is read by: one, or two ends."""
    by: dict[str, Comparison] = {}
    for comparison in comparisons:
        by.setdefault(comparison.operator[0], comparison)
    for operator in ("=", "i"):
        if operator in by:
            return [by[operator]]
    return [by[side] for side in (">", "<") if side in by]


def _chosen(comparisons: list[Comparison]) -> list[Comparison]:
    """Return those of a field's comparisons that are true of a row if its index leads to it."""
    ends = _ends(comparisons)
    if len(ends) == 1:
        return ends
    # Between ends of two types, there are values for which neither is true.
    low, high = (isinstance(end.values[0], str) for end in ends)
    return ends if low == high else []


def _without(condition: Condition | None, known: list[Comparison]) -> Condition | None:
    """Return what is left of a condition if these comparisons are known to be true."""
    if condition is None:
        return None
    left = [item for item in _all_of(condition) if not any(item is each for each in known)]
    return And(tuple(left)) if left else None


def _of_like(comparison: Comparison) -> list[_Way]:
    """Return the ranges of texts that begin as a pattern does, in either case of its first letter.

    For LIKE, letters of ASCII are the same in both cases. Upper case sorts before lower case, so
    the texts are between the start in upper case and the start in lower case.
    """
    field, _, (pattern,) = comparison
    start = _literal_start(str(pattern), "%_")
    upper, lower = ("".join(map(change, start)) for change in (_upper, _lower))
    if upper[:1] == lower[:1]:
        ranges = [_range(field, upper, lower)]
    else:
        ranges = [
            _range(field, upper, upper[0] + lower[1:]),
            _range(field, lower[0] + upper[1:], lower),
        ]
    return [_Way(found) for found in ranges if found]


def _upper(letter: str) -> str:
    return letter.upper() if letter.isascii() else letter


def _lower(letter: str) -> str:
    return letter.lower() if letter.isascii() else letter


def _literal_start(pattern: str, wild: str) -> str:
    """Return what each text begins with that matches a pattern."""
    start = ""
    characters = iter(pattern)
    for character in characters:
        if character in wild:
            break
        start += next(characters, "") if character == "\\" else character
    return start.partition("\0")[0]


def _range(field: Field, first: str, last: str) -> list[Comparison]:
    """Return the comparisons for texts from one start to another; none where there is no end."""
    last = last.rstrip("\U0010ffff")
    if not first or not last:
        return []
    after = ord(last[-1]) + 1
    past = last[:-1] + chr(0xE000 if after == 0xD800 else after)
    return [Comparison(field, ">=", (first,)), Comparison(field, "<", (past,))]


def _weight(comparisons: list[Comparison]) -> int:
    """Return how much comparisons of a field narrow: most by ``=``, least from one side."""
    operators = {comparison.operator[0] for comparison in comparisons}
    return 3 if "=" in operators else 2 if "i" in operators else len(operators & {"<", ">"}) - 1


def rows(store: Kycore, found: Plan) -> list[tuple[Any, ...]]:
    """Return the rows: key, stored value, kind, version, expiry, last change, home."""
    return store._query(found.sql, found.bindings)


def spool(store: Kycore, found: Plan) -> str:
    """Put the rows into a temporary table, which is on the disk if it is large; return its name."""
    name = f"selected_{next(_NUMBERS)}"
    store._query(f"CREATE TEMP TABLE {name} AS {found.sql}", found.bindings)
    return name


def spooled(store: Kycore, name: str, after: int, most: int) -> list[tuple[Any, ...]]:
    """Return rows of a temporary table, those after the first so many."""
    return store._query(_SPOOLED.format(name), (after, after + most))


def drop_spool(store: Kycore, name: str) -> None:
    store._query(f"DROP TABLE temp.{name}")


def how(store: Kycore, found: Plan) -> list[tuple[int, int, str]]:
    """Return what SQLite does for a plan, as lines: number, number of the line above, text."""
    lines = store._query(f"EXPLAIN QUERY PLAN {found.sql}", found.bindings)
    return [(number, above, text) for number, above, _, text in lines]


def large_value(store: Kycore, home: int) -> tuple[Any] | None:
    """Return the value that a row of the log holds; None when the row is gone."""
    found = store._query(_LARGE, (home,))
    return found[0] if found else None


# ---------------------------------------------------------------- indexes


def _index_name(scope: str, field: Field) -> str:
    tail = f"{scope}:{field.text}"
    return f"{_PREFIX}{blake2b(tail.encode(), digest_size=8).hexdigest()}:{tail}"


def _index_sql(scope: str, field: Field) -> str:
    return (
        f"CREATE INDEX {quoted(_index_name(scope, field))} ON kvstore ({_indexed(field, '')}, key) "
        f"WHERE scope = {_text(scope)}"
    )


def recorded(store: Kycore) -> list[tuple[FieldIndex, str, str]]:
    """Return what indexes there are on fields, with the name and SQL of each."""
    found = []
    for name, sql in store._query(_INDEXES):
        _, _, scope, field = (*name.split(":", 3), "", "", "")[:4]
        found.append((FieldIndex(scope, field), name, sql))
    return sorted(found)


def is_as_made(scope: str, field: Field, sql: str) -> bool:
    """Whether the SQL of an index is what would be created now."""
    return sql == _index_sql(scope, field)


def create(store: Kycore, scope: str, field: Field) -> None:
    store._query(_index_sql(scope, field))


def drop(store: Kycore, name: str) -> None:
    store._query(f"DROP INDEX {quoted(name)}")
