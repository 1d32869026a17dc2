"""The user interface: a thread that draws and reads keys.

It stays below the output of commands, also while one runs. Nothing here runs a command.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from prompt_toolkit.application import Application, in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, emacs_mode, has_focus, is_searching
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.key_binding.bindings.auto_suggest import load_auto_suggest_bindings
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    DynamicContainer,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
    to_container,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import (
    AppendAutoSuggestion,
    ConditionalProcessor,
    DisplayMultipleCursors,
    HighlightIncrementalSearchProcessor,
    HighlightSelectionProcessor,
)
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.search import stop_search
from prompt_toolkit.styles import Style
from prompt_toolkit.widgets import SearchToolbar

from kycli.cli.completing import Surroundings
from kycli.cli.terminal import cut, escaped, width
from kycli.shell.bar import bar, shown_seconds
from kycli.shell.editing import (
    CommandCompleter,
    CommandHistory,
    CommandLexer,
    Harmless,
    command_at,
    commands_of,
    highlighted,
    history_path,
)
from kycli.shell.feed import Echo, Said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.layout import Container

    from kycli.core.storage import Kycore
    from kycli.shell.facts import FactFinder
    from kycli.shell.feed import Feed
    from kycli.shell.interrupts import Interrupts
    from kycli.shell.panes import Pane
    from kycli.shell.state import State

STYLE = {
    "prompt": "bold ansigreen",
    "prompt.transaction": "bold ansiyellow",
    "prompt.more": "ansibrightblack",
    "command": "bold ansicyan",
    "flag": "ansiyellow",
    "value": "",
    "string": "ansigreen",
    "comment": "italic ansibrightblack",
    "unknown": "ansired",
    "escape": "ansimagenta",
    "auto-suggestion": "ansibrightblack",
    "bar": "reverse",
    "bar.scope": "reverse bold",
    "bar.transaction": "reverse bold ansiyellow",
    "bar.urgent": "reverse bold ansired",
    "bar.problem": "reverse bold ansired",
    "bar.mark": "reverse italic",
    "running": "ansibrightblack",
    "held": "bold",
    "completion-menu": "bg:#3a3f4b #ffffff",
    "completion-menu.completion": "bg:#3a3f4b #ffffff",
    "completion-menu.completion.current": "noreverse bold bg:#ffffff #000000",
    "completion-menu.meta.completion": "bg:#2c313a #c0c0c0",
    "completion-menu.meta.completion.current": "bg:#2c313a #ffffff",
}

_TICK_SECONDS = 0.25
_BATCH_SECONDS = 0.02
_WRITE_SECONDS = 0.015
"""How long writing to the terminal may take at once: a key waits for it."""

_LEAST_BATCH = 4096
_MOST_BATCH = 1 << 17
_SHOWN_AFTER = 0.3
_MENU_ROWS = 8
_ROWS_FOR_ALL = 16
"""How many rows a screen needs to have more than one pane."""


class _Terminal(Vt100_Output):
    """The terminal; what is written while it is held comes out at once, so nothing flickers."""

    held = False

    def flush(self) -> None:
        if not self.held:
            super().flush()


class Interface:
    """The user interface of a shell.

    Parameters:
        keys: ``emacs`` or ``vi``.
        run: takes the words of a command, and the line as it was typed.
        leave: called when the user wants to leave, with an error if there was one.
        has_more_to_do: returns whether what it was called with is still waiting.
        interrupt: called when the user wants to stop the command that runs.
        interrupts: what Ctrl-C does to the main thread.
    """

    def __init__(
        self,
        state: State,
        feed: Feed,
        facts: FactFinder,
        *,
        keys: str,
        run: Callable[[list[str], str], object],
        leave: Callable[..., object],
        has_more_to_do: Callable[[], bool],
        interrupt: Callable[[], object],
        interrupts: Interrupts,
    ) -> None:
        self._state = state
        self._feed = feed
        self._facts = facts
        self._run = run
        self._leave = leave
        self._has_more_to_do = has_more_to_do
        self._interrupt = interrupt
        self._interrupts = interrupts
        self._rows: int | None = None  # that output may still fill before it is held
        self._is_held = False  # whether a long result waits for a key
        self._batch = 1 << 16
        self._began = 0.0
        self._awake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends = False
        self._left: asyncio.Event | None = None  # while the main thread has the terminal
        self._is_hidden = False
        self._scope = state.scope
        self._panes: list[Pane] = []  # made when the first one is asked for
        self._shown: list[Pane] = []
        self._entered: Pane | None = None  # the one that had the keys last
        self._area: tuple[tuple[Pane, ...], Container] = (), Window(height=0)
        self._output = cast(_Terminal, _Terminal.from_pty(sys.stdout))
        self._output.enable_cpr = False  # it is not needed, and not every terminal answers
        self._style = Style.from_dict(STYLE)
        self._buffer = Buffer(
            completer=CommandCompleter(
                Surroundings(lambda: state.scope, self._delimiter, self._store)
            ),
            history=CommandHistory(history_path()),
            auto_suggest=AutoSuggestFromHistory(),
            multiline=True,
            enable_history_search=True,
            accept_handler=self._accept,
            tempfile_suffix=".kycli",
        )
        self._app = self._application(keys)
        self._thread = threading.Thread(target=self._work, name="interface", daemon=True)

    # For the main thread

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Remove the interface from the screen."""
        self._ends = True
        self.resume()  # a signal may have come before the command could
        self.wake()
        self._thread.join(5)

    def wake(self) -> None:
        """Have the screen brought up to date."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._awake.set)

    def announce(self) -> None:
        """Have the panes and the screen brought up to date, after a change of the state."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed, context=self._app.context)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the terminal to a command during a block; nested blocks count as one."""
        if self._left is not None or self._loop is None:
            yield
            return
        loop, entered, left = self._loop, threading.Event(), asyncio.Event()

        async def away() -> None:
            self._state.close_reader()
            self._is_hidden = True
            try:
                async with in_terminal():
                    # prompt_toolkit erases the screen when its size changes, whoever has it.
                    self._output.held = True
                    entered.set()
                    try:
                        await left.wait()
                    finally:
                        self._output.held = False
            finally:
                self._is_hidden = False
                self._awake.set()

        self._left = left
        self._state.is_away = True
        try:
            with self._interrupts.delayed():
                for pane in self._panes:
                    pane.pause()
                loop.call_soon_threadsafe(
                    lambda: self._app.create_background_task(away()), context=self._app.context
                )
                while not entered.wait(0.2):
                    if not self._thread.is_alive():
                        raise EOFError
            yield
        finally:
            self.resume()

    def resume(self) -> None:
        """Take the terminal back, if a command had it."""
        if self._left is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._left.set)
        self._left = None
        self._state.is_away = False
        for pane in self._panes:
            pane.resume()

    def prompt_text(self) -> str:
        """Return what stands before a command line."""
        mark = "*" if self._state.transaction is not None else ""
        columns = self._output.get_size().columns
        scope = cut(escaped(self._state.scope), max(8, columns // 2))
        return f"{scope}{mark}> "

    # The thread

    def _work(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._leave(error)
        finally:
            self._loop = None
            for pane in self._panes:
                pane.close()
            self._state.close_reader()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()

        async def pump() -> None:
            try:
                await self._pump()
                self._app.exit()
            except Exception as error:
                self._app.exit(exception=error)

        def begin() -> None:
            self._app.create_background_task(pump())

        await self._app.run_async(pre_run=begin, handle_sigint=False, set_exception_handler=False)

    async def _pump(self) -> None:
        """Show what the commands print, and keep the screen up to date."""
        # prompt_toolkit first looks at the size some time after it has begun.
        drawn_for = self._output.get_size()
        while not self._ends:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), _TICK_SECONDS)
            is_woken = self._awake.is_set()  # perhaps only as the time was over
            self._awake.clear()
            if self._is_hidden:
                continue
            if not is_woken:
                self._refresh_panes()
            size = self._output.get_size()
            rows = self._rows if self._state.pages else None
            items = self._feed.take(self._batch, rows, size.columns)
            was_held, self._is_held = self._is_held, not items and self._feed.is_waiting()
            if self._is_held and self._has_more_to_do():
                self._feed.drop()  # what was typed meanwhile is wanted instead
                self._is_held = False
            if items:
                self._print(items)
                if self._feed.is_waiting():
                    self._awake.set()
                await asyncio.sleep(_BATCH_SECONDS)
            elif (
                is_woken
                or drawn_for != size
                or was_held != self._is_held
                or self._state.running
                or self._state.transaction is not None
            ):
                drawn_for = size
                self._app.invalidate()  # or time is shown, which goes on

    def _print(self, items: list[str | Echo | Said]) -> None:
        """Print above the interface."""
        app, output = self._app, self._output
        began = time.monotonic()
        output.held = True
        try:
            app.renderer.erase()
            for item in items:
                if isinstance(item, Echo):
                    self._print_echo(item)
                    self._page()
                    self._began = began
                elif isinstance(item, Said):
                    output.write_raw(f"{item.text}\n")
                    self._page()
                else:
                    output.write_raw(item)
                    if self._rows is not None:
                        self._rows = max(0, self._rows - self._rows_of(item))
            output.write_raw("\x1b[m")
            app.render_counter += 1  # else controls show what they showed at the last drawing
            app.renderer.render(app, app.layout)
        finally:
            output.held = False
            output.flush()
        took = time.monotonic() - began
        if took > _WRITE_SECONDS:
            self._batch = max(_LEAST_BATCH, self._batch // 2)
        elif len(items) and self._feed.is_waiting():
            self._batch = min(_MOST_BATCH, self._batch * 2)

    def _rows_of(self, text: str) -> int:
        columns = self._output.get_size().columns
        return sum(max(1, -(-width(line) // columns)) for line in text.split("\n")[:-1])

    def _page(self) -> None:
        """Let as much of the output pass as there is room for above the prompt."""
        size = self._output.get_size()
        panes = self._pane_area().preferred_height(size.columns, size.rows).preferred
        self._rows = max(1, size.rows - panes - 4)

    def _print_echo(self, echo: Echo) -> None:
        fragments: StyleAndTextTuples = [(self._prompt_style(), echo.prompt)]
        for style, text in highlighted(echo.line):
            fragments.append((style, escaped(text, keep="\n").replace("\n", "\n... ")))
        fragments.append(("", "\n"))
        print_formatted_text(
            self._output, fragments, self._style, color_depth=self._app.color_depth
        )

    def _changed(self) -> None:
        """Take note that a command has ended."""
        if self._scope != self._state.scope:
            self._scope = self._state.scope
            for pane in self._panes:
                pane.follow(self._scope)
        self._refresh_panes()
        self._awake.set()

    # Panes

    def _toggle(self, key: str) -> None:
        """Show a pane and give it the keys; hide it if it has them."""
        if not self._panes:
            from kycli.shell.panes import panes

            self._panes = panes(self._state, self._focus_prompt)
        for pane in self._panes:
            if pane.toggle_key != key:
                continue
            is_new = pane not in self._shown
            if is_new or not self._app.layout.has_focus(pane.focus):
                self._entered = pane
            else:
                self._entered = None
            if is_new or self._entered is None:
                self._shown = [p for p in self._panes if (p in self._shown) != (p is pane)]
            if is_new:
                pane.refresh()
            if self._entered is None:
                self._focus_prompt()
            else:
                self._app.layout.focus(pane.focus)

    def _pane_area(self) -> Container:
        """Return what holds the panes; on a low screen that is one of them, the one last used."""
        shown = tuple(self._shown)
        if self._output.get_size().rows < _ROWS_FOR_ALL and len(shown) > 1:
            shown = (self._entered if self._entered in shown else shown[0],)
        if shown != self._area[0]:
            panes = [pane.container for pane in shown]
            area = HSplit(panes, height=self._area_height) if panes else Window(height=0)
            self._area = shown, area
        return self._area[1]

    def _area_height(self) -> Dimension:
        """Let several panes together leave as much of the screen to the output as one does."""
        size = self._output.get_size()
        wanted = sum(
            to_container(pane.container).preferred_height(size.columns, size.rows).preferred
            for pane in self._area[0]
        )
        most = max(size.rows // 5 * 3, 1) if len(self._area[0]) > 1 else wanted
        return Dimension(min=0, preferred=min(wanted, most), max=min(wanted, most))

    def _refresh_panes(self) -> None:
        for pane in self._shown:
            pane.refresh()

    def _focus_prompt(self) -> None:
        self._app.layout.focus(self._buffer)

    # What is on the screen

    def _application(self, keys: str) -> Application[None]:
        search = SearchToolbar(ignore_case=True)
        control = BufferControl(
            self._buffer,
            lexer=CommandLexer(),
            search_buffer_control=search.control,
            include_default_input_processors=False,
            preview_search=True,
            input_processors=[
                HighlightIncrementalSearchProcessor(),
                HighlightSelectionProcessor(),
                ConditionalProcessor(AppendAutoSuggestion(), has_focus(self._buffer)),
                DisplayMultipleCursors(),
                Harmless(),
            ],
        )
        self._input = Window(
            control,
            height=self._input_height,
            get_line_prefix=self._line_prefix,
            wrap_lines=True,
            dont_extend_height=True,
        )
        status = Window(
            FormattedTextControl(self._bar), height=1, style="class:bar", dont_extend_height=True
        )
        running = ConditionalContainer(
            Window(FormattedTextControl(self._progress), height=1, dont_extend_height=True),
            Condition(lambda: bool(self._progress())),
        )
        body = FloatContainer(
            HSplit(
                [
                    self._input,
                    search,
                    DynamicContainer(self._pane_area),
                    running,
                    status,
                ]
            ),
            [
                Float(
                    CompletionsMenu(max_height=_MENU_ROWS, scroll_offset=1),
                    xcursor=True,
                    ycursor=True,
                )
            ],
        )
        app: Application[None] = Application(
            Layout(body, self._input),
            style=self._style,
            include_default_pygments_style=False,
            key_bindings=merge_key_bindings([load_auto_suggest_bindings(), self._bindings()]),
            editing_mode=EditingMode.VI if keys == "vi" else EditingMode.EMACS,
            reverse_vi_search_direction=True,  # '/' looks in the history, which is above
            erase_when_done=True,
            output=self._output,
            terminal_size_polling_interval=_TICK_SECONDS,
            color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
            before_render=self._shrink,
        )
        app.ttimeoutlen = 0.05
        return app

    def _shrink(self, app: Application[Any]) -> None:
        """Begin anew when the interface has become lower: nothing must stay below it."""
        screen, size = app.renderer.last_rendered_screen, self._output.get_size()
        if screen is None:
            return
        wanted = app.layout.container.preferred_height(size.columns, size.rows).preferred
        if screen.height > wanted:
            app.renderer.erase()

    def _input_height(self) -> Dimension:
        state = self._buffer.complete_state
        if state is None:
            return Dimension(min=1)
        rows = self._buffer.document.cursor_position_row + 1
        return Dimension(min=rows + min(_MENU_ROWS, len(state.completions)))

    def _line_prefix(self, line: int, wrap: int) -> StyleAndTextTuples:
        if line or wrap:
            return [("class:prompt.more", "... ")]
        return [(self._prompt_style(), self.prompt_text())]

    def _prompt_style(self) -> str:
        staged = self._state.transaction is not None
        return "class:prompt.transaction" if staged else "class:prompt"

    def _bar(self) -> StyleAndTextTuples:
        mode = ""
        if self._app.editing_mode == EditingMode.VI:
            inserts = self._app.vi_state.input_mode == InputMode.INSERT
            mode = "-- INSERT --" if inserts else "-- NORMAL --"
        return bar(self._state, self._facts.facts, self._output.get_size().columns, mode)

    def _progress(self) -> StyleAndTextTuples:
        columns = self._output.get_size().columns - 1
        if self._is_held:
            keys = "-- more -- Space: next screen, End: the rest, ^C: stop"
            return [("class:held", cut(keys, columns))]
        state = self._state
        if not state.running or time.monotonic() - self._began < _SHOWN_AFTER:
            return []
        seconds = shown_seconds(time.monotonic() - self._began, whole=True)
        what = state.progress or state.running.strip().partition("\n")[0]
        head = f"{seconds}  ^C stops  "
        text = cut(escaped(what), max(4, columns - len(head)))
        return [("class:running", cut(head + text, columns))]

    # Keys

    def _bindings(self) -> KeyBindings:
        keys = KeyBindings()
        at_prompt = has_focus(self._buffer)
        is_empty = Condition(lambda: not self._buffer.text)
        is_held = Condition(lambda: self._is_held)

        @keys.add("enter", filter=at_prompt & ~is_searching)
        def accept(event: KeyPressEvent) -> None:
            buffer = self._buffer
            state = buffer.complete_state
            if state is not None and state.current_completion is not None:
                buffer.complete_state = None
                return
            if commands_of(buffer.text)[1] and buffer.text.strip():
                buffer.newline(copy_margin=False)
            else:
                buffer.validate_and_handle()

        @keys.add("escape", "enter", filter=at_prompt & emacs_mode)
        def newline(event: KeyPressEvent) -> None:
            self._buffer.newline(copy_margin=False)

        @keys.add("c-c")
        def stop(event: KeyPressEvent) -> None:
            if self._state.running:
                self._feed.drop()
                self._interrupt()
                return  # what is typed meanwhile stays
            if is_searching():
                stop_search()
            elif self._buffer.text:
                self._feed.echo(self.prompt_text(), f"{self._buffer.text}^C")
            self._buffer.reset()
            event.app.vi_state.reset()
            event.app.layout.focus(self._buffer)

        @keys.add("c-d", filter=at_prompt & is_empty & ~is_held)
        def leave(event: KeyPressEvent) -> None:
            self._leave()
            self._awake.set()

        @keys.add("c-z", filter=at_prompt)
        def suspend(event: KeyPressEvent) -> None:
            event.app.suspend_to_background()

        @keys.add("f2")
        def browser(event: KeyPressEvent) -> None:
            self._toggle("f2")

        @keys.add("f3")
        def trail(event: KeyPressEvent) -> None:
            self._toggle("f3")

        @keys.add("f1")
        def explain(event: KeyPressEvent) -> None:
            self._explain()

        @keys.add(" ", filter=at_prompt & is_empty & is_held)
        @keys.add("enter", filter=at_prompt & is_empty & is_held)
        @keys.add("c-d", filter=at_prompt & is_empty & is_held)
        @keys.add("pagedown", filter=is_held)
        def more(event: KeyPressEvent) -> None:
            self._page()
            self._awake.set()

        @keys.add("end", filter=at_prompt & is_empty & is_held)
        def rest(event: KeyPressEvent) -> None:
            self._rows = None
            self._awake.set()

        return keys

    def _accept(self, buffer: Buffer) -> bool:
        text = buffer.text
        commands, _ = commands_of(text)
        if not commands:
            self._feed.echo(self.prompt_text(), text)
        elif len(commands) == 1:
            self._run(commands[0], text)
        else:
            for line, words in _separate(text):
                self._run(words, line)
        self._app.vi_state.reset()
        self._awake.set()
        return False

    def _explain(self) -> None:
        from kycli.cli.commands import known
        from kycli.cli.env import Environment
        from kycli.cli.help import page

        command = command_at(self._buffer.document.text_before_cursor) or known("shell")
        env = Environment()
        self._feed.say(page(env, command).rstrip("\n"))

    # What completion looks at

    def _store(self, database: str | None) -> Kycore | None:
        state = self._state
        if database:
            return None
        return state.committed() if state.is_occupied else state.reader()

    def _delimiter(self) -> str:
        from kycli.config import load_config

        return load_config().ns_delim


def _separate(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a text of several, as it was typed and in words."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines.append(line)
        commands, goes_on = commands_of("\n".join(lines))
        if not goes_on:
            if commands:
                yield "\n".join(lines), commands[0]
            lines = []
    if lines:
        commands, _ = commands_of("\n".join(lines))
        if commands:
            yield "\n".join(lines), commands[0]
