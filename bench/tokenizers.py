"""What the tokenizers for the search index cost and find: why kycli takes the one it does.

    python bench/tokenizers.py [--rows N]

Two texts: log lines in ASCII, and short texts in a dozen scripts. For each tokenizer: how
fast it indexes, what the index takes, what it costs to have it at hand, whether a plain
sqlite3 can read the table, and which of the probes it finds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw
from harness.workload import log_lines

from kycli.core.layout import TOKENIZER
from kycli.core.search.folding import fold

SCRIPTS = [
    "Le café était très agréable à l'été",
    "Die Straße führt über die Brücke nach Łódź",
    "Съешь ещё этих мягких французских булок",
    "Η γρήγορη καφέ αλεπού πηδάει πάνω",
    "すべての人間は、生まれながらにして自由であり",
    "東京都の天気は晴れのち曇りです",
    "人人生而自由,在尊严和权利上一律平等",
    "모든 인간은 서울에서 자유롭고 평등하게 태어났다",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता",
    "يُولَدُ جميعُ الناسِ أحرارًا متساوينَ",
    "released the party build 🎉🦀 today",
]
# What somebody would type -> a piece of the text that must come up.
PROBES = {
    "cafe": "café",
    "strasse": "Straße",
    "lodz": "Łódź",
    "еще": "ещё",
    "καφε": "καφέ",
    "自由": "自由",
    "東京": "東京都",
    "天": "東京都",
    "平等": "一律平等",
    "서울": "서울에서",
    "อิสระ": "อิสระ",
    "मनुष्यों": "मनुष्यों",
    "احرارا": "أحرارًا",
    "🦀": "🦀",
    "err*": "error",
}


def scripts(rows: int) -> list[str]:
    chance = random.Random(2)
    return [f"{' '.join(chance.sample(SCRIPTS, 2))} {number}" for number in range(rows)]


def plain(text: str) -> str:
    return text


WAYS: dict[str, tuple[str, Callable[[str], str]]] = {
    "unicode61": ("unicode61 remove_diacritics 2", plain),
    "trigram": ("trigram remove_diacritics 1", plain),
    "APSW unicodewords": ("unicodewords", plain),
    "APSW simplify": ("simplify casefold 1 strip 1 unicodewords", plain),
    "kycli: fold, then unicode61": (TOKENIZER, fold),
}


def connect(path: Path, tokenizer: str) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    if "words" in tokenizer:
        from apsw import fts5

        connection.register_fts5_tokenizer("unicodewords", fts5.UnicodeWordsTokenizer)  # type: ignore[arg-type]
        connection.register_fts5_tokenizer("simplify", fts5.SimplifyTokenizer)
    return connection


def measure(directory: Path, name: str, texts: list[str]) -> tuple[float, float, apsw.Connection]:
    """Index texts; return rows a second, bytes a row, and the connection."""
    tokenizer, prepare = WAYS[name]
    connection = connect(directory / f"{name}{len(texts[0])}", tokenizer)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING fts5"
        f"(text, content = '', contentless_delete = 1, tokenize = \"{tokenizer}\")"
    )
    start = time.perf_counter()
    for first in range(0, len(texts), 2000):
        with connection:
            batch = enumerate(texts[first : first + 2000], first)
            connection.executemany(
                "INSERT INTO t (rowid, text) VALUES (?, ?)", ((id, prepare(t)) for id, t in batch)
            )
    seconds = time.perf_counter() - start
    size = sum(
        connection.execute(f"SELECT sum(length({column})) FROM t_{table}").get
        for table, column in (("data", "block"), ("docsize", "sz"), ("idx", "term"))
    )
    return len(texts) / seconds, size / len(texts), connection


def finds(connection: apsw.Connection, texts: list[str], name: str) -> list[str]:
    """Return the probes that come up with nothing, or with what they should not."""
    missed = []
    for probe, within in PROBES.items():
        star = "*" if probe.endswith("*") else ""
        query = f'"{WAYS[name][1](probe.rstrip("*"))}"{star}'
        try:
            found = {id for (id,) in connection.execute("SELECT rowid FROM t (?)", (query,))}
        except apsw.Error:
            found = set()
        if found != {id for id, text in enumerate(texts) if within in text}:
            missed.append(probe)
    return missed


def startup(code: str) -> float:
    """Return the milliseconds that a program takes, less those of an empty one."""
    command = [sys.executable, "-c"]
    took: dict[str, list[float]] = {code: [], "import apsw, unicodedata": []}
    for _ in range(15):
        for program in took:
            start = time.perf_counter()
            subprocess.run([*command, program], check=True)
            took[program].append(time.perf_counter() - start)
    extra, base = (statistics.median(times) for times in took.values())
    return (extra - base) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    rows = parser.parse_args().rows
    texts = {"log lines": log_lines(rows), "scripts": scripts(rows // 5)}
    sizes = {kind: sum(len(t.encode()) for t in ts) / len(ts) for kind, ts in texts.items()}
    print("bytes a text: " + ", ".join(f"{kind} {size:.0f}" for kind, size in sizes.items()))
    print(f"import apsw.fts5: {startup('import apsw.fts5, unicodedata'):.0f} ms")
    for name in WAYS:
        with tempfile.TemporaryDirectory() as directory:
            figures = []
            for kind, these in texts.items():
                speed, size, connection = measure(Path(directory), name, these)
                figures.append(f"{kind} {speed:7,.0f} rows/s {size:5.0f} B/row")
                missed = finds(connection, these, name) if kind == "scripts" else []
                connection.close()
        print(f"{name:28} {'; '.join(figures)}; misses {' '.join(missed) or 'nothing'}")


if __name__ == "__main__":
    main()
