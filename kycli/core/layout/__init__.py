"""The layout of a database file: tables, indexes, triggers, format number.

One row of ``kvstore`` is a live key. Every change to it appends one row to ``audit_log``, whose
``id`` is the database's clock: it only grows, survives ``VACUUM``, and orders all changes of all
scopes. The log has three readers: the history, the search index (which has processed all ids up
to a watermark), and every value cache (which looks up the keys that changed since its last
check). So a write appends one row, and does nothing else for these readers.

The engine writes both rows itself (``writing.pxi``), in one transaction. SQLite would run a trigger
that writes the history in a frame of its own, with look-ups for what the engine has just read;
this made a save twice as slow. An upsert with RETURNING opens a temporary table. What other
programs write by plain SQL is logged by triggers, which the engine disables on its own
connections: see ``core.layout.triggers``.

References between rows:

- ``kvstore.seq`` is the id of the key's newest change, and ``audit_log.prev`` the id of the
  change before. So the history of a key is a chain, newest first, which is read without an index
  on the log (such an index would make every write a third slower). ``archive.seq`` is the end of
  the chain of a removed key; a key that is created again links back to it.
- ``version`` counts the changes of a key's value. It continues when a key is deleted and created
  again, as long as the archive has the key. A key that was imported with its version and without
  its history begins with that version (``core.dump``).
- A key that is deleted or has expired is moved to ``archive``; its ``audit_log`` row has no
  ``kind``.
- A value of more than ``INLINE_MAX`` bytes is stored once, in the ``audit_log`` row that ``home``
  names. ``kvstore`` has NULL as its value, and its BLAKE2b digest, so that saving the same value
  again is noticed. A large value inside a ``WITHOUT ROWID`` tree would be read by every search
  that passes near it. One that plain SQL wrote stays there until the engine writes the key.
- The defaults of the columns of ``kvstore`` are for plain SQL; a complete row has none of them.
- A change of the lifetime alone logs no value; the value is that of the row before.
- ``author``, ``pid`` and ``change`` say who made a change, in which process, and which rows
  belong to the same change. The strings of an author are stored once, in ``authors``. The id of a
  change is the id of its first row; NULL, the usual case, is a change of one row. An expired key
  has no author.
- ``horizon`` says from when on the history of a scope is complete; the row of the empty scope
  applies to all scopes. Whatever prunes the log or the archive moves it up in the same
  transaction. A ``prev`` without a row belongs to a pruned chain. A row named ``#ID``, which is
  not a valid scope, says when a partly pruned change ended (``core.history.incomplete``).
- ``sweeps`` stores the progress of ``core.history.retention``, which prunes in steps.
- A log row of the empty scope says that a scope was renamed, or history was pruned, without log
  rows of the keys; whoever keeps copies of values must discard them.

Indexes:

- ``kvstore`` is ``WITHOUT ROWID`` on ``(scope, key)``: one tree instead of two, so a get is one
  descent, and a new key writes one page less.
- ``kvstore_expiry`` is partial: only keys that can expire cost anything, and a sweep reads only
  what has expired.
- ``archive_key`` finds the newest removed value of a key, to restore it and to continue its
  chain.

The search index (``fts_kvstore``, ``fts_docs``, ``fts_state``; see ``core.search.indexing``):

- Writes never update the index. The log rows above the watermark name the keys that are not
  indexed yet. Pruning keeps the newest log row of each live key. The watermark need not be the id
  of an existing row.
- The index has words and no text (``content=''``), since the text is in ``kvstore``. With
  ``contentless_delete``, a text is removed by its number alone. With the log or a view as external
  content, FTS5 needs the old text; then the log could not be pruned before it is indexed, and a
  wrong old text damages the index silently. Measured (100,000 lines of 68 bytes): 7.9 MB against
  9.4 MB, and 18.6 MB with a content of its own; indexing is as fast; a change of text takes 28 µs
  against 13 µs, which is little compared with the rest of the indexing.
- ``fts_docs`` numbers the keys. Using the ids of log rows would save this table, but then each
  match had to be looked up in a log that may be pruned, and the old number of a key in its chain.
  A key keeps its number, so a new text replaces the old one; the number survives ``VACUUM``.
- The tokenizer is ``unicode61``, on text prepared by ``core.search.folding``. Measured by
  bench/tokenizers.py: indexing lines of 68 bytes in ASCII, and of 148 bytes in a dozen scripts;
  the probes are queries that people type to find them.

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

  APSW's tokenizers are Python functions called for each text, take 50 ms to import, and make a
  table that other programs cannot read or check. This one works in any SQLite from 3.43 on.
"""

from __future__ import annotations

APPLICATION_ID = 0x4B59434C
"""``application_id`` of a kycli database: "KYCL"."""

FORMAT = 4
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

IMPORTS = "#imports"
"""The scope in which interrupted imports keep where they stopped.

No scope can be called so. Its keys are rows like any others, so that they are committed, undone
and taken back in time together with what was imported, and nothing that lists shows them.
"""

SCHEMAS = "#schemas"
"""The scope that holds, under the name of each scope that has a schema, that schema.

Its keys are rows like any others too, so what was declared, when and by whom is in the history.
Other programs read them as the view ``_schemas``.
"""

RESERVED = "#"
"""What the names of such scopes begin with; in the order of text they are before all others."""

FIRST_SCOPE = "$"
"""Text that is after all reserved scopes and before all others."""

TOKENIZER = "unicode61 remove_diacritics 0 categories 'L* M* N* Co Cn So'"
"""How the search index finds words, in text that ``folding.fold`` has folded."""

KEY_WEIGHT = 4.0
"""How much more a match in the key counts than one in the value."""

# Parts of statements on kvstore, as the alias k where a value is read.
LIVE = "(expires_at IS NULL OR expires_at > ?1)"
"""What is live, for statements on many rows; ?1 is the time now, in milliseconds. A statement on
one key returns ``expires_at``, and the engine compares it: ``engine/expiry.pxi``."""

LIVE_K = LIVE.replace("expires_at", "k.expires_at")
"""The same, in statements that join kvstore with other tables."""

VALUE = """CASE WHEN k.home IS NULL THEN k.value
    ELSE (SELECT a.value FROM audit_log a WHERE a.id = k.home) END"""
"""The value, wherever it is kept."""

NOTE_BYPASS = f"""
INSERT INTO audit_log (scope, key, op, version, timestamp) VALUES ('', '', {BYPASS}, 0, ?1)"""
"""Makes all value caches drop everything, after changes that the log does not list."""

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
    scope      TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'default',
    key        TEXT NOT NULL,
    value      ANY,
    kind       INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT -1,
    expires_at INTEGER,
    home       INTEGER,  -- the row of audit_log that holds a large value
    digest     BLOB,     -- of that value
    version    INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    seq        INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    updated_at INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
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

-- The schemas of scopes, for other programs to read. SQLite lets nobody write to a view.
CREATE VIEW _schemas AS
SELECT k.key AS scope, ifnull(k.value, l.value) AS definition, k.version, updated_at, user, host,
    command
FROM kvstore k JOIN audit_log l ON l.id = ifnull(home, seq) LEFT JOIN authors w ON w.id = author
WHERE k.scope = '{SCHEMAS}';

{SEARCH_SCHEMA}
-- KyCLI 0.1 begins by making what is missing of its own tables, the first of it an index
-- of this name. As it cannot, it gives up before it has written anything.
CREATE VIEW idx_audit_key AS SELECT 'this database is not of KyCLI 0.1' AS note;
"""
