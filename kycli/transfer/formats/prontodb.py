"""Databases of ProntoDB, which are read and never written.

ProntoDB is a key-value store for the command line, in Rust (github.com/oodx/prontodb). Its
schemas are taken from its sources; times are seconds since the epoch in all of them.

- ``src/storage.rs`` (the releases): ``kv (project, namespace, key, context, value, created_at,
  updated_at, expires_at)``, where a context that is not there is NULL. As NULLs differ from each
  other in its primary key, writing a key without a context again adds a row; the last one counts
  here. ``sys_namespaces (project, namespace, is_ttl, default_ttl, …)`` says which are caches.
- ``specs/src_ref/store.rs`` and the first ``src/store.rs``: a table for each namespace, ``(k, v)``,
  for caches also ``created_at`` and ``ttl_sec``. ``sys_namespaces`` has their names, with columns
  ``project`` and ``namespace`` or, in the first one, ``ns`` for both with ``delim`` between them;
  ``sys_caches (…, timeout_sec, …)`` the timeouts. The context is part of the key.
- ``src/___backup/storage_hierarchical.rs``: ``namespace_registry (meta_name, project_name,
  namespace_name, table_hash, is_ttl, ttl_seconds, …)``, and a table for each namespace,
  ``(key_name, context, value, …, expires_at)``. A meta other than ``default`` is put before the
  name of the project, as ``src/___backup/storage_meta.rs`` did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw

from kycli.core.names import check_name, join_scope
from kycli.core.values import canonical
from kycli.errors import FormatError, InputError, UsageError
from kycli.transfer.formats.records import encoded_json, reject
from kycli.transfer.formats.sqlite import opened, quoted
from kycli.transfer.reading import Reader, Row


class Namespace(NamedTuple):
    """A namespace of ProntoDB.

    Attributes:
        project, name: its names there.
        timeout: of a cache, in seconds; None for what is none.
        sql: what gives key, context, value, expiry and last change of each row, in the order
            in which they were written.
        bindings: of that.
    """

    project: str
    name: str
    timeout: int | None
    sql: str
    bindings: tuple[Any, ...] = ()


class ProntoReader(Reader):
    """Reads the keys of all namespaces.

    Attributes:
        path: the file, which has to be known beside the stream.
        caches: once ``rows`` is begun, the timeout in seconds of each scope that is a cache.
    """

    unit = "row"
    path: str | None = None
    caches: dict[str, int]

    def rows(self) -> Iterator[Row]:
        if self.path is None:
            raise UsageError("a ProntoDB database is read from a file, not from a stream")
        if self.options.names_columns or self.options.table is not None:
            raise UsageError("a ProntoDB database says itself where its keys are")
        try:
            connection = opened(self.path)
            try:
                with connection:  # all of it as of one moment
                    yield from self._rows(connection)
            finally:
                connection.close()
        except apsw.Error as error:
            raise FormatError(f"SQLite cannot read it: {error}") from None

    def _rows(self, connection: apsw.Connection) -> Iterator[Row]:
        namespaces = _namespaces(connection)
        if namespaces is None:
            raise FormatError(
                "this is no database of ProntoDB", hint="--format sqlite reads others"
            )
        self.caches = {}
        for namespace in namespaces:
            if namespace.timeout is not None and namespace.timeout > 0:
                try:
                    self.caches[_scope(namespace)] = namespace.timeout
                except InputError:
                    pass  # its rows say so
        for namespace in namespaces:
            for key, context, value, expires_at, updated_at in connection.execute(
                namespace.sql, namespace.bindings
            ):
                self.line += 1
                if context and type(key) is type(context) is str:
                    key = f"{key}__{context}"
                    context = None
                self.record = {
                    "key": key,
                    "value": value,
                    "scope": f"{namespace.project}.{namespace.name}",
                }
                try:
                    if context or type(key) is not str:
                        raise FormatError("key or context are no text")
                    expiry = _milliseconds(expires_at, "expires_at")
                    if expiry is not None:
                        self.record["expires_at"] = expiry
                    row = (
                        *(key, _value(value), _scope(namespace), expiry),
                        _milliseconds(updated_at, "updated_at"),
                    )
                except InputError as error:
                    self.refuse(error)
                    continue
                yield row

    def rejected(self, record: Any, line: int, reason: str, is_first: bool) -> bytes:
        # SQLite files cannot be appended to; JSONL holds the same.
        data = json.loads(canonical(record))
        return encoded_json(f"{reject(data, '', line, reason)}\n", None, is_start=True)


def is_prontodb(path: str) -> bool:
    """Whether a file is a database of ProntoDB, by its tables."""
    try:
        connection = opened(path)
    except apsw.Error:
        return False
    try:
        return _namespaces(connection) is not None
    except apsw.Error:
        return False
    finally:
        connection.close()


def _scope(namespace: Namespace) -> str:
    return join_scope(
        check_name(namespace.project, "project"), check_name(namespace.name, "namespace")
    )


def _value(value: Any) -> Any:
    """Return a value as the command line would have stored it: bytes where they are no text."""
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if type(value) is str:
        return value
    raise FormatError(f"the value is of type {type(value).__name__}, not text")


def _milliseconds(seconds: Any, name: str) -> int | None:
    if seconds is None:
        return None
    if type(seconds) is int and 0 <= seconds < 1 << 50:
        return seconds * 1000
    raise FormatError(f"{name} is not seconds since the epoch")


def _columns(connection: apsw.Connection, table: str) -> set[str]:
    return {row[1] for row in _all(connection, f"PRAGMA table_xinfo({quoted(table)})")}


def _all(connection: apsw.Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def _namespace(project: Any, name: Any, timeout: Any, sql: str, *bindings: Any) -> Namespace:
    """Return a namespace, whose names are text in any sound database."""
    if type(project) is not str or type(name) is not str:
        raise FormatError("a project or namespace has no text for its name")
    return Namespace(project, name, timeout if type(timeout) is int else None, sql, bindings)


def _namespaces(connection: apsw.Connection) -> list[Namespace] | None:
    """Return the namespaces of a database of any schema; None when it is none of ProntoDB."""
    declared = _columns(connection, "sys_namespaces")
    if {"project", "namespace", "key", "value", "created_at"} <= _columns(connection, "kv"):
        return _of_one_table(connection, {"is_ttl", "default_ttl"} <= declared)
    if {"kind", "table_name"} <= declared:
        return _of_tables(connection, by_project="project" in declared)
    if {"meta_name", "table_hash"} <= _columns(connection, "namespace_registry"):
        return _of_hierarchy(connection)
    return None


def _of_one_table(connection: apsw.Connection, has_caches: bool) -> list[Namespace]:
    columns = _columns(connection, "kv")
    wanted = [
        name if name in columns else "NULL"
        for name in ("key", "context", "value", "expires_at", "updated_at")
    ]
    rows = (
        f"SELECT {', '.join(wanted)} FROM kv WHERE project = ?1 AND namespace = ?2 "
        f"ORDER BY {wanted[-1]}, rowid"
    )
    caches: dict[tuple[Any, ...], Any] = {}
    if has_caches:
        declared = "SELECT project, namespace, default_ttl FROM sys_namespaces WHERE is_ttl"
        for project, name, timeout in _all(connection, declared):
            caches[project, name] = timeout
    found = {*_all(connection, "SELECT DISTINCT project, namespace FROM kv"), *caches}
    return [
        _namespace(project, name, caches.get((project, name)), rows, project, name)
        for project, name in sorted(found, key=repr)
    ]


def _of_tables(connection: apsw.Connection, *, by_project: bool) -> list[Namespace]:
    name, timeout = "n.project, n.namespace", "NULL"
    same = "(c.project, c.namespace) = (n.project, n.namespace)"
    if not by_project:
        name, same = "n.ns, NULL", "c.ns = n.ns"
    if _columns(connection, "sys_caches"):
        timeout = f"(SELECT c.timeout_sec FROM sys_caches c WHERE {same})"
    found = []
    for project, namespace, delimiter, kind, table, seconds in _all(
        connection,
        f"SELECT {name}, n.delim, n.kind, n.table_name, {timeout} FROM sys_namespaces n "
        "ORDER BY 1, 2",
    ):
        if namespace is None and type(project) is str:
            project, _, namespace = project.partition(delimiter or ":")
        table = str(table)
        has_ttl = "ttl_sec" in _columns(connection, table)
        times = "created_at + ttl_sec, created_at" if has_ttl else "NULL, NULL"
        found.append(
            _namespace(
                *(project, namespace or "default", seconds if kind == "ttl" else None),
                f"SELECT k, NULL, v, {times} FROM {quoted(table)} ORDER BY rowid",
            )
        )
    return found


def _of_hierarchy(connection: apsw.Connection) -> list[Namespace]:
    return [
        _namespace(
            *(project if meta == "default" else f"{meta}_{project}", name),
            seconds if is_ttl else None,
            "SELECT key_name, context, value, expires_at, updated_at "
            f"FROM {quoted(str(table))} ORDER BY rowid",
        )
        for meta, project, name, table, is_ttl, seconds in _all(
            connection,
            "SELECT meta_name, project_name, namespace_name, table_hash, is_ttl, ttl_seconds "
            "FROM namespace_registry ORDER BY 1, 2, 3",
        )
    ]


READERS = {"prontodb": ProntoReader}
WRITERS: dict[str, Any] = {}
