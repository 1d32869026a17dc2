"""Make the committed file of the format that the installed kycli writes.

Run it once, with the last kycli that writes a format, before that format changes::

    python tests/formats/make.py tests/formats

It leaves ``format-N.sqlite`` and ``format-N.json``: a database, and all that is in it as
that kycli reports it. The tests migrate the one and hold the result to the other.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import apsw

from kycli import Kycore
from kycli.core import authors, layout
from kycli.core.values import canonical

START = 1_700_000_000_000
DAY_MS = 86_400_000

VALUES: dict[str, Any] = {
    "text": "Grüße, 世界 🎉",
    "empty": "",
    "newlines": "a\nb\r\n\tc'd\"e\\f",
    "number as text": "007",
    "int": -42,
    "int max": 2**63 - 1,
    "bigint": 10**40,
    "float": 0.1,
    "integral float": 2.0,
    "nan": float("nan"),
    "infinity": float("-inf"),
    "true": True,
    "none": None,
    "bytes": bytes(range(256)),
    "no bytes": b"",
    "document": {"a": [1, 2.0, None, True, {"é": b"\xff"}], "$base64": "not a tag", "b": {}},
    "tag": {"$base64": "aGk="},
    "list": [],
    "large": "x" * 511 + "é" * 2,
    "large bytes": b"\x00\xff" * 3000,
    "large document": {"rows": list(range(500))},
    "user.name": "dots stay",
    "Case": "upper",
    "case": "lower",
    "api_url__prod": "context",
    "k" * 4096: "the longest key",
}


class Clock:
    """A clock that goes on by 7 ms with every look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        self.now += 7
        return self.now


def fill(kv: Kycore, clock: Clock) -> None:
    """Write every kind of value and make every kind of change."""
    prune(kv, clock)
    for key, value in VALUES.items():
        kv.save(key, value)
    for key, value in VALUES.items():
        kv.save(key, value, scope="alpha.test")
        if key not in ("text", "large"):
            kv.save(key, f"again {key}" * 3, scope="alpha.test")
    for value in ("one", "two", "y" * 600, "z" * 600, "five"):
        kv.save("changed", value, scope="alpha")
    for key in ("gone", "back"):
        kv.save(key, "w" * 700, scope="alpha")
        kv.save(key, "second", scope="alpha")
        kv.delete(key, scope="alpha")
    kv.save("back", "third", scope="alpha")
    for _ in range(3):
        kv.save("again and again", "q" * 513, scope="alpha")
        kv.delete("again and again", scope="alpha")
    kv.save("short", "gone by the end", ttl=60)
    kv.save("short, then saved anew", "r" * 800, ttl=60)
    kv.save("lives long", "t" * 900, ttl="10y")
    kv.expire("lives long", "1000y")
    kv.expire("text", "100y")
    kv.persist("text")
    kv.create_cache("web.sessions", "2h")
    kv.create_cache("web.empty", 0.25)
    kv.save_many({f"session {n}": n for n in range(20)}, scope="web.sessions")
    kv.save("kept", "for ever", scope="web.sessions")
    kv.persist("kept", scope="web.sessions")
    clock.now += 60_000
    kv.save("short, then saved anew", "new")  # archives what had expired
    kv.save("expired", "and not yet archived", ttl=1)
    clock.now += 5
    kv.rename_scope("alpha.test", "alpha.prod")  # notes a bypass in the log
    fill_further(kv, clock)


def prune(kv: Kycore, clock: Clock) -> None:
    """Leave chains whose beginning is gone."""
    for value in ("s" * 600, "t" * 600, "kept"):
        kv.save("pruned", value, scope="shop")
    kv.save("gone long ago", 1, scope="shop")
    kv.delete("gone long ago", scope="shop")
    clock.now += 20 * DAY_MS
    kv.compact(15, vacuum=False)


