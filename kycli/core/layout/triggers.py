"""The triggers that log what other programs write to ``kvstore`` by plain SQL.

Any SQLite program may insert, replace, update, rename and delete rows of ``kvstore``. For such a
statement, the triggers do what ``writing.pxi`` does for a call of the engine: they append to
``audit_log``, fill the archive, and complete the row. So history, search, caches and versions only
have to read the log.

The engine disables triggers on its own connections (see ``opening``), so only other programs fire
them. The engine pays for parsing them: SQLite parses the whole schema when a database is opened,
at about 1,250 instructions a token, 2.5 million in all, or a third of a millisecond. So the SQL
here is short: columns by position, one message for all that can be wrong with a name.

Measured, of the 3.4 million that opening the file takes (0.8 without triggers): 0.46 for all
checks, half of it for UTF-8; 0.14 for the kind of a value; 0.1 for the copies of ``_FORGET``; 0.05
for those of ``_NOW``; 0.06 for the letters that are upper case. The view ``_schemas`` takes 0.08;
triggers that refuse to write to it would take 0.09, for a message that is no clearer than SQLite's
own. Without all of these it would still be 2.3 million. SQLite has no way to
parse a part of a schema later. Nearly half is memory management: SQLite does without its lookaside
memory in a CREATE, and 0.5 million are its memory statistics, which only a program that owns the
whole process could switch off.

Other programs write ``scope``, ``key``, ``value``, ``kind`` and ``expires_at``. The other columns
of a new row get a default that a complete row never has. A row with a ``seq`` of its own is
refused, since that belongs to another log.

How it works: a trigger of ``kvstore`` copies the row as it was to ``sql_before``, then inserts the
name of the row into the view ``sql_after``. The ``INSTEAD OF`` trigger of that view, which serves
as a procedure, compares the two and logs the change. ``sql_gone`` does so for a removal.

- Each ``LIMIT 1`` stops SQLite from flattening the subquery, which would evaluate its expressions
  several times.
- The conflict clause of a statement overrides those of its triggers, so they use none.
- ``INSERT OR REPLACE`` removes the conflicting row without firing a trigger, so a ``BEFORE``
  trigger copies it. ``INSERT OR IGNORE`` and upserts fire only that trigger; the copy is deleted
  at a later change. With ``recursive_triggers``, the removal fires a trigger; then the key is
  deleted and created.
- A row that is in ``sql_before`` and no longer in ``kvstore`` was deleted or renamed. A rename is
  a creation and a deletion in one change, as by ``Kycore.move``.
- An update that changes nothing is not logged. An update by another program keeps ``seq``; the
  update that completes a row sets it to the id of the newest change.
- A row whose ``seq`` is 0 is not complete yet. If a trigger of another program changes or deletes
  it at that moment, that is not logged separately.
- An insert over an expired row archives that row first.
- The kind of a value follows from its SQLite type. A ``kind`` that was given, or that the row had,
  is kept where the value fits it: a document that ``json_set`` changes stays a document. For kind
  JSON, a text in braces or brackets that is not JSON is refused by ``json_each``.
- A large value stays in the row, since SQLite has no BLAKE2b for ``digest``. Where the engine put
  a value into the log, ``value`` is NULL, and so is any expression of it; writing that NULL is
  refused.

All of this works from SQLite 3.37 on, the first with strict tables. The triggers do not touch the
search index, which needs 3.43. They use ``json_each`` and not ``json_valid``, because SQLite 3.38
to 3.40 refuse JSON functions in triggers where ``trusted_schema`` is off. Messages are literals,
because older versions accept nothing else.
"""

from __future__ import annotations

from kycli.core.layout import (
    BIGINT,
    BOOL,
    BYTES,
    CREATED,
    DELETED,
    EXPIRED,
    FLOAT,
    INT,
    JSON,
    LIFETIME,
    NONE,
    OPAQUE,
    OVERWRITTEN,
    SCHEMA,
    TEXT,
)
from kycli.core.layout.letters import UPPER_CASE
from kycli.core.names import MAX_NAME

