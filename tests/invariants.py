"""What must hold of a database file after anything at all, told by SQLite alone.

Nothing here uses the engine, but for the number of its format: a check that shared its
code would share its mistakes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import apsw

from kycli.core.layout import FORMAT, IMPORTS
from kycli.core.search.folding import fold
from kycli.core.search.indexing import text_of
from kycli.core.sql.fts import TextIndex

APPLICATION_ID = 0x4B59434C
BYPASS, CREATED, OVERWRITTEN, DELETED, EXPIRED, LIFETIME, RESTORED, IMPORTED = range(8)


def is_database(path: Path) -> bool:
    """Whether the file is a kycli database by its header (SQLite file format, 1.3).

    One of an earlier format, which a test has left as it was, is none.
    """
    with path.open("rb") as file:
        header = file.read(100)
    magic, mark, version = header[:16], header[68:72], int.from_bytes(header[60:64], "big")
    is_ours = magic == b"SQLite format 3\0" and mark == APPLICATION_ID.to_bytes(4, "big")
    return is_ours and not 0 < version < FORMAT


def check(path: Path | str) -> dict[tuple[str, str], Any]:
    """Check a database; return its live rows as ``(scope, key) -> (value, kind, version)``."""
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(10_000)
        assert connection.pragma("integrity_check") == "ok"
        connection.execute("INSERT INTO fts_kvstore (fts_kvstore) VALUES ('integrity-check')")
        live = _check_history(connection)
        _check_index(connection)
        return live
    finally:
        connection.close()


def _check_history(connection: apsw.Connection) -> dict[tuple[str, str], Any]:
    """Replay the log: it must end in exactly the live rows, and each chain must hold.

    Where history was pruned, chains may begin in the middle; ``horizon`` must say so.
    """
    horizons: dict[str, int] = dict(connection.execute("SELECT scope, reaches_to FROM horizon"))
    present = {id for (id,) in connection.execute("SELECT id FROM audit_log")}

    def reach(scope: str) -> int:
        return max(horizons.get(scope, 0), horizons.get("", 0))

    newest: dict[tuple[str, str], Any] = {}
    removed: dict[int, Any] = {}
    times: dict[int, int] = {}
    changes: dict[int, tuple[int, int]] = {}
    importing: set[int | None] = set()
    previous_id = 0
    log = connection.execute(
        "SELECT id, scope, key, value, kind, op, version, prev, expires_at, author, pid, change, "
        "timestamp "
        "FROM audit_log ORDER BY id"
    )
    authors = {row[0] for row in connection.execute("SELECT id FROM authors")}
    for (
        id, scope, key, value, kind, op, version, prev, expires_at, author, pid, change, at
    ) in log:  # fmt: skip
        gap = id > previous_id if horizons else id == previous_id + 1
        assert gap, f"the log jumps from {previous_id} to {id}"
        previous_id = id
        if op == BYPASS:
            assert (scope, kind, prev) == ("", None, None)
            # A scope was renamed: the new name and the old one.
            assert (key, value) == ("", None) or (key and value and key != value)
            changes[id] = (author, pid)  # the first row of an import
            continue
        if op == EXPIRED:
            # What plain SQL renames may have expired.
            assert author is None
            assert pid is None
            assert change is None or not any(changes[change])
        else:
            # Nobody knows who made the changes that an earlier kycli recorded.
            assert author is pid is None or (author in authors and pid > 0)
            assert change is None or change <= id
            first = changes.get(change) if change in present else None
            # An import has an author of its own, and other processes may go on with it.
            if op == IMPORTED or scope == IMPORTS:
                importing.add(change)
            assert first is None or change == id or first == (author, pid) or change in importing
            assert change is None or change in present or horizons, f"{change} is no change"
        changes[id] = (author, pid)
        before = newest.get((scope, key))
        alive = before is not None and before["kind"] is not None
        home = id
        if before is not None and not alive and before["at"] <= reach(scope):
            # The archive may have forgotten the key, and then it began anew.
            before = before if prev in present else None
        if before is None and prev is not None:
            assert prev not in present, f"broken chain at {id}"
            assert op != LIFETIME, f"the value of {id} was pruned"
            assert op in (CREATED, RESTORED, IMPORTED) or at <= reach(scope)
            assert reach(scope), f"the horizon does not say that {prev} was pruned"
            if op in (DELETED, EXPIRED):
                assert (value, kind) == (None, None)
                times[id] = at
                removed[id] = (scope, key, None, None, op, version)
            newest[scope, key] = {
                "seq": id, "home": id, "value": value, "kind": kind, "version": version,
                "expires_at": expires_at, "at": at,
            }  # fmt: skip
            continue
        assert prev == (before["seq"] if before else None), f"broken chain at {id}"
        if op == CREATED or (op in (RESTORED, IMPORTED) and not alive):
            assert not alive
            if op == IMPORTED and before is None:
                assert version >= 1  # a key may bring its version along, and no history
            else:
                assert version == (before["version"] if before else 0) + 1
        else:
            assert before is not None
            assert alive
            if op in (DELETED, EXPIRED):
                assert (value, kind, version) == (None, None, before["version"])
                times[id] = at
                removed[id] = (scope, key, before["value"], before["kind"], op, before["version"])
            elif op == LIFETIME:
                assert (value, kind, version) == (None, before["kind"], before["version"])
                value, home = before["value"], before["home"]
            else:
                assert op in (OVERWRITTEN, RESTORED, IMPORTED)
                assert version == before["version"] + 1
        newest[scope, key] = {
            "seq": id, "home": home, "value": value, "kind": kind, "version": version,
            "expires_at": expires_at, "at": at,
        }  # fmt: skip

    live: dict[tuple[str, str], Any] = {}
    rows = connection.execute(
        "SELECT scope, key, value, kind, home, digest, version, seq, expires_at FROM kvstore"
    )
    for scope, key, value, kind, home, digest, version, seq, expires_at in rows:
        last = newest[scope, key]
        assert (seq, version, expires_at) == (last["seq"], last["version"], last["expires_at"])
        assert kind == last["kind"]
        if home is None:
            assert (type(value), value) == (type(last["value"]), last["value"])
            assert digest is None
        else:
            assert home == last["home"]
            # Plain SQL may have written the same large value once more.
            assert value in (None, last["value"])
            stored = last["value"].encode() if isinstance(last["value"], str) else last["value"]
            assert digest == hashlib.blake2b(stored, digest_size=16).digest()
        live[scope, key] = (last["value"], last["kind"], version)
    assert set(live) == {name for name, last in newest.items() if last["kind"] is not None}

    archived = connection.execute("SELECT seq, scope, key, value, kind, op, version FROM archive")
    for seq, *row in archived:
        found = removed.pop(seq, None)
        if found is None:
            assert seq not in present
            assert reach(row[0]), f"the horizon does not say that {seq} was pruned"
        elif found[3] is None:  # and the value before it, too
            assert (row[0], row[1], row[4], row[5]) == (found[0], found[1], found[4], found[5])
        else:
            assert tuple(row) == found
    for seq, (scope, key, *_) in removed.items():  # of a key that is back, it is not missed
        if newest[scope, key]["seq"] == seq:
            assert times[seq] <= reach(scope), f"the horizon does not say that {seq} was purged"
    return live


def _check_index(connection: apsw.Connection) -> None:
    """The search index must hold the keys that it has seen, each by its words as they are now."""
    states = connection.execute("SELECT watermark, scope, key FROM fts_state").fetchall()
    (watermark, *cursor), *_ = [*states, (None, None, None)]
    docs = {
        (scope, key): id
        for id, scope, key in connection.execute("SELECT id, scope, key FROM fts_docs")
    }
    sizes = connection.execute("SELECT id FROM fts_kvstore_docsize")
    assert {id for (id,) in sizes} == set(docs.values())
    if watermark is None:
        return  # it is to be built anew, whatever there is of it
    rows = connection.execute(
        "SELECT k.scope, k.key, k.seq, k.kind, CASE WHEN k.home IS NULL THEN k.value "
        "ELSE (SELECT value FROM audit_log WHERE id = k.home) END FROM kvstore k"
    )
    live = {(scope, key): (seq, kind, value) for scope, key, seq, kind, value in rows}
    seen = {
        name: row
        for name, row in live.items()
        if row[0] <= watermark and (cursor == [None, None] or name <= tuple(cursor))
    }
    assert seen.keys() <= docs.keys()
    pruned = connection.execute("SELECT count(*) <> ifnull(max(id), 0) FROM audit_log").get
    changed = connection.execute("SELECT scope, key FROM audit_log WHERE id > ?", (watermark,))
    if not pruned:
        assert docs.keys() - live.keys() <= set(changed)
    if len(docs) <= 10_000:
        _check_words(connection, {docs[name]: (name[1], *row[1:]) for name, row in seen.items()})


def _check_words(connection: apsw.Connection, texts: dict[int, tuple[str, int, Any]]) -> None:
    """Index the same texts once more, in memory: the words must be at the same places."""
    again = TextIndex()
    again.add(
        (id, fold(key), fold(text_of(kind, value))) for id, (key, kind, value) in texts.items()
    )
    instances = "CREATE VIRTUAL TABLE temp.words USING fts5vocab (main, %s, instance)"
    words = "SELECT term, doc, col, offset FROM temp.words"
    again.query(instances % "fts")
    connection.execute(instances % "fts_kvstore")
    found = {row for row in connection.execute(words) if row[1] in texts}
    assert found == set(again.query(words))
    again.close()