def fill_further(kv: Kycore, clock: Clock) -> None:
    """Make what there is since format 2: changes of many keys, limits, a search index."""
    with kv.transaction():
        for key in ("one", "two", "three"):
            kv.save(key, f"{key} of one change", scope="shop")
        kv.delete("two", scope="shop")
    kv.restore("two", scope="shop")
    kv.save("three", "v" * 600, scope="shop")
    kv.undo(scope="shop")
    kv.set_scope("short", history_versions=2, archive_days=1)
    for number in range(6):
        kv.save("counted", number, scope="short")
        kv.save("counted, large", f"{number}" * 700, scope="short")
    kv.save("renewed", "u" * 600, scope="short", ttl="1h")
    for _ in range(4):
        kv.expire("renewed", "2000y", scope="short")
    kv.delete("counted", scope="short")
    clock.now += 2 * DAY_MS
    kv.save("after", "what was pruned", scope="short")
    # As a scope that was migrated from before there were formats.
    kv._query("INSERT INTO sys_namespaces (scope, fold_keys, created_at) VALUES ('folds', 1, 1)")
    kv.save("NAME", "in lower case", scope="folds")
    declare(kv)
    kv.search("change")
    kv.save("late", "the index has not seen it", scope="shop")


def declare(kv: Kycore) -> None:
    """Make what there is since format 3: schemas, one of them large, one changed, one dropped."""
    kv.create_table("typed", {"name": "str(1..80)", "age": "int?"})
    kv.save("ada", {"name": "Ada"}, scope="typed")
    kv.set_schema("typed", {"name": "str", "age": "int?", "city": "str = 'Paris'"})
    kv.save("bob", {"name": "Bob"}, scope="typed")
    kv.create_table("typed.wide", {f"member {number}": "int = 0" for number in range(50)})
    kv.create_table("untyped", "str")
    kv.drop_schema("untyped")


def said(kv: Kycore) -> dict[str, Any]:
    """Return all that is in a database: by its API what lives, by SQL what was.

    A format that has more to say gets a part of its own, as the files of earlier formats
    say nothing of it.
    """
    return {
        "scopes": kv.scopes(),
        "caches": kv.caches(),
        "entries": {
            scope: [list(entry) for entry in kv.entries(scope=scope, include_expired=True)]
            for scope in kv.scopes()
        },
        "history": [
            list(row)
            for row in kv._query(
                "SELECT id, scope, key, value, kind, op, version, prev, timestamp, expires_at "
                "FROM audit_log ORDER BY id"
            )
        ],
        "archive": [
            list(row)
            for row in kv._query(
                "SELECT id, scope, key, value, kind, op, version, seq, prev, expires_at, "
                "updated_at, deleted_at FROM archive ORDER BY id"
            )
        ],
        "signatures": rows(kv, "SELECT id, author, pid, change FROM audit_log ORDER BY id"),
        "authors": rows(kv, "SELECT id, user, host, command FROM authors ORDER BY id"),
        "declared": rows(kv, "SELECT * FROM sys_namespaces ORDER BY scope"),
        "horizon": rows(kv, "SELECT scope, reaches_to FROM horizon ORDER BY scope"),
        "sweeps": rows(kv, "SELECT name, position FROM sweeps ORDER BY name"),
        "schemas": rows(kv, "SELECT * FROM _schemas ORDER BY scope"),
        "found": kv.search("change OR index", scope="shop"),
    }


def rows(kv: Kycore, sql: str) -> list[list[Any]]:
    return [list(row) for row in kv._query(sql)]


def main(directory: Path) -> None:
    path = directory / f"format-{layout.FORMAT}.sqlite"
    path.unlink(missing_ok=True)
    clock = Clock()
    # Who makes the file is nobody's business.
    os.environ["LOGNAME"] = "user"
    os.getpid = lambda: 4242
    authors.host = lambda: "host"
    with Kycore(path, clock=clock) as kv:
        fill(kv, clock)
        expected = json.loads(canonical({"clock": clock.now, **said(kv)}))
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")  # one file, also for those who only read it
    connection.close()
    text = json.dumps(expected, ensure_ascii=False, indent=1) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
