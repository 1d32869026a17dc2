"""``import``: files to keys."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kycli.cli.commands.transfer.exporting import counted
from kycli.cli.progress import progress
from kycli.core.operations.importing import NOTHING
from kycli.errors import FormatError, KycliError, UsageError
from kycli.transfer import formats
from kycli.transfer.importing import BusyWait, Given, Import, ImportOptions, format_of
from kycli.transfer.reading import ReadOptions
from kycli.transfer.restoring import Restore, importer
from kycli.transfer.sources import is_pipe

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_FIRST_SECONDS = 0.5
_PAUSE_SECONDS = 0.1
_BUSY_SECONDS = 600


def import_files(env: Environment, arguments: list[str]) -> int:
    """``import FILE...``: import all of them or, without batches, none."""
    options = _options(env)
    _check_files(arguments, options)
    store = env.store(create=not options.dry_run)
    together = len(arguments) > 1 and not (options.batch or options.resume or options.dry_run)
    works: list[Import | Restore] = []
    busy_wait = BusyWait(_BUSY_SECONDS, lambda error: env.status(f"waiting: {error}"))

    def prepared(name: str) -> Import | Restore:
        given: Given = env.input_stream() if name == "-" else name
        wanted = options
        if format_of(given, options).name == "kycli" and not env.scope_is_fixed:
            wanted = options._replace(scope=None)  # each key goes into its own
        work = importer(
            store, given, wanted, name="standard input" if name == "-" else name,
            progress=_progress(env, name), busy_wait=busy_wait,
        )  # fmt: skip
        works.append(work)
        return work

    done: list[Import | Restore] = []
    try:
        # What a pipe gives is taken before others have to wait for this transaction.
        pipes = {n: prepared(n) for n in arguments if together and (n == "-" or is_pipe(n))}
        with ExitStack() as block:
            if together:
                busy_wait.wait_for(lambda: block.enter_context(store.transaction()))
            for name in arguments:
                work = pipes.pop(name, None) or prepared(name)
                work.run()
                env.status("")
                done.append(work)
                if not together:
                    _report(env, work)
    except BaseException as error:
        env.status("")
        if isinstance(error, KeyboardInterrupt) or options.batch or options.resume:
            _explain_failure(env, error, works[-1] if len(works) > len(done) else None, arguments,
                             len(done) if not together else 0)  # fmt: skip
        raise
    finally:
        for work in works:
            work.close()
    if together:
        for work in done:
            _report(env, work)
    if "json" in env.flags:
        from kycli.cli.commands.values.reading import write_json

        total = NOTHING
        for work in done:
            total = total.plus(work.done)
        write_json(env, {"files": len(done), **total._asdict()})
    if "index" in env.flags and not options.dry_run:
        _update_index(env)
    return 0


def _update_index(env: Environment) -> None:
    """Update the search index, after what was imported is committed and reported."""
    try:
        with progress(env, "indexing") as show:
            env.store().update_index(progress=show)
    except KeyboardInterrupt:
        env.note("kycli: interrupted; the rows are kept, and the next search finishes the index")
        raise


def _options(env: Environment) -> ImportOptions:
    flags = env.flags
    columns = tuple(flags["columns"].split(",")) if "columns" in flags else ()
    return ImportOptions(
        format=flags.get("format"),
        read=ReadOptions(
            key_column=flags.get("key-column"),
            value_column=flags.get("value-column"),
            scope_column=flags.get("scope-column"),
            time_column=flags.get("time-column"),
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
        values_only="values-only" in flags,
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
        if now < due:
            return
        due = now + _PAUSE_SECONDS
        if not rows:
            if position:
                env.status(f"{os.path.basename(name)}: {position / 1e6:,.0f} MB")
            return
        line = f"{os.path.basename(name)}: {rows:,} rows, {rows / (now - start):,.0f} rows/s"
        if size and position:
            line += f", {(now - start) / position * (size - position):.0f} s left"
        env.status(line)

    return show


def _report(env: Environment, work: Import | Restore) -> None:
    """Say what became of the rows of a file."""
    if isinstance(work, Restore):
        _report_restore(env, work)
        return
    done = work.done
    parts = [
        f"{getattr(done, name):,} {name}"
        for name in ("created", "overwritten", "unchanged", "skipped", "rejected")
        if getattr(done, name)
    ]
    rows = f"{done.read:,} row" if done.read == 1 else f"{done.read:,} rows"
    would = " (nothing was changed)" if work.options.dry_run else ""
    if work.missing == "all":
        env.note(f"{work.name}: what had been imported is gone, so it began at the start")
    elif work.options.resume and work.resumed_at is None:
        env.note(f"{work.name}: there was no interrupted import, so it began at the start")
    if work.missing == "some":
        env.note(f"{work.name}: some of the keys imported before are gone, and stay so")
    if work.resumed_at is not None:
        rows += f" after the first {work.resumed_at:,}"
    env.note(f"{work.name}: {rows}{': ' if parts else ''}{', '.join(parts)}{would}")
    if work.first_rejection is not None:
        env.note(f"the first rejected: {work.first_rejection}")


def _report_restore(env: Environment, work: Restore) -> None:
    """Say what an export of kycli has brought back."""
    found = work.loaded
    parts = [
        counted(count, what)
        for count, what in (
            (found.changes, "change"),
            (found.archived, "archived value"),
            (found.scopes, "scope"),
            (found.schemas, "schema"),
        )
        if count
    ]
    if found.expired:
        parts.append(f"{counted(found.expired, 'key')} had expired")
    would = " (nothing was changed)" if work.options.dry_run else ""
    env.note(f"{work.name}: {', '.join([counted(found.keys, 'key'), *parts])}{would}")
    if found.invalid:
        what = "1 value does" if found.invalid == 1 else f"{found.invalid:,} values do"
        env.note(f"{what} not meet the schema; to list them: kycli schema check SCOPE")


def _explain_failure(
    env: Environment,
    error: BaseException,
    work: Import | Restore | None,
    names: list[str],
    done: int,
) -> None:
    """Say what is kept of an import that failed or was interrupted, and how it goes on.

    Parameters:
        work: the import of the file that it happened in, if there was one.
        names: of all files.
        done: how many of them are imported.
    """
    rows = work.committed if work is not None else 0
    kept = [f"the first {rows:,} rows are kept"] if rows else []
    if done:
        kept = [f"and of {names[done]} {part}" for part in kept]
        kept.insert(0, f"{names[0]} is imported" if done == 1 else f"{done} files are imported")
    go_on = ""
    if kept and (work is None or work.can_resume or not rows):
        go_on = _to_go_on(env, names[done:], work, error)
    if isinstance(error, KeyboardInterrupt):
        env.note(f"kycli: interrupted; {', '.join(kept) or 'nothing was imported'}")
        if go_on:
            env.note(f"hint: {go_on}")
    elif kept and isinstance(error, KycliError):
        error.args = (f"{error}; {', '.join(kept)}",)
        error.hint = "; ".join(filter(None, (error.hint, go_on))) or None
    elif kept:
        env.note(f"{', '.join(kept)}{'; ' if go_on else ''}{go_on}")


def _to_go_on(
    env: Environment, names: list[str], work: Import | Restore | None, error: BaseException
) -> str:
    """Return the command that imports what is left."""
    words = env.command.split()
    words += [f"./{name}" if name.startswith("-") else name for name in names if name != "-"]
    flags = dict(env.flags)
    without = ""
    if work is not None and work.could_skip(error):
        # The row would fail it again, and a file that was mended is another one.
        flags["on-error"] = "skip"
        without = " without such rows"
    elif isinstance(error, FormatError):
        return "import it again when it is mended; what is there stays as it is"
    for flag, value in flags.items():
        if flag in ("resume", "quiet") or (flag == "batch" and len(names) == 1 and work):
            continue
        words += [f"--{flag}", value] if value or flag in ("quote", "prefix") else [f"--{flag}"]
    return f"to go on{without}: {shlex.join([*words, '--resume'])}"