# The time now, the same for all rows of a statement: Julian days as milliseconds since
# 1970, which a column of integers stores as an integer.
_NOW = "round(julianday('now') * 864e5 - 210866760000000)"

_NEWEST = "(SELECT max(id) FROM audit_log)"

# The kind that a type says; typeof() begins with another letter for each.
_KIND_OF_TYPE = "instr('tbir n', substr(typeof(value), 1, 1)) - 1"
assert tuple("tbir n".index(letter) for letter in "tbirn") == (TEXT, BYTES, INT, FLOAT, NONE)

# The types that a value of each kind may have; an integer too large for SQLite is a text.
# ``json_each`` refuses a text that looks like a document and is not JSON.
_TYPES = "0text 1blob 2integer 3real 3null 5null"
_FITS = f"""instr('{_TYPES}', kind || typeof(value))
                    OR kind = {BOOL} AND quote(value) IN ('0', '1')
                    OR typeof(value) = 'text' AND CASE kind
                        WHEN {BIGINT} THEN value GLOB '*[0-9]'
                            AND ltrim(substr(value, 1 + (value GLOB '-*')), '0123456789') = ''
                        WHEN {JSON} THEN iif(value GLOB '{{*}}' OR value GLOB '[[]*]',
                            (SELECT count(*) FROM json_each(v.value)) >= 0, 0)
                        WHEN {OPAQUE} THEN value GLOB 'enc:*' END"""


def _before(row: str, value: str) -> str:
    columns = ("scope", "key", "kind", "expires_at", "home", "version", "seq", "updated_at")
    return ", ".join([*(row + column for column in columns), value])


_OLD_ROW = _before("old.", "ifnull(old.value, (SELECT value FROM audit_log WHERE id = old.home))")

# Keeps the copies of rows whose insert is not complete: a trigger of another program may write
# other rows of kvstore meanwhile.
_FORGET = """DELETE FROM sql_before WHERE NOT EXISTS (
        SELECT 1 FROM kvstore k
        WHERE k.scope = sql_before.scope AND k.key = sql_before.key AND k.seq = 0
    )"""

_KEPT = "kycli: leave out home, digest, version, seq and updated_at, which kycli keeps"

# SQLite accepts any bytes as text, and one row that is not UTF-8 would make every listing fail.
# This splits text that is not ASCII into single characters, and looks for one that SQLite itself
# would encode in another way. It takes about 2 µs a character.
_IS_BROKEN = """EXISTS (
        WITH RECURSIVE part (t) AS (
            SELECT scope || '.' || key || '.' || iif(typeof(value) = 'text', value, '')
            UNION ALL
            SELECT iif(i, substr(t, length(t) / 2 + 1), substr(t, 1, length(t) / 2))
            FROM part, (SELECT 0 AS i UNION SELECT 1) WHERE length(t) > 1 AND t GLOB '*[^\t-~]*'
            UNION ALL
            SELECT CAST(substr(CAST(t AS BLOB), instr(CAST(t AS BLOB), x'00') + 1) AS TEXT)
            FROM part WHERE instr(CAST(t AS BLOB), x'00')
        )
        SELECT 1 FROM part
        WHERE length(t) = 1 AND char(unicode(t)) <> substr(t, 1, 1)
            AND t NOT IN ('\ufffe', '\uffff')
    )"""

