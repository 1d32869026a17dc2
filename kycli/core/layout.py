"""The layout of a database file: tables, indexes, triggers, format number.

One row of ``kvstore`` is a live key. Every change to it appends one row to
``audit_log``, whose ``id`` is the database's clock: it only grows, survives
``VACUUM``, and orders all changes of all scopes. Three readers live off it: the
history, the search index (which has seen all ids up to a watermark) and any
cache that wants to know which keys changed since it last looked. So a write
pays for one append and for nothing else that those readers need.

The engine writes both rows itself (``writing.pxi``), in one transaction. A trigger that
wrote the history would be run by SQLite in a frame of its own, with look-ups for what
the engine has just read, and made a save twice as dear; and an upsert that answers what
it did opens a temporary table for the answer.

How the rows refer to each other:

- ``kvstore.seq`` is the id of the key's newest change and ``audit_log.prev`` the
  id of the change before that, so a key's history is a chain, newest first, that
  is read without an index on the log (such an index would make every write a
  third dearer). ``archive.seq`` holds the end of the chain of a key that is gone;
  a key created again links back to it.
- ``version`` counts the changes of a key's value; it goes on where it was when a
  key is deleted and created again, as long as the archive remembers it.
- A key that is deleted or has expired is moved to ``archive``; its ``audit_log`` row
  has no ``kind``.
- A value of more than ``INLINE_MAX`` bytes is stored once, in the ``audit_log``
  row that ``home`` names; ``kvstore`` keeps its BLAKE2b digest instead, so that
  saving the same value again is noticed. Inside a ``WITHOUT ROWID`` tree a large
  value would be read by every search that passes its neighbourhood.
- A change of the lifetime alone logs no value: it is the one of the row before.
- ``author``, ``pid`` and ``change`` say who made a change, in which process, and together
  with what. The author's strings stand once in ``authors``. A change is known by the id of
  its first row; NULL is the usual case, a call of its own, whose id is the row's. What
  nobody did (a key that expired) has no author.
- ``horizon`` says how far back the history of a scope, or with the empty scope of all, is
  whole. Whatever prunes the log or the archive moves it up in the same transaction. A
  ``prev`` that names no row is of a chain that was pruned there. Under ``#ID``, which no
  scope is called, stands when a change ended of which a part was pruned
  (``core.history.wholeness``).
- ``sweeps`` says how far ``core.history.retention``, which prunes in steps, has come.
- A row of the empty scope says that rows were changed or history was pruned past
  the log; whoever keeps copies of values must forget them. Two triggers write one when
  another program changes or deletes live rows. The engine's own writes, which replace
  rows, do not set them off.

Why these indexes, and no others:

- ``kvstore`` is ``WITHOUT ROWID`` on ``(scope, key)``: one tree instead of two, so
  a get is one descent and a new key dirties one page less.
- ``kvstore_expiry`` is partial: only keys that can expire pay for it, and sweeping
  costs what has expired, never a scan.
- ``archive_key`` finds the newest removed value of a key, for restoring it and for
  continuing its chain.

The search index (``fts_kvstore``, ``fts_docs``, ``fts_state``; see ``core.search.indexing``):

- Indexing is never done by the write path: the rows of the log above the watermark name
  the keys that the index has yet to see. Whoever prunes the log leaves the newest row of
  each live key; a watermark needs no row that it points to.
- The index holds words and no text (``content=''``), since the text is in ``kvstore``. With
  ``contentless_delete`` a text leaves it by its number alone. With the log or a view as
  external content, FTS5 must be handed the old text, so the log could not be pruned before
  the index has seen it, and a text that is not the old one damages the index silently.
  Measured (100,000 lines of 68 bytes): 7.9 MB against 9.4 MB, and 18.6 MB with a content of
  its own; indexing as fast; a change of text takes 28 µs against 13 µs, which is little
  beside the rest of catching up.
- ``fts_docs`` numbers the keys. To number texts by their row in the log would save that
  table, but then each match had to be looked up in a log that may be pruned, and the old
  number of a key along its chain. A key keeps its number whatever happens to it, so a text
  replaces the one before; the number survives ``VACUUM``.
- The tokenizer is ``unicode61``, on text that ``core.search.folding`` has prepared. Measured by
  bench/tokenizers.py: indexing lines of 68 bytes in ASCII, and of 148 bytes in a dozen
  scripts; the probes are what people type to find these.

    =====================  ==============  ==============  ===============================
    tokenizer              ASCII           scripts         of 15 probes, fails to find
    =====================  ==============  ==============  ===============================
    unicode61              314,000 rows/s  227,000 rows/s  11: words in Chinese, Thai, ß …
                           38 bytes a row  49 bytes
    trigram                120,000 rows/s  126,000 rows/s  11: what is under 3 characters
                           186 bytes       217 bytes
    APSW's unicodewords    76,000 rows/s   25,000 rows/s   8: accents, Japanese, Korean
                           38 bytes        76 bytes
    APSW's simplify,       42,000 rows/s   20,000 rows/s   2: ł, Korean
    unicodewords           38 bytes        74 bytes
    folded, unicode61      278,000 rows/s  86,000 rows/s   none
                           38 bytes        86 bytes
    =====================  ==============  ==============  ===============================

  APSW's are Python called for each text, cost 50 ms to import, and make a table that no
  other program can read or check; this one is open to any SQLite from 3.43 on.
"""

