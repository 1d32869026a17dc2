"""``stream``: ProntoDB's tokens to keys."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from kycli.core.operations.importing import NOTHING, Imported
from kycli.transfer.tokens import Tokens, save

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_SOURCE = "standard input"


class _RollBack(Exception):
    """Ends a dry run."""


def stream(env: Environment, arguments: list[str]) -> int:
    """``stream``: save the keys of the tokens on standard input, scope by scope."""
    dry_run = "dry-run" in env.flags
    data = env.read_input()
    tokens = Tokens(data, env.scope, env.delimiter)
    if tokens.has_credentials:
        env.note("meta:sec: is ignored, because kycli has no users")
    done: dict[str, Imported] = {}
    if tokens.runs:
        store = env.store(create=not dry_run)
        try:
            with store.transaction() if dry_run else nullcontext():
                for scope in tokens.runs:
                    done[scope] = save(store, tokens, scope, _SOURCE)
                    if not dry_run:
                        _report(env, scope, done[scope])
                if dry_run:
                    raise _RollBack
        except _RollBack:
            for scope, saved in done.items():
                _report(env, scope, saved, " (nothing was changed)")
    if "json" in env.flags:
        _print(env, done)
    return 0


def _report(env: Environment, scope: str, done: Imported, more: str = "") -> None:
    parts = [
        f"{getattr(done, name):,} {name}"
        for name in ("created", "overwritten", "unchanged")
        if getattr(done, name)
    ]
    keys = f"{done.read:,} key" if done.read == 1 else f"{done.read:,} keys"
    env.note(f"{scope}: {keys}: {', '.join(parts)}{more}")


def _print(env: Environment, done: dict[str, Imported]) -> None:
    from kycli.cli.commands.values.reading import write_json

    total = NOTHING
    for saved in done.values():
        total = total.plus(saved)
    scopes = {scope: saved._asdict() for scope, saved in done.items()}
    write_json(env, {"scopes": scopes, **total._asdict()})
