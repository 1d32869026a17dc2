"""Making old databases, other than those that an old release made."""

from __future__ import annotations

from pathlib import Path

import apsw


def old_database(path: Path, script: str) -> Path:
    """Make a database with the tables of the last releases, and run a script on it."""
    connection = apsw.Connection(str(path))
    connection.execute(
        """CREATE TABLE kvstore (key TEXT PRIMARY KEY, value TEXT, expires_at DATETIME);
        CREATE TABLE audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, value TEXT,
            timestamp DATETIME DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')));
        CREATE TABLE archive (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, value TEXT,
            deleted_at DATETIME DEFAULT CURRENT_TIMESTAMP);
        CREATE INDEX idx_audit_key ON audit_log (key);"""
    )
    connection.execute(script)
    connection.close()
    return path