from __future__ import annotations

APPLICATION_ID = 0x4B59434C
"""``application_id`` of a kycli database: "KYCL"."""

FORMAT = 2
"""``user_version``: the number of the format described here."""

PAGE_SIZE = 4096

# What kvstore.kind, audit_log.kind and archive.kind say of the value beside them.
# OPAQUE is the ciphertext of an earlier KyCLI, which nobody has opened.
TEXT, BYTES, INT, FLOAT, BOOL, NONE, JSON, BIGINT, OPAQUE = range(9)

INLINE_MAX = 512
"""Longest value, in bytes, that is kept in ``kvstore`` itself."""

# What audit_log.op and archive.op say of a change.
BYPASS, CREATED, OVERWRITTEN, DELETED, EXPIRED, LIFETIME, RESTORED, IMPORTED = range(8)

OPERATIONS = {
    # Anything may have changed. Of the empty scope and of no key, or of a scope that was
    # renamed: key is the new name and value the old one.
    BYPASS: "bypass",
    CREATED: "created",
    OVERWRITTEN: "overwritten",
    DELETED: "deleted",
    EXPIRED: "expired",
    LIFETIME: "lifetime",  # the same value, to live for another time
    RESTORED: "restored",  # created or overwritten, with a value that it had before
    IMPORTED: "imported",  # the same, with a value that came with its past
}

TOKENIZER = "unicode61 remove_diacritics 0 categories 'L* M* N* Co Cn So'"
"""How the search index finds words, in text that ``folding.fold`` has folded."""

KEY_WEIGHT = 4.0
"""How much more a match in the key counts than one in the value."""

# Parts of statements on kvstore, as the alias k where a value is read.
LIVE = "(expires_at IS NULL OR expires_at > ?1)"
"""The one expiry predicate; ?1 is the time now, in milliseconds."""

VALUE = """CASE WHEN k.home IS NULL THEN k.value
    ELSE (SELECT a.value FROM audit_log a WHERE a.id = k.home) END"""
"""The value, wherever it is kept."""

NOTE_BYPASS = f"""
INSERT INTO audit_log (scope, key, op, version, timestamp) VALUES ('', '', {BYPASS}, 0, ?1)"""
"""Tells all caches that the log does not say what has changed."""

NOTE_RENAMED = f"""
INSERT INTO audit_log (scope, key, value, op, version, timestamp)
VALUES ('', ?2, ?1, {BYPASS}, 0, ?3)"""
"""The same, as scope ?1 was renamed to ?2 with its history."""

