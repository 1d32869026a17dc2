"""Selecting by a field, with an index on it and without."""

from __future__ import annotations

from harness.measuring import Lab, Way, benchmark

from kycli import Kycore

WHERE = "serial between 500 and 509"
MATCHES = 10


@benchmark("select: by a field", "select: the highest 20", peers=False)
def fields(lab: Lab) -> None:
    """10 of up to 1,000,000 documents of four fields meet the condition."""
    rows = min(lab.size.many, 1_000_000)
    path = lab.directory / "kycli.db"
    store = lab.stack.enter_context(Kycore(path))
    for scope in ("indexed", "plain"):
        store.save_many(
            (
                (f"user:{n:07d}", {"name": f"name {n}", "serial": n, "age": n % 100, "tags": ["a"]})
                for n in range(rows)
            ),
            scope=scope,
        )
    store.create_index("indexed", "serial")

    def met(scope: str) -> int:
        return sum(1 for _ in store.select(WHERE, scope=scope))

    def highest(scope: str) -> int:
        return sum(1 for _ in store.select(order="-serial", limit=20, scope=scope))

    lab.measure(
        "select: by a field",
        [
            Way("indexed", lambda: met("indexed"), right=lambda answer, _: answer == MATCHES),
            Way("unindexed", lambda: met("plain"), right=lambda answer, _: answer == MATCHES),
        ],
        rounds=5,
        warmup=1,
        scaled=False,
    )
    lab.measure(
        "select: the highest 20",
        [
            Way("indexed", lambda: highest("indexed"), right=lambda answer, _: answer == 20),
            Way("unindexed", lambda: highest("plain"), right=lambda answer, _: answer == 20),
        ],
        rounds=5,
        warmup=1,
        scaled=False,
    )
