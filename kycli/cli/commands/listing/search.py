"""search and optimize: the search index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kycli.cli.output import keys_counted, write_listing
from kycli.cli.progress import progress
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.search.searching import Hit

_MARKED = "1;31"
_LINE_ENDS = str.maketrans({"\n": "\\n", "\r": "\\r"})
_LINE_ENDS_AND_TABS = _LINE_ENDS | str.maketrans({"\t": "\\t"})
"""How characters of a key that would break a line or a row of cells are printed."""


def search(env: Environment, arguments: list[str]) -> int:
    """``search QUERY...`` and ``kyg -s QUERY...``: the keys that match, best match first."""
    form = env.choice("json", "jsonl", "null")
    everywhere, keys_only = "all-scopes" in env.flags, "keys-only" in env.flags
    if everywhere and env.scope_is_fixed:
        raise UsageError("--all-scopes and a scope exclude each other")
    limit = env.count("limit")
    with progress(env, "indexing") as show:
        hits = env.store().search_hits(
            " ".join(arguments),
            scope=None if everywhere else env.scope,
            all_scopes=everywhere,
            limit=100 if limit is None else limit,
            keys_only=keys_only,
            snippets=not keys_only and form not in ("json", "jsonl"),
            progress=show,
        )

    # With NUL at the end of rows a key may contain anything; a key that stands alone, tabs.
    if keys_only and form == "null":
        breaks = {}
    else:
        breaks = _LINE_ENDS if keys_only and not everywhere else _LINE_ENDS_AND_TABS

    def plain(hit: Hit) -> bytes:
        cells = [hit.scope.encode()] if everywhere else []
        key = env.shown(hit.key.translate(breaks))
        if hit.marked_key and env.output_is_terminal() and key == hit.key.encode():
            key = _marked(env, hit.marked_key)
        cells.append(key)
        if not keys_only:
            cells.append(_marked(env, hit.snippet))
        return b"\t".join(cells)

    def data(hit: Hit) -> Any:
        if keys_only and not everywhere:
            return hit.key
        fields: dict[str, Any] = {"scope": hit.scope} if everywhere else {}
        fields["key"] = hit.key
        if not keys_only:
            fields.update(value=hit.value, rank=hit.rank)
        return fields

    write_listing(env, hits, plain, data)
    return 0


def _marked(env: Environment, pieces: tuple[tuple[str, bool], ...]) -> bytes:
    """Return printable pieces of text, with the matches marked on a terminal."""
    texts = (env.styled(text, _MARKED) if marked else text for text, marked in pieces)
    return "".join(texts).encode()


def optimize(env: Environment, arguments: list[str]) -> int:
    """``optimize``, ``kyfo``: merge the parts of the index and check it."""
    with progress(env, "indexing") as show:
        count = env.store().optimize_index(progress=show)
    env.note(f"the search index holds {keys_counted(count)}")
    return 0
