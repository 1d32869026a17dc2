"""Listings: streams of items, printed one per line or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from kycli.core.location import home_dir
from kycli.core.values import canonical

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.operations.entry import Entry

_Item = TypeVar("_Item")

_BATCH = 1000


def write_listing(
    env: Environment,
    items: Iterable[_Item],
    plain: Callable[[_Item], bytes],
    data: Callable[[_Item], Any],
) -> None:
    """Print each item as the flags say.

    Parameters:
        items: read once, as fast as they are printed.
        plain: returns the line of an item without its end. Text from a key or a value must
            pass through ``env.shown``.
        data: returns the JSON value of an item: one of an array with ``--json``, a line with
            ``--jsonl``.
    """
    form = env.choice("json", "jsonl", "null")
    if form == "json":
        env.write(b"[")
        _write_batches(env, _separated(env.shown_json(canonical(data(item))) for item in items))
        env.write(b"]\n")
    elif form == "jsonl":
        _write_batches(env, (env.shown_json(canonical(data(item))) + b"\n" for item in items))
    else:
        end = b"\0" if form == "null" else b"\n"
        _write_batches(env, (plain(item) + end for item in items))


def write_texts(env: Environment, texts: Iterable[str]) -> None:
    """Print each text as the flags say."""
    write_listing(env, texts, env.shown, str)


def keys_counted(count: int) -> str:
    """Return ``1 key`` or ``2 keys``."""
    return f"{count} key" if count == 1 else f"{count} keys"


def tilde(path: str) -> str:
    """Return a path as people write it, with ``~`` for the home directory.

    For messages only: scripts need the full path.
    """
    home = (home_dir() or "").rstrip("/")
    return f"~{path[len(home) :]}" if home and path.startswith(f"{home}/") else path


def record(entry: Entry, scope: str | None = None) -> dict[str, Any]:
    """Return the JSON record of a key, with its scope if that is not obvious."""
    fields: dict[str, Any] = {
        "key": entry.key,
        "value": entry.value,
        "version": entry.version,
        "updated_at": entry.updated_at,
    }
    if entry.expires_at is not None:
        fields["expires_at"] = entry.expires_at
    if scope is not None:
        fields["scope"] = scope
    return fields


def _separated(texts: Iterable[bytes]) -> Iterable[bytes]:
    separator = b""
    for text in texts:
        yield separator + text
        separator = b","


def _write_batches(env: Environment, pieces: Iterable[bytes]) -> None:
    batch: list[bytes] = []
    for piece in pieces:
        batch.append(piece)
        if len(batch) == _BATCH:
            env.write(b"".join(batch))
            batch.clear()
            if env.unread:
                return
    env.write(b"".join(batch))