# SQL does not know which characters of other scripts are letters.
_CHECKED_SCOPE = f"""CASE
    WHEN key = '' OR length(CAST(key AS BLOB)) > 4096 OR instr(scope || key, char(0))
        THEN RAISE(ABORT, 'kycli: a key has 1 to 4096 bytes, and no NUL')
    WHEN '.' || scope || '.' GLOB '*..*' OR scope GLOB '*.*.*' OR scope GLOB '*.default'
            OR scope GLOB '*[^-._0-9A-Za-z\N{FEMININE ORDINAL INDICATOR}-\U0010fffd]*'
            OR max(instr(scope || '.', '.') - 1, length(scope) - instr(scope, '.')) > {MAX_NAME}
        THEN RAISE(ABORT, 'kycli: a scope is PROJECT or PROJECT.NAMESPACE, each of up to \
{MAX_NAME} letters, digits, _ and -, and the namespace default is left out')
    WHEN op <> {LIFETIME} AND (scope || key || ifnull(value, '') GLOB '*[^\t-~]*'
            OR typeof(value) = 'text' AND instr(CAST(value AS BLOB), x'00'))
        AND {_IS_BROKEN}
        THEN RAISE(ABORT, 'kycli: the text is not UTF-8; other bytes are stored as a BLOB')
    WHEN fold_keys AND op = {CREATED} AND (key <> lower(key) OR key GLOB '{UPPER_CASE}')
        THEN RAISE(ABORT, 'kycli: keys of this scope are in lower case')
    WHEN expires_at NOT BETWEEN 1e11 AND 1e15
        THEN RAISE(ABORT, 'kycli: expires_at is in milliseconds since 1970')
    WHEN expires_at IS NOT old_expires_at AND scope GLOB '*.*' AND cache_ms IS NULL
            AND expires_at NOTNULL
        THEN RAISE(ABORT, 'kycli: in a namespace that is no cache, keys do not expire')
    ELSE scope END"""

