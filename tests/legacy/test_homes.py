"""Where the old programs kept their stores, and what later ones did to those of earlier ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from legacy.old_release import KEY, OTHER_KEY
from legacy.reading import open_old, read_rows

from kycli.core.migration import legacy

HOMES = Path(__file__).parent / "fixtures" / "homes"


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    copy = tmp_path / "home"
    shutil.copytree(HOMES / request.param, copy)
    return copy


def found_in(home: Path) -> dict[str, legacy.Found]:
    return {str(Path(f.path).relative_to(home)): f for f in legacy.find_defaults(str(home))}


@pytest.mark.parametrize("home", ["moved-by-0.2.0"], indirect=True)
def test_a_database_and_its_wal_left_behind_are_brought_together(home: Path) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    found = found_in(home)
    assert list(found) == [".kycli/data/default.db"]
    (one,) = found.values()
    assert one.wal == str(home / "kydata.db-wal")
    assert one.note is not None
    assert "kydata.db-wal" in one.note
    with open_old(one) as old:
        assert {row.key: row.value for row in read_rows(old)} == {"name": "Alice", "counter": "2"}
        old.check()
    assert {p: p.read_bytes() for p in home.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("home", ["migrated-by-0.2.3"], indirect=True)
def test_what_a_later_release_took_over_is_found_beside_what_it_made_of_it(home: Path) -> None:
    found = found_in(home)
    assert list(found) == [
        "kydata.db",
        ".kycli/data/default.db",
        ".kycli/data/default.db.legacy.sqlite",
    ]
    assert [f.workspace for f in found.values()] == ["kydata", "default", "default"]
    assert [f.variant.family for f in found.values()] == ["blob", "blob", "plain"]
    keys = [KEY, OTHER_KEY]
    with open_old(found["kydata.db"]) as old:
        assert [(row.key, row.value) for row in read_rows(old)] == [("library", [1])]
    with open_old(found[".kycli/data/default.db.legacy.sqlite"], keys) as old:
        before = {row.key: (row.value, row.kind) for row in read_rows(old)}
        assert old.counts().archive == 1
    with open_old(found[".kycli/data/default.db"], keys) as old:
        after = {row.key: (row.value, row.kind) for row in read_rows(old)}
    # Its values were encrypted when they were taken over, and then once more.
    assert after == {**before, "later": ("saved by 0.2.3", 0)}


@pytest.mark.parametrize("home", ["workspaces-of-0.4.0"], indirect=True)
def test_all_workspaces_and_the_pickle_are_found(home: Path) -> None:
    found = found_in(home)
    assert {name: f.workspace for name, f in found.items()} == {
        ".kycli/kydata.pkl": "kydata",
        ".kycli/data/default.db": "default",
        ".kycli/data/jobs.db": "jobs",
        ".kycli/data/work-2.db": "work-2",
    }
    with open_old(found[".kycli/data/jobs.db"]) as old:
        assert old.settings() == {"type": "priority_queue"}
        assert [(item.value, item.priority) for item in old.queue()] == [
            ("second", 1),
            ("first", 2),
        ]
    with open_old(found[".kycli/data/work-2.db"]) as old:
        assert [row.value for row in read_rows(old)] == ["at work"]
    with open_old(found[".kycli/kydata.pkl"]) as old:
        assert [(row.key, row.value) for row in read_rows(old)] == [("ancient", "from 0.0.1")]


def test_a_home_without_old_stores_is_empty(tmp_path: Path) -> None:
    assert legacy.find_defaults(str(tmp_path)) == []


@pytest.mark.parametrize("home", ["workspaces-of-0.4.0"], indirect=True)
def test_a_damaged_store_is_said_and_hides_no_other(home: Path) -> None:
    (home / "kydata.db").write_bytes(b"SQLite format 3\0" + bytes(600))
    found = found_in(home)
    assert found["kydata.db"].damage is not None
    assert len(found) == 5
