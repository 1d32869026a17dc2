"""What the benchmarks write and read."""

from __future__ import annotations

import random
from collections.abc import Iterator

KEYS = [f"user:{number:07d}" for number in range(10_000)]
PREFIX = "user:00001"  # that of 100 keys

WORDS = [
    *("error", "timeout", "connection", "refused", "retry", "user", "session", "token", "cache"),
    *("request", "response", "handler", "database", "commit", "replica", "shard", "queue", "job"),
]


def value(key: str, generation: int = 0) -> str:
    """Return the 60 characters that a key holds; no two keys and generations share them."""
    return f"{key}/{generation}/".ljust(60, "x")


PAIRS = [(key, value(key)) for key in KEYS]


def new_pairs(count: int, label: str = "new") -> Iterator[tuple[str, str]]:
    """Yield pairs that are not among ``PAIRS``."""
    for number in range(count):
        key = f"{label}:{number:07d}"
        yield key, value(key)


def log_lines(rows: int) -> list[str]:
    """Return log lines: some words, a number, and an identifier that no other line has."""
    chance = random.Random(1)
    return [
        f"{' '.join(chance.choices(WORDS, k=8))} {chance.randrange(10_000)} id{number:x}"
        for number in range(rows)
    ]
