"""The newest changes of a scope, read as they come."""

from __future__ import annotations

from kycli import Kycore
from kycli.shell.panes.following import PAGE, Follower


class Counting:
    """A store, and how many changes were read from it."""

    def __init__(self, store: Kycore) -> None:
        self.store = store
        self.read = 0

    def trail(self, *arguments: object, **options: object) -> object:
        page = self.store.trail(*arguments, **options)  # type: ignore[arg-type]
        self.read += len(page.events)
        return page


def keys(follower: Follower) -> list[str]:
    return [event.key for event in follower.items]


def test_new_changes_come_on_top_and_old_ones_are_not_read_again() -> None:
    with Kycore(":memory:") as kv:
        kv.save_many({f"k{n}": n for n in range(50)})
        counting = Counting(kv)
        follower = Follower("default")
        assert follower.take_in(counting) == 0  # type: ignore[arg-type]
        assert keys(follower) == [f"k{n}" for n in range(49, -1, -1)]
        kv["new"] = 1
        kv.save("elsewhere", 1, scope="alpha")
        counting.read = 0
        assert follower.take_in(counting) == 1  # type: ignore[arg-type]
        assert follower.take_in(counting) == 0  # type: ignore[arg-type]
        assert counting.read == 1
        assert keys(follower)[:2] == ["new", "k49"]
        assert len(follower.items) == 51


def test_who_reads_further_down_stays_there() -> None:
    with Kycore(":memory:") as kv:
        kv.save_many({f"k{n}": n for n in range(50)})
        follower = Follower("default")
        follower.take_in(kv)
        follower.move(10)
        before = follower.view(5)
        kv["new"] = 1
        follower.take_in(kv)
        assert follower.view(5) == before
        assert follower.selected == before[-1]


def test_more_than_a_page_at_once_begins_anew_or_waits() -> None:
    with Kycore(":memory:") as kv:
        kv["old"] = 1
        follower = Follower("default")
        follower.take_in(kv)
        kv.save_many({f"k{n}": n for n in range(PAGE + 1)})
        follower.take_in(kv)
        assert keys(follower)[0] == f"k{PAGE}"
        assert len(follower.items) == PAGE
        while follower.read_older(kv, 10_000):
            pass
        assert keys(follower)[-1] == "old"
        assert len(follower.items) == PAGE + 2
        follower.move(3)
        selected = follower.selected
        kv.save_many({f"m{n}": n for n in range(PAGE + 1)})
        follower.take_in(kv)
        assert follower.has_newer
        assert follower.selected == selected
        follower.forget()
        follower.take_in(kv)
        assert (keys(follower)[0], follower.has_newer) == (f"m{PAGE}", False)


def test_older_changes_are_looked_for_in_steps() -> None:
    with Kycore(":memory:") as kv:
        kv["old"] = 1
        kv.save_many(((f"k{n}", n) for n in range(50_000)), scope="busy")
        follower = Follower("default")
        follower.take_in(kv)
        assert keys(follower) == []
        assert follower.rest is not None
        while follower.read_older(kv, 10):
            pass
        assert keys(follower) == ["old"]
        assert follower.rest is None


def test_a_renamed_scope_takes_its_history_along() -> None:
    with Kycore(":memory:") as kv:
        kv["a"] = 1
        follower = Follower("default")
        follower.take_in(kv)
        kv.rename_scope("default", "other")
        follower.take_in(kv)
        assert keys(follower) == []
        follower.follow("other")
        follower.take_in(kv)
        assert keys(follower) == ["a"]
