"""What the benchmarks write and read."""

from __future__ import annotations

KEYS = [f"user:{i:07d}" for i in range(10_000)]
VALUE = "x" * 60
