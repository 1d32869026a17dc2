"""What runs inside an earlier release: write a database with it, or report what it reads.

Run by ``make_fixtures.py`` with the interpreter that the release is installed for, so it
keeps to Python 3.9 and to nothing but that release::

    python old_release.py write SCENARIO VERSION PATH
    python old_release.py read VERSION PATH [MASTER_KEY]

``HOME`` must be a scratch directory: the first three releases know no other place, and
opening a database with any of them changes it.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import sys
import time
import warnings
import zlib
from typing import Any

DAY = 86_400
KEY, OTHER_KEY = "correct horse battery staple", "tr0ub4dor & 3 — ключ"
LONG = "A long text, line by line.\n" * 40
DOCUMENT = {"name": "Zoë", "tags": ["a", "b'c", 'd"e'], "n": [1, 2.5, None, True], "x": {"y": {}}}


def marker(text: str) -> str:
    """Return a text of the form in which 0.4 keeps long values."""
    return "cmp:zlib:" + base64.b64encode(zlib.compress(text.encode())).decode()


# Text that every release can hold. As they look for a key they take it for a pattern too, so
# that no key may match one that is there already.
TEXTS = [
    ("name", "Alice"),
    ("motto", 'it\'s "quoted"; -- and 50% \\ back'),
    ("lines", "one\ntwo\r\n\tthree\n"),
    ("město", "žluťoučký kůň 🐍 日本"),
    ("zip", "007"),
    ("answer", "42"),
    ("yes", "true"),
    ("nil", "null"),
    ("nan", "NaN"),
    ("jsontext", '{"a": 1, "a": 2}'),
    ("quotedtext", '"in quotes"'),
    ("halfjson", '{"a": '),
    ("surrogate", '"\\ud800"'),
    ("padded", "  blanks around \n"),
    ("paddednumber", " 7\n"),
    ("injection", "'); DROP TABLE kvstore; --"),
    ("statement", "x');\nINSERT INTO kvstore (key, value) VALUES ('a', 'b');\nCOMMIT;"),
    ("encmarker", "enc:hello"),
    ("encshort", "enc:aGVsbG8="),
    ("cmpmarker", "cmp:zlib:hello"),
    ("cmpshort", marker("short")),
    ("mark of deletion", "[DELETED]"),
    ("notfoundtext", "Key not found"),
    ("nulinside", "before\0after"),
    ("server.host.port", "8080"),
    ("two words", "a key with a blank"),
    ("o'brien", "a quote in the key"),
    ("API_KEY", "was typed in capitals"),
    ("long", LONG),
]

# From 0.1.5 on a value may be any JSON.
DOCUMENTS = [
    ("int", 42),
    ("negative", -7),
    ("huge", 2**70),
    ("float", 3.5),
    ("tiny", 1e-300),
    ("infinite", float("inf")),
    ("flag up", True),
    ("flag down", False),
    ("document", DOCUMENT),
    ("list", [1, "two", [3]]),
    ("emptytext", ""),
    ("long document", {"text": LONG, "more": list(range(300))}),
]


def parsed(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def engine(version: str) -> Any:
    name = "kycli.core.storage" if parsed(version) >= (0, 1, 8) else "kycli.kycore"
    return importlib.import_module(name).Kycore


def opened(version: str, path: str, master_key: str | None = None) -> Any:
    if parsed(version) < (0, 0, 4):
        return engine(version)()  # its file is in the home directory
    if parsed(version) < (0, 1, 7):
        return engine(version)(db_path=path)
    return engine(version)(db_path=path, master_key=master_key)


def closed(kv: Any) -> None:
    """Leave no ``-wal`` file behind, where the release is able to."""
    if hasattr(kv, "__exit__"):
        kv.__exit__(None, None, None)


# Writing


def write_plain(version: str, path: str) -> None:
    """Everything that one database of a release can hold without a key."""
    number = parsed(version)
    kv = opened(version, path)
    for key, value in TEXTS:
        kv.save(key, value)
    if number == (0, 0, 1):
        kv.save("argument", "caf\udce9")  # as Python reads an argument that is not UTF-8
    if number < (0, 0, 4):
        kv.save("nothing", None)
        kv.save("emptytext", "")
        kv.save("", "under the empty key")
        kv.save(" Blanks Around ", "kept in the key")
    if (0, 0, 2) <= number < (0, 1, 2):
        kv.load_store({"Imported": "x", "number": 42, "real": 1.5})
        kv.load_store({"raw": b"\x00\xff", "none": None})
    if (0, 1, 2) <= number < (0, 1, 8):
        kv.load_store({" Imported Blanks ": "x"})
    if number == (0, 1, 7):
        kv.load_store({"null": None})
    if number >= (0, 1, 8):
        kv.sync_from_stream([[1, "Replicated", "in its own case", "2026-01-01 00:00:00"]])
    if number >= (0, 1, 5):
        for key, document in DOCUMENTS:
            kv.save(key, document)

    # History: overwritten, the same again, deleted, deleted and made again, restored.
    kv.save("counter", "1")
    kv.save("deleted", "once")
    kv.save("remade", "first")
    time.sleep(1.1)
    for value in ("2", "2", "3"):
        kv.save("counter", value)
    kv.delete("deleted")
    kv.delete("remade")
    time.sleep(1.1)
    kv.save("remade", "second")
    if number >= (0, 1, 5):
        kv.save("back", {"was": "deleted"})
        kv.delete("back")
        kv.restore("back")
        kv.save("twice", "1st")
        kv.delete("twice")
        time.sleep(1.1)
        kv.save("twice", "2nd")
        kv.delete("twice")
        kv.save("hollow", "full")
        kv.save("hollow", "")
        time.sleep(2.1)
        kv.save("hollow", "full again")
        kv.delete("hollow")
    if number >= (0, 1, 8):
        kv.patch("patched.inner[1]", "x")
        kv.push("pushed", "item")
    if number >= (0, 1, 7):
        kv.save_many([("batch1", 1), ("batch2", "two")])
        kv.save("lasting", "a century", ttl=36500 * DAY)
        kv.save("was lasting", "for good now", ttl="1d")
        kv.save("was lasting", "for good")
        kv.save("expired", "still in the table", ttl=-1000 * DAY)
    closed(kv)


def write_more(version: str, path: str) -> None:
    """What a later release adds to a database of an earlier one."""
    kv = opened(version, path)
    kv.save("by " + version, "42")
    kv.save("common", version)
    kv.delete("name" if "name" in kv.listkeys() else "motto")
    closed(kv)


def write_wal(version: str, path: str) -> None:
    """A process that ends without closing: everything is in the ``-wal`` file."""
    kv = opened(version, path)
    kv.save("name", "Alice")
    kv.save("counter", "1")
    kv.save("counter", "2")
    kv.save("gone", "soon")
    kv.delete("gone")
    os._exit(0)


def write_encrypted(version: str, path: str) -> None:
    """Values with and without a key, and, where the file allows it, under another key."""
    blob = parsed(version) >= (0, 2, 0)
    if not blob:
        kv = opened(version, path)
        kv.save("open", "for all to read")
        kv.save("enclook", "enc:hello")
        kv.save("changed", "was open")
        closed(kv)
    kv = opened(version, path, KEY)
    kv.save("secret", "s3cret: ключ")
    kv.save("changed", "is sealed")
    kv.save("answer", 42)
    kv.save("document", DOCUMENT)
    kv.save("hollow", "")
    kv.save("encmarker", "enc:hello")
    kv.save("long", LONG)
    kv.save("gone", "sealed in the archive")
    kv.delete("gone")
    kv.save("lasting", [1, 2], ttl=36500 * DAY)
    closed(kv)
    if not blob:
        kv = opened(version, path, OTHER_KEY)
        kv.save("other", "under another key")
        closed(kv)


def write_rotated(version: str, path: str) -> None:
    """Written under one key, then rotated to another; queue items keep the old one."""
    kv = opened(version, path, KEY)
    kv.save("secret", "s3cret")
    kv.save("answer", 42)
    kv.save("gone", "x")
    kv.delete("gone")
    if parsed(version) >= (0, 3, 0):
        kv.set_type("queue")
        kv.push("under the old key")
    kv.rotate_master_key(OTHER_KEY, old_key=KEY, backup=False)
    if parsed(version) >= (0, 3, 0):
        kv.push("under the new key")
    else:
        kv.save("later", "under the new key")
    closed(kv)


def write_rewound(version: str, path: str) -> None:
    """Rewound to an earlier time, which leaves no trace in the history."""
    kv = opened(version, path)
    kv.save("kept", "1")
    kv.save("brief", "here", ttl=36500 * DAY)
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    time.sleep(1.1)
    kv.save("kept", "2")
    kv.save("later", "not yet there then")
    kv.restore_to(moment)
    closed(kv)


def write_queue(version: str, path: str, kind: str = "queue") -> None:
    """A workspace of a type that is not key-value, under a key."""
    kv = opened(version, path, KEY)
    kv.set_type(kind)
    items: list[Any] = ["first", {"job": 2, "args": ["it's"]}, 3, "true", "", LONG]
    for number, item in enumerate(items):
        kv.push(item, priority=(number * 7) % 5 - 1)
    if parsed(version) >= (0, 4, 0):
        kv.push("not before a century", ttl=36500 * DAY)
        leased = kv.pop(count=2, lease=36500 * DAY)
        kv.nack(leased[0]["receipt_id"], delay=36500 * DAY)
        kv.pop(lease=36500 * DAY)
    else:
        kv.pop()
    closed(kv)


def write_stack(version: str, path: str) -> None:
    write_queue(version, path, "stack")


def write_priority_queue(version: str, path: str) -> None:
    write_queue(version, path, "priority_queue")


def write_settings(version: str, path: str) -> None:
    """A workspace with every setting that 0.4 knows."""
    kv = opened(version, path)
    kv.set_default_ttl(36500 * DAY)
    kv.save("lasting", "by default")
    kv._set_workspace_setting("compression_threshold", 20)
    kv.save("packed", "a short text, and compressed all the same")
    kv.save("lookalike", "cmp:zlib:x")
    kv.set_access_key("door")
    kv.set_read_only(True)
    closed(kv)


# Reading


def typed(value: Any) -> list[Any]:
    """Return a value as its type and what JSON can say of it."""
    if isinstance(value, bytes):
        return ["bytes", base64.b64encode(value).decode()]
    if isinstance(value, float):
        return ["float", repr(value)]
    return [type(value).__name__, value]


def history_by_key(kv: Any) -> tuple[list[Any], list[str]]:
    """Return the history of those keys whose history can be had, and the other keys."""
    rows, fails = [], []
    for key in sorted({row[1] for row in kv.get_replication_stream()}):
        try:
            rows += [list(row) for row in kv.get_history(key)]
        except ValueError:
            fails.append(key)
    return rows, fails


def read(version: str, path: str, master_key: str | None) -> dict[str, Any]:
    """Return all that the release says of a database. It changes the file."""
    number = parsed(version)
    warnings.simplefilter("ignore")
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    kv = opened(version, path, master_key)
    report: dict[str, Any] = {"read_at": started}
    kind = kv.get_type() if number >= (0, 3, 0) else "kv"
    if kind == "kv":
        listing = kv.listkeys()
        values: dict[str, list[Any]] = {}
        for key in listing:
            try:
                values[key] = typed(kv.getkey(key))
            except Exception as error:
                values[key] = ["error", f"{type(error).__name__}: {error}"]
        report["listing"], report["values"] = listing, values
    if number >= (0, 0, 4):
        try:
            report["history"] = [list(row) for row in kv.get_history()]
        except ValueError:  # 0.4 takes text that looks compressed for damaged, and gives up
            report["history"], report["history_fails"] = history_by_key(kv)
    if number >= (0, 2, 0):
        tables = {
            "expiry": "SELECT key, expires_at FROM kvstore WHERE expires_at IS NOT NULL",
            "archive": "SELECT key, value, deleted_at FROM archive ORDER BY id",
            "deletions": "SELECT key, timestamp FROM audit_log WHERE value IS NULL ORDER BY id",
        }
        if number >= (0, 3, 0):
            tables["meta"] = "SELECT key, value FROM workspace_meta ORDER BY key"
            tables["queue"] = "SELECT * FROM queue_items ORDER BY id"
        for name, query in tables.items():
            report[name] = kv._debug_fetch(query)
        report["archive"] = [[k, kv._decrypt(v), t] for k, v, t in report["archive"]]
        if kind != "kv":
            report["popped"] = []
            while (item := kv.pop()) is not None:
                report["popped"].append(typed(item))
    elif number >= (0, 1, 5):
        closed(kv)
        import sqlite3

        connection = sqlite3.connect(path)
        rows = connection.execute("SELECT key, value, deleted_at FROM archive ORDER BY id")
        decrypt = opened(version, path, master_key)._decrypt if number >= (0, 1, 7) else str
        report["archive"] = [[k, decrypt(v), t] for k, v, t in rows.fetchall()]
        if number >= (0, 1, 7):
            report["expiry"] = connection.execute(
                "SELECT key, expires_at FROM kvstore WHERE expires_at IS NOT NULL"
            ).fetchall()
        connection.close()
    return report


if __name__ == "__main__":
    if sys.argv[1] == "write":
        globals()[f"write_{sys.argv[2]}"](*sys.argv[3:])
    else:
        answer = read(sys.argv[2], sys.argv[3], sys.argv[4] if sys.argv[4:] else None)
        sys.stdout.write(json.dumps(answer, ensure_ascii=True, indent=1))
