"""The pane for browsing scopes and keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys

from kycli.errors import KycliError
from kycli.shell.panes.control import (
    ALERT,
    QUIET,
    TITLE,
    body_height,
    frame,
    has_focus,
    help_line,
    redraw,
)
from kycli.shell.panes.looking import Looking
from kycli.shell.panes.pane import Pane
from kycli.shell.panes.picture import KEYS, SCOPES, VALUE, body
from kycli.shell.panes.reading import Reader, problem_lines
from kycli.shell.panes.text import Line, cut, fit, safe, width
from kycli.shell.panes.trail import staged
from kycli.shell.panes.worker import Worker
from kycli.shell.state import OccupiedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.key_binding.key_processor import KeyPressEvent

    from kycli.core.storage import Kycore
    from kycli.shell.panes.looking import Source
    from kycli.shell.state import State

_HELP = (
    *("↑↓ key", "/ find", "e edit", "d delete", "h history", "r restore", "? words", "Tab column"),
    *("x removed", "u use", "Esc back"),
)
_HELP_IN_SCOPES = ("↑↓ scope", "Enter keys", "/ find", "u use", "Tab column", "Esc back")
_HELP_IN_VALUE = ("↑↓ scroll", "e edit", "d delete", "h history", "r restore", "Esc back")
_HELP_IN_HISTORY = ("↑↓ version", "r restore it", "c compare with now", "Tab column", "Esc back")
_HELP_IN_REMOVED = ("↑↓ key", "r restore", "h history", "/ find", "x all keys", "Esc back")
_HELP_IN_SEARCH = "Enter done  Tab keys/words  Esc give up "


class Browser(Pane):
    """Scopes at the left, the keys of one of them, and the value of one of these."""

    title = "browser"
    toggle_key = "f2"
    share = 0.55
    most = 40

    def __init__(self, state: State, leave: Callable[[], None]) -> None:
        super().__init__(state, leave)
        self._worker = Worker(state)
        self._reader = Reader(state)
        self._looking = Looking(state, self._worker, redraw)
        self._focus = KEYS
        self._typed: str | None = None
        self._typing: Source = "keys"
        self._question: tuple[str, list[str]] | None = None
        self._height = 1
        self._drawn = ""

    def follow(self, scope: str) -> None:
        self._looking.scope = scope
        self._typed = self._question = None
        self._looking.filter = ""
        self._focus = KEYS
        self._reader.forget()

    def pause(self) -> None:
        self._worker.pause()

    def resume(self) -> None:
        self._worker.resume()

    def close(self) -> None:
        self._worker.close()

    def refresh(self) -> None:
        changed = self._reader.read(self._read)
        self._looking.go_on()
        # What changes by itself: how long a key has left, how far a search is.
        left = self._looking.expires_at
        shown = f"{self._looking.message} {left and (left - time.time_ns() // 1_000_000) // 1000}"
        if left is not None and left <= time.time_ns() // 1_000_000:
            changed = self._do(self._looking.refresh) or changed
        if changed or shown != self._drawn:
            self._drawn = shown
            redraw()

    def _read(self, store: Kycore, is_new: bool, is_other: bool) -> bool:
        if is_other:
            self._looking.go_to(self._looking.scope)
        if is_new:
            self._looking.refresh()
        return is_new

    def _do(self, action: Callable[[], object]) -> bool:
        """Do what a key asks for; the pane shows what is wrong with the database."""
        try:
            action()
        except KycliError as error:
            if not isinstance(error, OccupiedError):
                self._reader.forget()
            self._reader.problem = f"{error}; {error.hint}" if error.hint else str(error)
        redraw()
        return True

    # Drawing

    def draw(self, columns: int, lines: int) -> tuple[list[Line], int | None]:
        self._height = body_height(lines)
        shown = problem_lines(self._reader.problem, columns)
        if not shown:
            active = has_focus(self.control)
            try:
                shown = body(self._looking, self._focus, columns, self._height, active)
            except KycliError as error:
                shown = problem_lines(str(error), columns)
        foot, cursor = self._foot(columns)
        title: Line = [(TITLE, fit(f" {self._heading()}", columns))]
        if lines < 5 and (self._question or self._typed is not None):
            return [*shown[: lines - 1], foot], cursor
        return frame(title, shown, foot, lines), cursor

    def _heading(self) -> str:
        looking = self._looking
        parts = [self.title, safe(looking.scope)]
        if looking.versions is not None:
            parts.append(f"history of {safe(looking.versions.key)}")
        elif looking.source == "removed":
            parts.append("removed keys")
        elif looking.source == "words":
            parts.append(f"search: {safe(looking.query)}")
        elif looking.query:
            parts.append(f"{safe(looking.query)}…")
        if looking.message:
            parts.append(safe(looking.message))
        if self.state.transaction is not None:
            parts.append(staged(self.state.transaction))
            if looking.source == "words":
                parts.append("found in what is committed")
        return " · ".join(parts)

    def _foot(self, columns: int) -> tuple[Line, int | None]:
        """Return the last line, and where the cursor is in it."""
        if self._question is not None:
            answer = " y/n "
            text = cut(f" {self._question[0]}", columns - len(answer))
            return [(ALERT, text + answer)], width(text + answer)
        if self._typed is not None:
            label = " scopes with: " if self._focus == SCOPES else (
                " words: " if self._typing == "words" else " keys from: "
            )  # fmt: skip
            typed = safe(self._typed)
            while width(label + typed) >= columns and typed:
                typed = typed[1:]
            line: Line = [(ALERT, label), ("", typed)]
            room = columns - width(label + typed) - len(_HELP_IN_SEARCH)
            if room > 4:
                line.append((QUIET, " " * room + _HELP_IN_SEARCH))
            return line, width(label + typed)
        return help_line([*self._help()], columns), None

    def _help(self) -> tuple[str, ...]:
        if self._looking.versions is not None:
            return _HELP_IN_HISTORY
        if self._focus == SCOPES:
            return _HELP_IN_SCOPES
        if self._focus == VALUE:
            return _HELP_IN_VALUE
        return _HELP_IN_REMOVED if self._looking.source == "removed" else _HELP

    # Keys

    def keys(self) -> KeyBindings:
        keys = KeyBindings()
        asking = Condition(lambda: self._question is not None)
        typing = Condition(lambda: self._question is None and self._typed is not None)
        browsing = Condition(lambda: self._question is None and self._typed is None)

        def on(*names: str, when: Condition = browsing) -> Callable[[Callable[[], object]], None]:
            def bind(action: Callable[[], object]) -> None:
                for name in names:

                    @keys.add(name, filter=when, eager=name == "escape")
                    def _(event: KeyPressEvent) -> None:
                        self._do(action)

            return bind

        on("up", "k")(lambda: self._move(-1))
        on("down", "j")(lambda: self._move(1))
        on("up", when=typing)(lambda: self._move(-1))
        on("down", when=typing)(lambda: self._move(1))
        on("pageup")(lambda: self._move(-max(1, self._height - 1)))
        on("pagedown")(lambda: self._move(max(1, self._height - 1)))
        on("home")(lambda: self._go(first=True))
        on("end")(lambda: self._go(first=False))
        on("tab", "right", "l")(lambda: self._move_columns(1))
        on("s-tab", "left")(lambda: self._move_columns(-1))
        on("enter")(lambda: self._move_columns(1, stop=True))
        on("escape", "q")(self._back)
        on("/")(lambda: self._begin_search("keys"))
        on("?")(lambda: self._begin_search("words"))
        on("e")(self._edit)
        on("d", "delete")(self._delete)
        on("r")(self._restore)
        on("h")(self._history)
        on("x")(self._toggle_removed)
        on("c")(self._compare)
        on("u")(lambda: self.state.submit(["use", self._looking.scope]))

        on("y", "Y", when=asking)(lambda: self._answer(True))
        on("n", "N", "escape", "c-c", "enter", when=asking)(lambda: self._answer(False))

        on("escape", "c-c", when=typing)(self._cancel_search)
        on("enter", when=typing)(self._end_search)
        on("tab", when=typing)(self._switch_search)
        on("backspace", when=typing)(lambda: self._type((self._typed or "")[:-1]))
        on("c-u", when=typing)(lambda: self._type(""))
        on("c-w", when=typing)(
            lambda: self._type((self._typed or "").rstrip().rpartition(" ")[0])
        )  # fmt: skip

        @keys.add(Keys.Any, filter=typing)
        @keys.add(Keys.BracketedPaste, filter=typing)
        def _(event: KeyPressEvent) -> None:
            # What is no text is no part of a key, except by its escape, which nobody means.
            text = "".join(c for c in event.data if c.isprintable())
            self._do(lambda: self._type((self._typed or "") + text))

        @keys.add(Keys.Any, filter=asking | browsing)
        @keys.add(Keys.BracketedPaste, filter=asking | browsing)
        def _(event: KeyPressEvent) -> None:
            pass  # it is not meant for the prompt

        return keys

    def _move(self, lines: int) -> None:
        looking = self._looking
        if self._focus == SCOPES:
            looking.scopes.move(lines)
            self._took_scope()
        elif self._focus == VALUE:
            looking.scroll = max(0, looking.scroll + lines)
        elif looking.versions is not None:
            looking.versions.move(lines)
            looking.changed_version()
        else:
            looking.keys.move(lines)
            looking.look()

    def _go(self, *, first: bool) -> None:
        looking = self._looking
        if self._focus == VALUE:
            looking.scroll = 0 if first else 1 << 30
            return
        if self._focus == SCOPES:
            listed: tuple[Callable[[], None], Callable[[], None]]
            listed = looking.scopes.go_first, looking.scopes.go_last
        elif looking.versions is not None:
            listed = looking.versions.go_first, looking.versions.go_last
        else:
            listed = looking.keys.go_first, looking.keys.go_last
        listed[not first]()
        self._move(0)

    def _took_scope(self) -> None:
        scope = self._looking.scopes.selected
        if scope is not None and scope != self._looking.scope:
            self._looking.go_to(scope)

    def _move_columns(self, columns: int, *, stop: bool = False) -> None:
        """Go to another column; behind the last one follows the first, or nothing."""
        if stop:
            self._focus = min(VALUE, self._focus + columns)
            return
        first = KEYS if self._looking.versions is not None else SCOPES
        self._focus = first + (self._focus - first + columns) % (VALUE - first + 1)

    def _back(self) -> None:
        """Leave what was entered last: the history, a search, and then the pane."""
        looking = self._looking
        if looking.versions is not None:
            looking.versions = None
            looking.changed_version()
            self._focus = KEYS
        elif self._focus == SCOPES and looking.filter:
            looking.filter_scopes("")
        elif looking.source != "keys" or looking.query:
            looking.find("keys", "")
        elif self._focus == VALUE:
            self._focus = KEYS
        else:
            self.leave()

    # Searching

    def _begin_search(self, source: Source) -> None:
        looking = self._looking
        self._typing = source
        if self._focus == SCOPES and source == "keys":
            self._typed = looking.filter
            return
        self._focus = KEYS
        kept = "removed" if looking.source == "removed" and source == "keys" else source
        self._typing = kept
        self._typed = looking.query if looking.source == kept else ""
        looking.find(kept, self._typed)

    def _type(self, text: str) -> None:
        if self._typed is None:
            return
        self._typed = text
        if self._focus == SCOPES:
            self._looking.filter_scopes(text)
        else:
            self._looking.find(self._typing, text)

    def _switch_search(self) -> None:
        if self._focus != SCOPES:
            self._typing = "keys" if self._typing == "words" else "words"
            self._type(self._typed or "")

    def _end_search(self) -> None:
        self._typed = None

    def _cancel_search(self) -> None:
        self._typed = None
        if self._focus == SCOPES:
            self._looking.filter_scopes("")
        else:
            self._looking.find("keys", "")

    # Changing, by command lines

    def _selected(self) -> str | None:
        versions = self._looking.versions
        return versions.key if versions is not None else self._looking.keys.selected

    def _words(self, command: str, *flags: str) -> list[str]:
        return ["ky", command, "--scope", self._looking.scope, *flags, "--", self._selected() or ""]

    def _edit(self) -> None:
        if self._selected() is not None and not self._looking.is_removed:
            self.state.submit(self._words("edit"))

    def _delete(self) -> None:
        if self._selected() is not None and not self._looking.is_removed:
            self._question = f"delete {self._named()}?", self._words("del")

    def _restore(self) -> None:
        if self._selected() is None:
            return
        versions = self._looking.versions
        event = None if versions is None else versions.selected
        if event is not None:
            question = f"restore version {event.version} of {self._named()}?"
            words = self._words("restore", "--version", str(event.version))
        elif self._looking.is_removed:
            question, words = f"restore {self._named()}?", self._words("restore")
        else:
            question = f"restore the value before of {self._named()}?"
            words = self._words("restore")
        self._question = question, words

    def _named(self) -> str:
        return f"'{cut(safe(self._selected() or ''), 60)}'"

    def _answer(self, yes: bool) -> None:
        question, self._question = self._question, None
        if question is not None and yes:
            self.state.submit(question[1])

    def _history(self) -> None:
        if self._looking.versions is not None:
            self._back()
            return
        if self._looking.show_history():
            self._focus = KEYS

    def _compare(self) -> None:
        versions = self._looking.versions
        if versions is not None:
            versions.with_now = not versions.with_now
            self._looking.changed_version()

    def _toggle_removed(self) -> None:
        if self._looking.versions is None:
            removed = self._looking.source == "removed"
            self._focus = KEYS
            self._looking.find("keys" if removed else "removed", "")
