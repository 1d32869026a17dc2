from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from os import PathLike
from types import TracebackType
from typing import Any, BinaryIO, Literal, final, overload

import apsw

from kycli.core.doctor.checking import Problem
from kycli.core.dump.records import Loaded, Record
from kycli.core.history.changes import Change
from kycli.core.history.diff import Diff
from kycli.core.history.recovery import Difference
from kycli.core.history.retention import Compaction
from kycli.core.history.times import Time
from kycli.core.history.trail import Trail
from kycli.core.operations.entry import Entry
from kycli.core.operations.excerpts import Preview
from kycli.core.operations.importing import Imported
from kycli.core.operations.traits import Traits
from kycli.core.schemas.definitions import Schema
from kycli.core.schemas.registry import Invalid, SchemaChange
from kycli.core.schemas.statistics import Statistics
from kycli.core.search.searching import Hit
from kycli.core.sql.fields import FieldIndex

def _use_native_statements(wanted: bool) -> None: ...

@final
class Declared:
    @property
    def scope(self) -> str: ...
    @property
    def cache_ms(self) -> int | None: ...
    @property
    def history_days(self) -> float | None: ...
    @property
    def history_versions(self) -> int | None: ...
    @property
    def archive_days(self) -> float | None: ...
    @property
    def fold_keys(self) -> bool: ...
    @property
    def schema(self) -> int | None: ...

@final
class Entries:
    def __init__(self) -> None: ...
    def add(self, directory: bytes, name: bytes) -> bool: ...
    def are_same(self) -> bool: ...
    def clear(self) -> None: ...

@final
class Pack:
    @property
    def line(self) -> int: ...
    @property
    def lines(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[str, str]]: ...
    def __len__(self) -> int: ...

@final
class Packs:
    def __init__(
        self,
        stream: BinaryIO,
        key: int,
        value: int,
        width: int,
        delimiter: str = ",",
        quote: str = '"',
    ) -> None: ...
    @property
    def rest(self) -> bytes: ...
    def __iter__(self) -> Iterator[Pack]: ...
    def __next__(self) -> Pack: ...

