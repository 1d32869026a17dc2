"""Ctrl-C between any two steps of a transaction's beginning and end."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kycli import Kycore
from kycli.shell.session import Session, SessionEnvironment


class _Interrupted:
    """A store in which one call is interrupted."""

    def __init__(self, store: Kycore, where: str) -> None:
        self._store = store
        self._where = where

    def trail(self, **parameters: Any) -> Any:
        if self._where == "trail":
            raise KeyboardInterrupt
        return self._store.trail(**parameters)

    def transaction(self) -> AbstractContextManager[Kycore]:
        return cast("AbstractContextManager[Kycore]", _Block(self._store, self._where))


class _Block:
    def __init__(self, store: Kycore, where: str) -> None:
        self._block = store.transaction()
        self._where = where

    def __enter__(self) -> Kycore:
        store = self._block.__enter__()
        if self._where == "enter":
            raise KeyboardInterrupt
        return store

    def __exit__(self, *error: Any) -> None:
        if self._where == "before exit":
            self._where = ""
            raise KeyboardInterrupt
        self._block.__exit__(*error)
        if self._where == "after exit":
            self._where = ""
            raise KeyboardInterrupt


def _begun(store: Kycore, where: str) -> Session:
    session = Session({})
    env = SimpleNamespace(store=lambda create: _Interrupted(store, where))
    session.begin(cast(SessionEnvironment, env))
    return session


@pytest.mark.parametrize("where", ["enter", "trail"])
def test_an_interrupted_begin_takes_no_lock(tmp_path: Path, where: str) -> None:
    with Kycore(tmp_path / "a.db") as store, Kycore(tmp_path / "a.db", busy_timeout_ms=0) as other:
        session = Session({})
        env = SimpleNamespace(store=lambda create: _Interrupted(store, where))
        with pytest.raises(KeyboardInterrupt):
            session.begin(cast(SessionEnvironment, env))
        assert session.transaction is None
        other.save("k", 1)
        _again(session, store)


@pytest.mark.parametrize("where", ["before exit", "after exit"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_an_interrupted_end_leaves_no_lock(tmp_path: Path, where: str, end: str) -> None:
    with Kycore(tmp_path / "a.db") as store, Kycore(tmp_path / "a.db", busy_timeout_ms=0) as other:
        session = _begun(store, where)
        store.save("staged", 1)
        with pytest.raises(KeyboardInterrupt):
            getattr(session, end)()
        assert session.transaction is None
        other.save("k", 1)
        is_kept = end == "commit" and where == "after exit"
        assert other.listkeys() == (["k", "staged"] if is_kept else ["k"])
        _again(session, store)


def _again(session: Session, store: Kycore) -> None:
    """A later transaction is like any other."""
    session.begin(cast(SessionEnvironment, SimpleNamespace(store=lambda create: store)))
    store.save("later", 1)
    session.commit()
    assert store.getkey("later") == 1
