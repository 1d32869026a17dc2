"""The demo's two real data sets, which come with every Python.

    python data.py load SET SCOPE    save the set into the database $KYCLI_DB_PATH
    python data.py scan SET          print it as `kycli scan -0` must print it
    python data.py sample SET COUNT  print about COUNT rows spread over it, key TAB value

Sets: ``unicode``, code point to name, and ``entities``, HTML entity to text.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from html.entities import html5

from kycli import Kycore

# Their names are a prefix and the code point: arithmetic, and no table.
COMPUTED_NAMES = ("CJK UNIFIED IDEOGRAPH-", "HANGUL SYLLABLE ", "TANGUT IDEOGRAPH-")


def unicode_table() -> Iterator[tuple[str, str]]:
    """Yield ``U+0041`` and its name, for every character with a name of its own."""
    for code in range(sys.maxunicode + 1):
        name = unicodedata.name(chr(code), "")
        if name and not name.startswith(COMPUTED_NAMES):
            yield f"U+{code:04X}", name


def entities() -> Iterator[tuple[str, str]]:
    """Yield ``eacute;`` and the text it stands for."""
    yield from html5.items()


SETS = {"unicode": unicode_table, "entities": entities}


def load(rows: Iterator[tuple[str, str]], scope: str) -> None:
    with Kycore(os.environ["KYCLI_DB_PATH"]) as store:
        print(store.save_many(rows, scope=scope))


def scan(rows: Iterator[tuple[str, str]]) -> None:
    # UTF-8 sorts as code points do, so this is also the order of the keys in the store.
    for key, value in sorted(rows):
        sys.stdout.buffer.write(f"{key}={value}\0".encode())


def sample(rows: Iterator[tuple[str, str]], count: int) -> None:
    table = list(rows)
    for key, value in table[:: max(1, len(table) // count)][:count]:
        print(key, value, sep="\t")


def main(action: str, name: str, *arguments: str) -> None:
    rows = SETS[name]()
    if action == "load":
        load(rows, *arguments)
    elif action == "scan":
        scan(rows)
    else:
        sample(rows, int(*arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