class Kycore:
    def __init__(
        self,
        db_path: str | PathLike[str] | None = None,
        *,
        scope: str | None = None,
        durability: Literal["normal", "full", "async"] = "normal",
        busy_timeout_ms: int = 5000,
        cache_entries: int = 100_000,
        cache_bytes: int = 67108864,
        clock: Callable[[], int] | None = None,
        command: str | None = None,
        migrate: bool = False,
        schema: Any = None,
    ) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    @property
    def read_only(self) -> bool: ...
    def close(self) -> None: ...
    def watch(self) -> int | None: ...
    def close_if_replaced(self, *, told: bool = False) -> bool: ...
    def flush(self) -> None: ...
    def write_as(self, command: str | None, *, pid: int | None = None) -> None: ...
    def commit_mark(self) -> Hashable: ...
    def __enter__(self) -> Kycore: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    # one key
    def save(
        self,
        key: str,
        value: Any,
        *,
        ttl: float | str | None = None,
        scope: str | None = None,
        if_absent: bool = False,
        if_version: int | None = None,
    ) -> str: ...
    def getkey(
        self,
        key: str,
        default: Any = None,
        *,
        scope: str | None = None,
        include_expired: bool = False,
        at: Time | None = None,
        model: bool = False,
    ) -> Any: ...
    def get_entry(
        self,
        key: str,
        *,
        scope: str | None = None,
        include_expired: bool = False,
        at: Time | None = None,
    ) -> Entry | None: ...
    def preview(
        self,
        key: str,
        *,
        most: int = 65536,
        version: int | None = None,
        scope: str | None = None,
    ) -> Preview | None: ...
    def cache_stats(self) -> dict[str, int]: ...
    def scan_lines(
        self, format: str, prefix: str | None = None, *, scope: str | None = None
    ) -> Iterator[tuple[bytes, int] | tuple[str, str]]: ...
    def select(
        self,
        where: str | None = None,
        *,
        order: str | None = None,
        limit: int | None = None,
        prefix: str | None = None,
        scope: str | None = None,
    ) -> Iterator[Entry]: ...
    def explain(
        self,
        where: str | None = None,
        *,
        order: str | None = None,
        limit: int | None = None,
        prefix: str | None = None,
        scope: str | None = None,
    ) -> str: ...
    def create_index(self, scope: str, field: str) -> bool: ...
    def drop_index(self, scope: str, field: str) -> bool: ...
    def indexes(self, scope: str | None = None) -> list[FieldIndex]: ...
    def statistics(
        self,
        prefix: str | None = None,
        *,
        scope: str | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Statistics: ...
    def exists(self, key: str, *, scope: str | None = None) -> bool: ...
    def delete(self, key: str, *, scope: str | None = None) -> bool: ...
    def pop(self, key: str, default: Any = ..., *, scope: str | None = None) -> Any: ...
    def update(
        self,
        key: str,
        function: Callable[[Any], Any],
        default: Any = ...,
        *,
        attempts: int = 100,
        scope: str | None = None,
    ) -> Any: ...
    def incr(self, key: str, by: float = 1, *, scope: str | None = None) -> int | float: ...
    def append(self, key: str, suffix: str | bytes, *, scope: str | None = None) -> int: ...
    def getset(
        self,
        key: str,
        value: Any,
        default: Any = None,
        *,
        ttl: float | str | None = None,
        scope: str | None = None,
    ) -> Any: ...
    def expire(self, key: str, ttl: float | str, *, scope: str | None = None) -> bool: ...
    def ttl(self, key: str, *, scope: str | None = None) -> float | None: ...
    def persist(self, key: str, *, scope: str | None = None) -> bool: ...
    def copy(
        self,
        key: str,
        to_key: str | None = None,
        *,
        scope: str | None = None,
        to_scope: str | None = None,
        overwrite: bool = False,
    ) -> bool: ...
    def move(
        self,
        key: str,
        to_key: str | None = None,
        *,
        scope: str | None = None,
        to_scope: str | None = None,
        overwrite: bool = False,
    ) -> bool: ...

    # many keys
    def save_many(
        self,
        pairs: Mapping[str, Any] | Iterable[tuple[str, Any]],
        ttl: float | str | None = None,
        *,
        scope: str | None = None,
    ) -> int: ...
    def import_rows(
        self,
        rows: Iterable[tuple[Any, ...] | Pack],
        *,
        scope: str | None = None,
        ttl: float | str | None = None,
        on_conflict: str = "overwrite",
        source: str | None = None,
        change: int | None = None,
        checkpoint: tuple[str, Callable[[int | None], Any]] | None = None,
        rejected: Callable[[Exception], object] | None = None,
        progress: Callable[[int], object] | None = None,
        landed: list[int] | None = None,
        dry_run: bool = False,
    ) -> Imported: ...
    def import_checkpoint(self, name: str) -> Any: ...
    def import_data(
        self,
        source: str | PathLike[str] | BinaryIO,
        *,
        format: str | None = None,
        scope: str | None = None,
        ttl: float | str | None = None,
        prefix: str = "",
        on_conflict: str = "overwrite",
        on_error: str = "stop",
        rejects: str | PathLike[str] | None = None,
        batch: int | None = None,
        resume: bool = False,
        dry_run: bool = False,
        key_column: str | None = None,
        value_column: str | None = None,
        scope_column: str | None = None,
        time_column: str | None = None,
        columns: Iterable[str] | None = None,
        header: bool = True,
        delimiter: str | None = None,
        quote: str | None = None,
        encoding: str | None = None,
        table: str | None = None,
        values_only: bool = False,
        progress: Callable[[int, int, int | None], object] | None = None,
    ) -> Imported: ...
    def export_data(
        self,
        path: str | PathLike[str] | BinaryIO,
        format: str = "csv",
        *,
        scope: str | Iterable[str] | None = None,
        all_scopes: bool = False,
        prefix: str | None = None,
        plain: bool = False,
        history: bool = False,
        archive: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> int: ...
    def dump(
        self,
        prefix: str | None = None,
        *,
        scope: str | Iterable[str] | None = None,
        all_scopes: bool = False,
        history: bool = False,
        archive: bool = False,
    ) -> Iterator[Record]: ...
    def load(
        self,
        records: Iterable[Record],
        *,
        history: bool = False,
        source: str | None = None,
        scope: str | None = None,
    ) -> Loaded: ...
    def traits(self, prefix: str | None = None, *, scope: str | None = None) -> Traits: ...
    def get_many(self, keys: Iterable[str], *, scope: str | None = None) -> dict[str, Any]: ...
    def delete_many(
        self,
        keys: Iterable[str] | None = None,
        *,
        prefix: str | None = None,
        scope: str | None = None,
    ) -> int: ...
    def listkeys(
        self,
        pattern: str | None = None,
        *,
        glob: str | None = None,
        prefix: str | None = None,
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
        scope: str | None = None,
    ) -> list[str]: ...
    def removed_keys(
        self,
        prefix: str | None = None,
        *,
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
        scope: str | None = None,
    ) -> list[str]: ...
    def iterkeys(
        self,
        prefix: str | None = None,
        *,
        pattern: str | None = None,
        glob: str | None = None,
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
        scope: str | None = None,
    ) -> Iterator[str]: ...
    def scan(
        self,
        prefix: str | None = None,
        *,
        pattern: str | None = None,
        glob: str | None = None,
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
        scope: str | None = None,
    ) -> Iterator[tuple[str, Any]]: ...
    def entries(
        self,
        prefix: str | None = None,
        *,
        pattern: str | None = None,
        glob: str | None = None,
        after: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
        scope: str | None = None,
        include_expired: bool = False,
    ) -> Iterator[Entry]: ...
    def count(self, prefix: str | None = None, *, scope: str | None = None) -> int: ...
    def copy_many(
        self,
        prefix: str | None = None,
        *,
        scope: str | None = None,
        to_scope: str | None = None,
        to_prefix: str | None = None,
        on_conflict: str = "error",
    ) -> int: ...
    def move_many(
        self,
        prefix: str | None = None,
        *,
        scope: str | None = None,
        to_scope: str | None = None,
        to_prefix: str | None = None,
        on_conflict: str = "error",
    ) -> int: ...
    def diff_scopes(
        self, scope: str, other: str, *, prefix: str | None = None
    ) -> Iterator[Diff]: ...
    def diff_times(
        self,
        since: Time,
        until: Time | None = None,
        *,
        prefix: str | None = None,
        scope: str | None = None,
    ) -> Iterator[Diff]: ...
    def diff_versions(
        self, key: str, version: int, other: int | None = None, *, scope: str | None = None
    ) -> Diff | None: ...

    # for the modules beside the engine
    def _now(self) -> int: ...
    def _checked_scope(self, scope: str | None) -> str: ...
    def _key(self, scope: str, key: str) -> str: ...
    def _query(self, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]: ...
    def _changes_of_key(
        self, id: int, since: int, until: int, most: int
    ) -> tuple[list[tuple[Any, ...]], int | None]: ...
    def _declared(self, scope: str) -> Declared: ...
    def _all_declared(self) -> list[Declared]: ...
    def _declare(self, sql: str, bindings: tuple[Any, ...]) -> None: ...
    def _lifetime_in(self, scope: str, lifetime: int | None) -> int | None: ...
    def _check_files(self) -> None: ...
    def _enlarge_page_cache(self) -> None: ...
    def _take_in(
        self,
        sql: tuple[str, ...],
        bindings: tuple[Any, ...],
        last: int,
        end: float,
        most: int,
        searchable: Callable[[Any, int, Any, int | None], str],
        fold: Callable[[str], str],
    ) -> tuple[int, tuple[str, str] | None, int | None]: ...
    def _connection(self) -> apsw.Connection: ...
    def _another_connection(self, timeout_ms: int) -> apsw.Connection: ...
    def _in_transaction(self) -> bool: ...
    def _in_snapshot(self) -> bool: ...
    def _live_row(self, now: int, scope: str, key: str) -> tuple[Any, ...] | None: ...
    def _put(
        self,
        now: int,
        scope: str,
        key: str,
        kind: int,
        stored: Any,
        size: int,
        lifetime: int | None,
    ) -> str: ...
    def _write(
        self,
        now: int,
        scope: str,
        key: str,
        kind: int,
        stored: Any,
        size: int,
        expires_at: int | None,
        op: int = 0,
    ) -> str: ...
    def _remove(self, scope: str, key: str) -> bool: ...
    def _sweep_after(self, written: int, at_once: bool = False) -> None: ...

    # history and recovery
    def get_history(
        self,
        key: str | None = None,
        *,
        scope: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: int | None = None,
    ) -> list[Change]: ...
    def iter_history(
        self,
        key: str | None = None,
        *,
        scope: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: int | None = None,
    ) -> Iterator[Change]: ...
    def trail(
        self,
        key: str | None = None,
        *,
        seen: int = 0,
        upto: int | None = None,
        limit: int | None = 100,
        scope: str | None = None,
    ) -> Trail: ...
    def restore(
        self,
        key: str,
        timestamp: Time | None = None,
        *,
        version: int | None = None,
        scope: str | None = None,
    ) -> str: ...
    def restore_to(
        self,
        time: Time,
        scope: str | None = None,
        all_scopes: bool = False,
        dry_run: bool = False,
    ) -> int: ...
    def differences(
        self, time: Time, scope: str | None = None, all_scopes: bool = False
    ) -> Iterator[Difference]: ...
    def undo(
        self, change: int | None = None, *, scope: str | None = None, force: bool = False
    ) -> int: ...

    # documents
    def get_path(
        self,
        path: str,
        default: Any = None,
        *,
        key: str | None = None,
        scope: str | None = None,
        include_expired: bool = False,
        at: Time | None = None,
    ) -> Any: ...
    def patch(
        self, path: str, value: Any, *, key: str | None = None, scope: str | None = None
    ) -> str: ...
    def merge_patch(
        self, path: str, patch: Any, *, key: str | None = None, scope: str | None = None
    ) -> str: ...
    def json_patch(
        self,
        path: str,
        operations: list[dict[str, Any]],
        *,
        key: str | None = None,
        scope: str | None = None,
    ) -> str: ...
    def push(
        self,
        key: str,
        value: Any,
        unique: bool = False,
        *,
        path: str | None = None,
        scope: str | None = None,
    ) -> str: ...
    def remove(
        self, key: str, value: Any, *, path: str | None = None, scope: str | None = None
    ) -> str: ...

    # search
    @overload
    def search(
        self,
        query: str,
        *,
        scope: str | None = None,
        limit: int | None = 100,
        keys_only: Literal[False] = False,
    ) -> dict[str, Any]: ...
    @overload
    def search(
        self,
        query: str,
        *,
        scope: str | None = None,
        limit: int | None = 100,
        keys_only: Literal[True],
    ) -> list[str]: ...
    @overload
    def search(
        self,
        query: str,
        *,
        scope: str | None = None,
        limit: int | None = 100,
        keys_only: bool = False,
    ) -> dict[str, Any] | list[str]: ...
    def search_hits(
        self,
        query: str,
        *,
        scope: str | None = None,
        all_scopes: bool = False,
        limit: int | None = 100,
        keys_only: bool = False,
        snippets: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> list[Hit]: ...
    def backup(
        self,
        path: str | PathLike[str] | None = None,
        *,
        keep: int | None = None,
        overwrite: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> str: ...
    def update_index(self, *, progress: Callable[[int, int], object] | None = None) -> int: ...
    def index_backlog(self) -> int: ...
    def optimize_index(self, *, progress: Callable[[int, int], object] | None = None) -> int: ...
    def check(
        self, *, repair: bool = False, progress: Callable[[int, int], object] | None = None
    ) -> list[Problem]: ...

    # schemas
    def create_table(
        self,
        scope: str,
        schema: Any,
        *,
        keys: str | None = None,
        strict: bool = True,
        extra: str = "forbid",
        existing: str = "refuse",
        move_to: str | None = None,
        dry_run: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> SchemaChange: ...
    def set_schema(
        self,
        scope: str,
        schema: Any,
        *,
        keys: str | None = None,
        strict: bool = True,
        extra: str = "forbid",
        existing: str = "refuse",
        move_to: str | None = None,
        dry_run: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> SchemaChange: ...
    def drop_schema(self, scope: str, *, keys: str | None = None) -> bool: ...
    def schemas(self) -> list[str]: ...
    def schema(self, *, scope: str | None = None) -> Schema | None: ...
    def json_schema(
        self, *, scope: str | None = None, keys: str | None = None
    ) -> dict[str, Any] | None: ...
    def check_schema(self, *, scope: str | None = None) -> Iterator[Invalid]: ...
    def infer_schema(self, prefix: str | None = None, *, scope: str | None = None) -> Any: ...

    # retention
    def compact(
        self,
        retention_days: float = 15,
        *,
        vacuum: bool | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Compaction: ...
    def set_scope(
        self,
        scope: str,
        *,
        history_days: float | None = ...,
        history_versions: int | None = ...,
        archive_days: float | None = ...,
    ) -> None: ...
    @overload
    def scope_settings(self, scope: str) -> dict[str, float | int | None]: ...
    @overload
    def scope_settings(self, scope: None = None) -> dict[str, dict[str, float | int | None]]: ...

    # scopes and caches
    def scopes(self) -> list[str]: ...
    def drop_scope(self, scope: str) -> int: ...
    def rename_scope(self, scope: str, to_scope: str) -> int: ...
    def create_cache(self, scope: str, timeout: float | str) -> None: ...
    def set_cache(self, scope: str, timeout: float | str) -> None: ...
    def drop_cache(self, scope: str) -> None: ...
    def caches(self) -> dict[str, float]: ...

    # transactions and asynchronous calls
    def transaction(self) -> AbstractContextManager[Kycore]: ...
    def snapshot(self) -> AbstractContextManager[Kycore]: ...
    def save_async(
        self,
        key: str,
        value: Any,
        *,
        ttl: float | str | None = None,
        scope: str | None = None,
        if_absent: bool = False,
        if_version: int | None = None,
    ) -> Coroutine[Any, Any, str]: ...
    def getkey_async(
        self,
        key: str,
        default: Any = None,
        *,
        scope: str | None = None,
        include_expired: bool = False,
        at: Time | None = None,
        model: bool = False,
    ) -> Coroutine[Any, Any, Any]: ...

    # the mapping protocol, on the store's own scope
    def __getitem__(self, key: str) -> Any: ...
    def __setitem__(self, key: str, value: Any) -> None: ...
    def __delitem__(self, key: str) -> None: ...
    def __contains__(self, key: object) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def keys(self) -> Iterator[str]: ...
    def items(self) -> Iterator[tuple[str, Any]]: ...
    def values(self) -> Iterator[Any]: ...
