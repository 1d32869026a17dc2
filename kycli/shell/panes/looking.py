"""The state of the browser: the selected scope, its keys, the selected key and its value."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kycli.errors import KycliError
from kycli.shell.panes.text import Line, counted, span, wrapped
from kycli.shell.panes.values import MOST_BYTES, NOTE, lines_of, type_of
from kycli.shell.panes.versions import Versions
from kycli.shell.panes.windows import KeyWindow, Window
from kycli.shell.panes.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.core.operations.excerpts import Preview
    from kycli.core.storage import Kycore
    from kycli.shell.state import State

Source: TypeAlias = Literal["keys", "removed", "words"]
"""Which keys are listed: those with a prefix, removed ones with a prefix, or search results."""

MOST_FOUND = 200
"""How many keys a full-text search lists."""
_SHARE = 10
"""What is done again after commits takes at most one part in so many of the time."""


class _Pacing:
    """When to do something again that takes long, while others commit all the time."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._due = 0.0
        self._began = 0.0
        self.is_wanted = True

    def is_due(self) -> bool:
        return self.is_wanted and time.monotonic() >= self._due

    def begin(self) -> None:
        self._began = time.monotonic()
        self._due = self._began + 60  # until the result has come
        self.is_wanted = False

    def end(self) -> None:
        now = time.monotonic()
        self._due = now + self._pause + (now - self._began) * _SHARE