CATCH_UP_ROWS = 256
"""A cache that is more rows of the log behind than this forgets everything."""

SEARCH_SCHEMA = f"""\
CREATE VIRTUAL TABLE fts_kvstore USING fts5 (
    key, value, content = '', contentless_delete = 1, tokenize = "{TOKENIZER}"
);

-- Whose text a row of fts_kvstore is.
CREATE TABLE fts_docs (
    id    INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    key   TEXT NOT NULL,
    UNIQUE (scope, key)
) STRICT;

-- At most one row: how far the index has got. It has seen the changes up to the watermark;
-- while it is built, only of keys up to scope and key. None, or NULL, before it is built.
CREATE TABLE fts_state (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    watermark INTEGER,
    scope     TEXT,
    key       TEXT
) STRICT;
"""
"""The tables of the search index, all of which can be made anew."""

# Times are integer milliseconds since the epoch, UTC.
SCHEMA = f"""
CREATE TABLE kvstore (
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      ANY,
    kind       INTEGER NOT NULL,
    home       INTEGER,  -- the row of audit_log that holds a large value
    expires_at INTEGER,
    version    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX kvstore_expiry ON kvstore (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY,
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    kind       INTEGER,  -- NULL when the key is gone
    op         INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    prev       INTEGER,
    timestamp  INTEGER NOT NULL,
    expires_at INTEGER,
    author     INTEGER,
    pid        INTEGER,
    change     INTEGER,
    value      ANY  -- last, so that what stands before a large one is read without it
) STRICT;

CREATE TABLE archive (
    id         INTEGER PRIMARY KEY,
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      ANY,
    kind       INTEGER NOT NULL,
    op         INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    prev       INTEGER NOT NULL,
    expires_at INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER NOT NULL
) STRICT;

CREATE INDEX archive_key ON archive (scope, key);

CREATE TABLE authors (
    id      INTEGER PRIMARY KEY,
    user    TEXT NOT NULL,
    host    TEXT NOT NULL,
    command TEXT NOT NULL,  -- empty when it was no command line
    UNIQUE (user, host, command)
) STRICT;

-- What is declared of a scope; NULL is what holds for all.
CREATE TABLE sys_namespaces (
    scope            TEXT PRIMARY KEY,
    cache_ms         INTEGER,  -- time to live of keys saved without one
    history_days     REAL,
    history_versions INTEGER,
    archive_days     REAL,
    fold_keys        INTEGER,  -- keys are the same in any case
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE horizon (
    scope      TEXT PRIMARY KEY,
    reaches_to INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far what is done in steps has come in the log or the archive: ids up to this are done.
CREATE TABLE sweeps (
    name     TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

{SEARCH_SCHEMA}
-- KyCLI 0.1 begins by making what is missing of its own tables, the first of it an index
-- of this name. As it cannot, it gives up before it has written anything.
CREATE VIEW idx_audit_key AS SELECT 'this database is not of KyCLI 0.1' AS note;

-- Another program that changes or deletes live rows, and knows nothing of the log,
-- still tells the caches of it.
CREATE TRIGGER kvstore_bypassed AFTER UPDATE OF value, kind, home, expires_at ON kvstore BEGIN
    UPDATE fts_state SET watermark = NULL
    WHERE new.kind <> old.kind OR new.value IS NOT old.value;
    INSERT INTO audit_log (scope, key, op, version, timestamp)
    VALUES ('', '', {BYPASS}, 0, new.updated_at);
END;

CREATE TRIGGER kvstore_lost AFTER DELETE ON kvstore
WHEN NOT EXISTS (
    SELECT 1 FROM audit_log
    WHERE id = (SELECT max(id) FROM audit_log) AND prev = old.seq AND kind IS NULL
) BEGIN
    INSERT INTO audit_log (scope, key, op, version, timestamp)
    VALUES ('', '', {BYPASS}, 0, old.updated_at);
END;
"""