TRIGGERS = f"""
-- Copies of rows as they were before a change: the changed row, and a row that it replaces,
-- without its value. They are of no use after the change.
CREATE TABLE sql_before (
    scope, key, old_kind, old_expires_at, old_home, old_version, old_seq, old_updated_at, old_value,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;

CREATE VIEW sql_after AS SELECT 0 AS scope, 0 AS key;
CREATE VIEW sql_gone AS SELECT * FROM sql_after;

-- A key was created or changed: log it and complete the row.
CREATE TRIGGER sql_after INSTEAD OF INSERT ON sql_after BEGIN
    INSERT INTO audit_log
    SELECT NULL, {_CHECKED_SCOPE}, key, kind, op, version + (op <> {LIFETIME}), prev, {_NOW},
        iif(seq IS old_seq, expires_at, ifnull(expires_at, {_NOW} + cache_ms)), NULL, NULL, NULL,
        iif(op = {LIFETIME}, NULL, value)
    FROM (
        SELECT scope, key, kind, value, expires_at, old_expires_at, seq, old_seq, fold_keys,
            cache_ms, iif(old_seq, iif(seq = old_seq AND value IS old_value AND kind = old_kind,
                {LIFETIME}, {OVERWRITTEN}), {CREATED}) AS op,
            coalesce(old_version, (SELECT version FROM archive WHERE id = gone), 0) AS version,
            ifnull(old_seq, (SELECT seq FROM archive WHERE id = gone)) AS prev
        FROM (
            SELECT scope, key, expires_at, seq, value, gone,
                iif({_FITS}, kind, {_KIND_OF_TYPE}) AS kind
            FROM (
                SELECT scope, key, expires_at, seq, kind,
                    ifnull(value, (SELECT old_value FROM sql_before WHERE old_home = home))
                        AS value,
                    (SELECT max(id) FROM archive WHERE scope = new.scope AND key = new.key) AS gone
                FROM kvstore WHERE scope = new.scope AND key = new.key LIMIT 1
            ) v LIMIT 1
        )
        LEFT JOIN sql_before USING (scope, key)
        LEFT JOIN sys_namespaces USING (scope)
    ) WHERE op <> {LIFETIME} OR expires_at IS NOT old_expires_at;

    UPDATE kvstore SET (kind, expires_at, version, seq, updated_at, home) = (
            SELECT kind, expires_at, version, id, timestamp, iif(kvstore.value NOTNULL, NULL,
                iif(value NOTNULL, id, kvstore.home))
            FROM audit_log WHERE id = {_NEWEST}),
        digest = iif(value NOTNULL, NULL, digest)
    WHERE (scope, key) = (SELECT scope, key FROM audit_log WHERE id = {_NEWEST})
        AND seq <> {_NEWEST};

    UPDATE kvstore SET kind = (SELECT old_kind FROM sql_before
        WHERE scope = new.scope AND key = new.key)
    WHERE scope = new.scope AND key = new.key AND kind <> (SELECT old_kind FROM sql_before b
        WHERE b.scope = new.scope AND b.key = new.key AND b.old_seq = kvstore.seq);
END;

-- A row of sql_before that is not in kvstore is gone. If new names a row, it was renamed to that.
CREATE TRIGGER sql_gone INSTEAD OF INSERT ON sql_gone BEGIN
    INSERT INTO audit_log
    SELECT NULL, scope, key, NULL, iif(old_expires_at <= {_NOW}, {EXPIRED}, {DELETED}),
        old_version, old_seq, {_NOW}, NULL, NULL, NULL,
        (SELECT seq FROM kvstore WHERE scope = new.scope AND key = new.key), NULL
    FROM sql_before LEFT JOIN kvstore USING (scope, key) WHERE seq IS NULL;

    INSERT INTO archive
    SELECT NULL, scope, key, old_value, old_kind, op, version, id, prev, old_expires_at,
        old_updated_at, timestamp
    FROM sql_before JOIN audit_log USING (scope, key)
    WHERE id = {_NEWEST} AND prev = old_seq AND kind IS NULL;

    UPDATE audit_log SET change = id
    WHERE id = (SELECT change FROM audit_log WHERE id = {_NEWEST}) AND change IS NULL;
END;

CREATE TRIGGER kvstore_inserting BEFORE INSERT ON kvstore BEGIN
    DELETE FROM kvstore
    WHERE scope = ifnull(new.scope, 'default') AND key = new.key AND expires_at <= {_NOW};
    {_FORGET};
    INSERT INTO sql_before SELECT {_before("", "NULL")}
    FROM kvstore WHERE scope = ifnull(new.scope, 'default') AND key = new.key;
END;

CREATE TRIGGER kvstore_inserted AFTER INSERT ON kvstore BEGIN
    SELECT RAISE(ABORT, '{_KEPT}') WHERE new.seq OR coalesce(new.home, new.digest) NOTNULL;
    INSERT INTO sql_after VALUES (new.scope, new.key);
END;

CREATE TRIGGER kvstore_renaming BEFORE UPDATE OF scope, key ON kvstore BEGIN
    {_FORGET};
    INSERT INTO sql_before SELECT {_before("", "NULL")}
    FROM kvstore WHERE scope = new.scope AND key = new.key;
END;

CREATE TRIGGER kvstore_updated AFTER UPDATE ON kvstore WHEN new.seq = old.seq AND old.seq BEGIN
    DELETE FROM sql_before WHERE scope = old.scope AND key = old.key;
    INSERT INTO sql_before VALUES ({_OLD_ROW});
    INSERT INTO sql_after VALUES (new.scope, new.key);
    INSERT INTO sql_gone SELECT new.scope, new.key
    WHERE new.scope <> old.scope OR new.key <> old.key;
    DELETE FROM sql_before WHERE scope = old.scope AND key = old.key;
END;

CREATE TRIGGER kvstore_deleted AFTER DELETE ON kvstore WHEN old.seq BEGIN
    {_FORGET};
    INSERT INTO sql_before VALUES ({_OLD_ROW});
    INSERT INTO sql_gone VALUES (old.scope, old.key);
    DELETE FROM sql_before WHERE scope = old.scope AND key = old.key;
END;

CREATE TRIGGER kvstore_kept BEFORE UPDATE OF home, digest, version, seq, updated_at ON kvstore
WHEN iif(new.seq = old.seq, (new.home, new.digest, new.version, new.updated_at)
        IS NOT (old.home, old.digest, old.version, old.updated_at), new.seq IS NOT (SELECT id
        FROM audit_log WHERE id = {_NEWEST} AND scope = new.scope AND key = new.key)) BEGIN
    SELECT RAISE(ABORT, '{_KEPT}');
END;

CREATE TRIGGER kvstore_hidden BEFORE UPDATE OF value ON kvstore
WHEN old.home NOTNULL AND new.value IS NULL BEGIN
    SELECT RAISE(ABORT, 'kycli: this value is large, so audit_log has it, in the row that home \
names, and kvstore has NULL');
END;
"""
"""The SQL of the triggers and of what they use."""

WHOLE = SCHEMA + TRIGGERS
"""The SQL of a new database."""