class Looking:
    """What is looked at, read with the store of the user interface's thread.

    Methods that read raise the KycliError of the store.

    Parameters:
        redraw: called when the result of a search has come.

    Attributes:
        scope: the scope whose keys are listed.
        scopes: all scopes whose names hold ``filter``.
        keys: the listed keys.
        source: which keys these are.
        query: what was typed to find them.
        message: what there is to say about the list, such as that a search is under way.
        scroll: the first visible line of the value.
        versions: the history of the selected key, while it is shown.
    """

    def __init__(self, state: State, worker: Worker, redraw: Callable[[], None]) -> None:
        self._state = state
        self._worker = worker
        self._redraw = redraw
        self.scope = state.scope
        self.scopes: Window[str] = Window([self.scope])
        self.filter = ""
        self.keys: Window[str] = Window()
        self.source: Source = "keys"
        self.query = ""
        self.message = ""
        self.scroll = 0
        self.versions: Versions | None = None
        self._all_scopes: list[str] = []
        self._listing = _Pacing(0)
        self._searching = _Pacing(1)
        self._searched: tuple[str, str] | None = None
        self._preview: Preview | None = None
        self._event = ""  # what removed the key
        self._read_for: tuple[str, str | None, Source] | None = None
        self._lines: tuple[int, list[Line]] | None = None

    # Scopes

    def go_to(self, scope: str) -> None:
        """Look at another scope."""
        self.scope = scope
        self.source, self.query, self.message = "keys", "", ""
        self._worker.forget("search")
        self.versions = None
        self._show_scopes()
        self.load()

    def go_on(self) -> None:
        """Have the other thread do what commits have made necessary, if it is time."""
        if self._listing.is_due():
            self._list_scopes()
        if self.source == "words" and self._searching.is_due():
            self._search_words()

    def _list_scopes(self) -> None:
        self._listing.begin()

        def done(found: Any) -> None:
            self._listing.end()
            if not isinstance(found, list):
                self._listing.is_wanted = True
            elif found != self._all_scopes:
                self._all_scopes = found
                self._show_scopes()
                self._redraw()

        self._worker.ask("scopes", lambda store: store.scopes(), done, is_staged=True)

    def filter_scopes(self, text: str) -> None:
        """List only scopes whose names hold a text; the first of them is looked at."""
        self.filter = text
        self._show_scopes()
        if text and text not in self.scope and self.scopes.items:
            self.go_to(self.scopes.items[0])

    def _show_scopes(self) -> None:
        known = self._all_scopes
        if self.scope not in known:  # it is empty, or another process has dropped it
            known = sorted([*known, self.scope])
        shown = [scope for scope in known if self.filter in scope]
        self.scopes.replace(shown, shown.index(self.scope) if self.scope in shown else 0)

    @property
    def scope_is_known(self) -> bool:
        """Whether the scope holds keys, or something is declared of it."""
        return self.scope in self._all_scopes

    # Keys

    def load(self, around: str | None = None) -> None:
        """Read the keys around one, or the first ones."""
        if self.source == "words":
            self._search_words()
            return
        keys = KeyWindow(self._page, self._exists)
        if around is not None:
            keys.at, keys.top = self.keys.at, self.keys.top
        keys.load(around)
        self.keys = keys
        self.look()

    def _page(self, after: str | None, reverse: bool, limit: int) -> list[str]:
        store = self._state.reader()
        read = store.removed_keys if self.source == "removed" else store.listkeys
        return read(
            prefix=self.query, after=after, reverse=reverse, limit=limit, scope=self.scope
        )  # fmt: skip

    def _exists(self, key: str) -> bool:
        if not key.startswith(self.query):
            return False
        if self.source == "removed":
            store = self._state.reader()
            return key in store.removed_keys(prefix=key, limit=1, scope=self.scope)
        return self._state.reader().exists(key, scope=self.scope)

    def find(self, source: Source, query: str) -> None:
        """List the keys that a text stands for."""
        if source != "words":
            self._worker.forget("search")
        self.source, self.query, self.message, self._searched = source, query, "", None
        self.versions = None
        self.load()
        if source != "words" and not self.keys.items and query != query.lower():
            # A scope that ignores case has its keys in lower case.
            self.find(source, query.lower())

    def _search_words(self) -> None:
        words = self.query.strip()
        if not words:
            self._worker.forget("search")
            self.keys, self.message = Window(), "type words to search for"
            self.look()
            return
        # The last word is still being typed.
        query = f"{words}*" if words[-1].isalnum() else words
        scope = self.scope
        check = self._worker.checker("search")

        def progress(done: int, total: int) -> None:
            check()
            self.message = f"indexing: {done * 100 // max(1, total)} %"

        def work(store: Kycore) -> list[str]:
            hits = store.search_hits(
                query, scope=scope, limit=MOST_FOUND, keys_only=True, progress=progress
            )
            return [hit.key for hit in hits]

        def done(found: Any) -> None:
            self._searching.end()
            if isinstance(found, list):
                self.message = "" if found else "nothing found"
                selected = self.keys.selected
                if found != self.keys.items:
                    self.keys.replace(found, found.index(selected) if selected in found else 0)
            elif isinstance(found, KycliError):
                self.message = str(found)
            try:
                self.look()
            except KycliError as error:
                self.message = str(error)
            self._redraw()

        if isinstance(self.keys, KeyWindow):
            self.keys = Window()
        if (scope, query) != self._searched:
            self._searched, self.message = (scope, query), "searching …"
        self._searching.begin()
        self._worker.ask("search", work, done)
        self.look()

    def refresh(self) -> None:
        """Read again what is looked at: something was committed."""
        self._listing.is_wanted = self._searching.is_wanted = True
        if self.source != "words":
            self.load(self.keys.selected)
        if self.versions is not None:
            self.versions.load(self._state.reader())
        self._read_for = None
        self.look()

    # The value

    def look(self) -> None:
        """Read the selected key, unless it was read already."""
        wanted = (self.scope, self.keys.selected, self.source)
        if self._read_for == wanted:
            return
        if self._read_for is None or self._read_for[:2] != wanted[:2]:
            self.scroll = 0
        self._lines = None
        self._preview, self._event = self._read_value()
        self._read_for = wanted

    def _read_value(self) -> tuple[Preview | None, str]:
        key = self.keys.selected
        if key is None:
            return None, ""
        store = self._state.reader()
        found = store.preview(key, most=MOST_BYTES, scope=self.scope)
        if found is not None:
            return found, ""
        for event in store.trail(key, limit=2, scope=self.scope).events:
            found = store.preview(
                key, most=MOST_BYTES, version=event.version, scope=self.scope
            )  # fmt: skip
            if found is not None:
                return found, "removed"
        return None, "removed"

    @property
    def is_removed(self) -> bool:
        """Whether the selected key does not exist any more."""
        return bool(self._event)

    @property
    def expires_at(self) -> int | None:
        """When the selected key expires, in milliseconds since the epoch."""
        return None if self._preview is None or self._event else self._preview.expires_at

    def facts(self, now: int) -> str:
        """Return what there is to say of the selected key beside its value.

        Parameters:
            now: milliseconds since the epoch.
        """
        found = self._preview
        if self.keys.selected is None:
            return ""
        if found is None:
            return "gone; no value of it is kept"
        facts = [type_of(found.value), counted(found.value.size), f"version {found.version}"]
        if self._event:
            facts.insert(0, self._event)
        elif found.expires_at is not None:
            left = found.expires_at - now
            facts.append(f"expires in {span(left)}" if left > 0 else "has expired")
        return " · ".join(facts)

    def value_lines(self, columns: int) -> list[Line]:
        """Return the value, or what the selected version changed, as lines of so many columns."""
        if self.keys.selected is None and self.versions is None:
            return [[(NOTE, line)] for line in wrapped(self._nothing(), columns)]
        if self._lines is None or self._lines[0] != columns:
            self._lines = columns, self._made_lines(columns)
        return self._lines[1]

    def _made_lines(self, columns: int) -> list[Line]:
        if self.versions is not None:
            return self.versions.what_changed(self._state.reader(), columns)
        if self._preview is not None:
            return lines_of(self._preview.value, columns)
        return []

    def _nothing(self) -> str:
        """Return why there is no key."""
        if self.message:
            return ""
        if self.query:
            return "no such key"
        if self.source == "removed":
            return "no removed key can be restored"
        return "the scope holds no keys" if self.scope_is_known else "there is no such scope"

    # History

    def show_history(self) -> bool:
        """Show the history of the selected key; return whether there is one."""
        key = self.keys.selected
        if key is None:
            return False
        self.versions = Versions(self.scope, key)
        self.versions.load(self._state.reader())
        self.changed_version()
        return True

    def changed_version(self) -> None:
        """Have the value drawn anew, from its top: another version was selected, or none."""
        self.scroll, self._lines = 0, None
        if self.versions is not None:
            self.versions.read_older(self._state.reader())
