"""What the benchmarks write and read."""

from __future__ import annotations

from collections.abc import Iterator

KEYS = [f"user:{number:07d}" for number in range(10_000)]
PREFIX = "user:00012"  # that of 100 keys


def value(key: str, generation: int = 0) -> str:
    """Return the 60 characters that a key holds; no two keys and generations share them."""
    return f"{key}/{generation}/".ljust(60, "x")


PAIRS = [(key, value(key)) for key in KEYS]


def new_pairs(count: int, label: str = "new") -> Iterator[tuple[str, str]]:
    """Yield pairs that are not among ``PAIRS``."""
    for number in range(count):
        key = f"{label}:{number:07d}"
        yield key, value(key)
