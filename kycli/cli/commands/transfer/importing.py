"""``import``: files to keys."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from kycli.core.operations.importing import NOTHING
from kycli.errors import UsageError
from kycli.transfer import formats
from kycli.transfer.importing import Given, Import, ImportOptions
from kycli.transfer.reading import ReadOptions

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_FIRST_SECONDS = 0.5
_PAUSE_SECONDS = 0.1


def import_files(env: Environment, arguments: list[str]) -> int:
    """``import FILE...``: import all of them or, without batches, none."""
    options = _options(env)
    _check_files(arguments, options)
    store = env.store(create=not options.dry_run)
    together = len(arguments) > 1 and options.batch is None and not options.resume
    done: list[Import] = []
    with store.transaction() if together and not options.dry_run else nullcontext():
        for name in arguments:
            given: Given = env.input_stream() if name == "-" else name
            work = Import(
                store, given, options, name="standard input" if name == "-" else name,
                progress=_progress(env, name),
            )  # fmt: skip
            try:
                work.run()
            except KeyboardInterrupt:
                env.status("")
                _explain_interrupt(env, work, name)
                raise
            finally:
                env.status("")
            done.append(work)
            if not together:
                _report(env, work)
    if together:
        for work in done:
            _report(env, work)
    if "json" in env.flags:
        from kycli.cli.commands.values.reading import write_json

        total = NOTHING
        for work in done:
            total = total.plus(work.done)
        write_json(env, {"files": len(done), **total._asdict()})
    return 0


def _options(env: Environment) -> ImportOptions:
    flags = env.flags
    columns = tuple(flags["columns"].split(",")) if "columns" in flags else ()
    return ImportOptions(
        format=flags.get("format"),
        read=ReadOptions(
            key_column=flags.get("key-column"),
            value_column=flags.get("value-column"),
            scope_column=flags.get("scope-column"),
            columns=columns,
            header="no-header" not in flags,
            delimiter={"\\t": "\t"}.get(flags.get("delimiter", ""), flags.get("delimiter")),
            quote=flags.get("quote"),
            encoding=flags.get("encoding"),
            table=flags.get("table"),
        ),
        scope=env.scope,
        ttl=flags.get("ttl"),
        prefix=flags.get("prefix", ""),
        on_conflict=flags.get("on-conflict", "overwrite"),
        on_error=flags.get("on-error", "skip" if "rejects" in flags else "stop"),
        rejects=flags.get("rejects"),
        batch=env.count("batch", 1),
        resume="resume" in flags,
        dry_run="dry-run" in flags,
    )


def _check_files(names: list[str], options: ImportOptions) -> None:
    """Raise for what can be known to be wrong before a database is made."""
    options.check()
    if len(names) > 1 and options.rejects is not None:
        raise UsageError("--rejects is for one file", hint="import one file at a time")
    if options.format is not None:
        formats.named(options.format)
    for name in names:
        if name != "-":
            os.stat(name)
            if options.format is None:
                formats.of_file(name)
        elif options.format is None:
            raise UsageError(
                "which format is standard input in?", hint=f"--format: {formats.READABLE}"
            )


def _progress(env: Environment, name: str) -> Callable[[int, int, int | None], None] | None:
    """Return a function that shows rows, rate and the time left; None if nobody would see it."""
    if not env.is_watched():
        return None
    start = time.monotonic()
    due = start + _FIRST_SECONDS

    def show(rows: int, position: int, size: int | None) -> None:
        nonlocal due
        now = time.monotonic()
        if now < due or not rows:
            return
        due = now + _PAUSE_SECONDS
        line = f"{os.path.basename(name)}: {rows:,} rows, {rows / (now - start):,.0f} rows/s"
        if size and position:
            line += f", {(now - start) / position * (size - position):.0f} s left"
        env.status(line)

    return show


def _report(env: Environment, work: Import) -> None:
    """Say what became of the rows of a file."""
    done = work.done
    parts = [
        f"{getattr(done, name):,} {name}"
        for name in ("created", "overwritten", "unchanged", "skipped", "rejected")
        if getattr(done, name)
    ]
    rows = f"{done.read:,} row" if done.read == 1 else f"{done.read:,} rows"
    would = " (nothing was changed)" if work.options.dry_run else ""
    if work.options.resume and work.resumed_at is None:
        env.note(f"{work.name}: there was no interrupted import, so it began at the start")
    if work.resumed_at is not None:
        rows += f" after the first {work.resumed_at:,}"
    env.note(f"{work.name}: {rows}{': ' if parts else ''}{', '.join(parts)}{would}")
    if work.first_rejection is not None:
        env.note(f"the first rejected: {work.first_rejection}")


def _explain_interrupt(env: Environment, work: Import, name: str) -> None:
    """Say what is kept of an import that the user interrupted, and how it goes on."""
    kept = work.committed
    if not kept:
        env.note("kycli: interrupted; nothing was imported")
        return
    env.note(f"kycli: interrupted; the first {kept:,} rows are kept")
    if work.can_resume:
        words = [*env.command.split(), name]
        for flag, value in env.flags.items():
            if flag not in ("resume", "batch", "quiet"):
                words += (
                    [f"--{flag}", value] if value or flag in ("quote", "prefix") else [f"--{flag}"]
                )
        words.append("--resume")
        env.note(f"hint: to go on: {shlex.join(words)}")
