"""Saving objects that are held to a schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from harness.measuring import Lab, Way, benchmark

from kycli import Kycore

CALLS = 2_000
TYPES: dict[str, str] = {
    "name": "str(1..80)",
    "email": "str",
    "age": "int(0..150)",
    "height": "float",
    "active": "bool",
    "role": "enum(user, admin)",
    "tags": "list[str]",
    "note": "str?",
    "scores": "dict[str,int]",
    "visits": "int",
}


def objects(calls: int) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Yield other objects of ten fields for the same keys, each time."""
    for generation in count():
        yield [
            (
                f"user:{number}",
                {
                    "name": f"User {number}",
                    "email": f"u{number}@example.org",
                    "age": number % 100,
                    "height": 1.5,
                    "active": True,
                    "role": "user",
                    "tags": ["a", "b"],
                    "note": None,
                    "scores": {"x": 1, "y": number},
                    "visits": generation,
                },
            )
            for number in range(calls)
        ]


@benchmark("save: an object of ten fields", peers=False)
def save_validated(lab: Lab) -> None:
    """Validated by the store, by its caller before, and not at all."""
    from pydantic import BaseModel, Field

    class User(BaseModel):
        name: str = Field(min_length=1, max_length=80)
        email: str
        age: int = Field(ge=0, le=150)
        height: float
        active: bool
        role: str
        tags: list[str]
        note: str | None
        scores: dict[str, int]
        visits: int

    calls = lab.at_most(CALLS)
    store = lab.stack.enter_context(Kycore(lab.directory / "schema.db"))
    store.create_table("held", TYPES)

    def way(name: str, scope: str, save: Callable[[str, Any], object]) -> Way:
        saved: dict[str, Any] = {}

        def batches() -> Iterator[list[tuple[str, Any]]]:
            for made in objects(calls):
                saved.update(made)
                yield made

        def right_after() -> bool:
            return dict(store.scan(scope=scope)) == saved

        return Way(name, save, batches(), each=True, right_after=right_after)

    def held(key: str, value: Any) -> None:
        store.save(key, value, scope="held")

    def free(key: str, value: Any) -> None:
        store.save(key, value, scope="free")

    def by_caller(key: str, value: Any) -> None:
        User.model_validate(value)
        store.save(key, value, scope="caller")

    ways = [
        way("schema", "held", held),
        way("model_validate, then save", "caller", by_caller),
        way("no schema", "free", free),
    ]
    lab.measure("save: an object of ten fields", ways, rounds=7)
