"""Salvage: with any page damaged, all that can be read is in the new database."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock
from invariants import check as check_invariants

from kycli import Kycore
from kycli.core.doctor.salvage import LostKey, Salvaged, salvage
from kycli.errors import BusyError, KycliError, NotADatabaseError

PAGE = 4096
LARGE = {f"large {n}": f"pear {n} " * 1200 for n in range(3)}


def fill(path: Path) -> None:
    clock = Clock()
    with Kycore(path, clock=clock, command="kycli test") as store:
        store.save_many({f"k{n}": f"apple {n} " * 6 for n in range(260)})
        store.create_cache("web.pages", 500)
        store.save("page", "cached", scope="web.pages")
        store.set_scope("old", history_versions=3)
        for value in (77, 1.5, True, None, 2**80, {"b": "fig"}, b"\xff\x00"):
            store.save(f"typed {type(value).__name__}", value, scope="shop.prod")
        for key, text in LARGE.items():
            store.save(key, text)
        clock.advance(1)
        for number in range(100, 130):
            store.save(f"k{number}", f"changed {number}")
        for number in range(200, 230):
            store.delete(f"k{number}")
        store.expire("large 1", 1_000_000)
        store.expire("k1", 5000)
        store.persist("k1")
        store.search("apple")


def later() -> Clock:
    clock = Clock()
    clock.advance(2)
    return clock


def content(path: Path) -> dict[tuple[str, str], Any]:
    with Kycore(path, clock=later()) as store:
        return {
            (scope, entry.key): (repr(entry.value), entry.version, entry.expires_at)
            for scope in store.scopes()
            for entry in store.entries(scope=scope)
        }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[Any, Any], dict[int, str]]:
    """Return a database, what is in it, and whose each of its pages is."""
    path = tmp_path_factory.mktemp("sound") / "kycli.db"
    fill(path)
    connection = apsw.Connection(str(path))
    owners: dict[int, str] = dict(connection.execute("SELECT pageno, name FROM dbstat"))
    connection.close()
    return path.read_bytes(), content(path), owners


def zeros(data: bytearray, page: int) -> None:
    data[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)


def ones(data: bytearray, page: int) -> None:
    data[(page - 1) * PAGE : page * PAGE] = b"\xff" * PAGE


def noise(data: bytearray, page: int) -> None:
    data[(page - 1) * PAGE : page * PAGE] = random.Random(page).randbytes(PAGE)


def plausible_noise(data: bytearray, page: int) -> None:
    """Nothing but the kind of the page and how many cells it has is right."""
    start = (page - 1) * PAGE + (100 if page == 1 else 0)
    data[start + 8 : page * PAGE] = random.Random(page).randbytes(page * PAGE - start - 8)


def another_page(data: bytearray, page: int) -> None:
    """A page was written to the wrong place."""
    other = 3 if page == 2 else 2
    data[(page - 1) * PAGE : page * PAGE] = data[(other - 1) * PAGE : other * PAGE]


def points_to_itself(data: bytearray, page: int) -> None:
    """A tree or a chain goes round."""
    start = (page - 1) * PAGE + (100 if page == 1 else 0)
    if data[start] in (2, 5):
        data[start + 8 : start + 12] = page.to_bytes(4, "big")
    else:
        data[start : start + 4] = page.to_bytes(4, "big")


DAMAGES: list[Callable[[bytearray, int], None]] = [
    zeros, ones, noise, plausible_noise, another_page, points_to_itself,
]  # fmt: skip


def saved(path: Path, damaged: bytes) -> tuple[Salvaged, dict[Any, Any]]:
    path.write_bytes(damaged)
    new = path.with_name("new.db")
    new.unlink(missing_ok=True)
    done = salvage(str(path), str(new))
    assert path.read_bytes() == damaged
    assert not list(path.parent.glob("*.partial"))
    with Kycore(new, clock=later()) as store:
        assert store.check() == []
        store.save("it goes on", 1)
        store.delete("it goes on")
    return done, content(new)


@pytest.mark.damages
@pytest.mark.parametrize("damage", DAMAGES)
def test_with_any_page_damaged_all_that_is_readable_is_saved(
    path: Path, sound: Any, damage: Callable[[bytearray, int], None]
) -> None:
    whole, wanted, owners = sound
    lost = 0
    step = 3 if damage is zeros else 10
    for page in range(1, len(whole) // PAGE + 1, step):
        damaged = bytearray(whole)
        damage(damaged, page)
        where = f"page {page}, {owners.get(page, 'free')}"
        try:
            done, found = saved(path, bytes(damaged))
        except AssertionError as error:
            raise AssertionError(where) from error
        gone = {(key.scope, key.key) for key in done.lost_keys}
        assert found == {name: value for name, value in wanted.items() if name not in gone}, where
        # Only a large value is in one place alone.
        assert gone <= {("default", key) for key in LARGE}, where
        if owners.get(page) != "audit_log":
            assert not gone, where
        assert done.keys == len(found)
        lost += len(gone)
    assert lost > 0


def test_a_file_of_format_3_is_salvaged_as_one_of_now(path: Path, tmp_path: Path) -> None:
    old = Path(__file__).parents[2] / "formats" / "format-3.sqlite"
    expected = json.loads(old.with_suffix(".json").read_text())
    shutil.copy(old, path)
    new = tmp_path / "new.db"
    done = salvage(str(path), str(new))
    assert (done.damaged_pages, done.lost_keys) == (0, [])
    with Kycore(new, clock=lambda: expected["clock"]) as store:
        assert store.check() == []
        assert store.scopes() == expected["scopes"]
        assert store.schemas() == ["typed", "typed.wide"]
        assert store._query("SELECT count(*) FROM _schemas") == [(2,)]
        history = store._query("SELECT id, scope, key, op, version FROM audit_log ORDER BY id")
    assert [list(row) for row in history] == [
        [id, scope, key, op, version]
        for id, scope, key, _, _, op, version, *_ in expected["history"]
    ]


@pytest.mark.damages
def test_a_file_that_was_cut_off_anywhere(path: Path, sound: Any) -> None:
    whole, wanted, _ = sound
    most = 0
    for size in range(PAGE, len(whole), 3 * PAGE + 100):
        try:
            done, found = saved(path, whole[:size])
        except NotADatabaseError:
            assert size < 4 * PAGE
            continue
        assert found.items() <= wanted.items() or done.from_history
        most = max(most, len(found))
    assert most > 0.8 * len(wanted)


@pytest.mark.damages
def test_two_damaged_pages_are_no_end(path: Path, sound: Any) -> None:
    whole, wanted, _ = sound
    draw = random.Random(1)
    count = len(whole) // PAGE
    for _ in range(25):
        damaged = bytearray(whole)
        for page in draw.sample(range(1, count + 1), 2):
            draw.choice(DAMAGES)(damaged, page)
        done, found = saved(path, bytes(damaged))
        assert found.keys() <= {*wanted, *(("default", f"k{n}") for n in range(200, 230))}
        assert done.keys > 150


@pytest.mark.soak
@pytest.mark.damages
def test_bytes_that_are_others_are_no_end(path: Path, sound: Any) -> None:
    whole, _, _ = sound
    draw = random.Random(int(os.environ.get("KYCLI_SEED", "3")))
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(draw.choice((1, 10, 1000))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        new = path.with_name("new.db")
        new.unlink(missing_ok=True)
        try:
            salvage(str(path), str(new))
        except KycliError:
            assert not new.exists()
            continue
        with Kycore(new) as store:
            assert not [problem for problem in store.check() if problem.part == "file"]


def test_a_sound_database_is_saved_as_it_is(path: Path, sound: Any) -> None:
    whole, wanted, _ = sound
    done, found = saved(path, whole)
    assert found == wanted
    assert (done.lost_keys, done.damaged_pages, done.lost_changes, done.from_history) == (
        [],
        0,
        0,
        0,
    )
    new_path = path.with_name("new.db")
    with Kycore(path, clock=later()) as old, Kycore(new_path, clock=later()) as new:
        assert new.get_history("k100") == old.get_history("k100")
        assert new.caches() == old.caches()
        assert new.scope_settings() == old.scope_settings()
        assert new.restore("k200") == "restored"
    check_invariants(new_path)


def test_what_is_in_the_wal_is_saved(path: Path) -> None:
    program = """
import os, signal, sys
from kycli import Kycore
store = Kycore(sys.argv[1])
for number in range(200):
    store.save(f"k{number}", number)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert done.returncode == -signal.SIGKILL
    wal = Path(f"{path}-wal")
    before = path.read_bytes(), wal.read_bytes()
    assert salvage(str(path), str(path.with_name("new.db"))).keys == 200
    assert (path.read_bytes(), wal.read_bytes()) == before


@pytest.mark.damages
def test_a_damaged_wal_is_read_as_far_as_it_is_sound(path: Path, tmp_path: Path) -> None:
    with Kycore(path) as store:
        for number in range(50):
            store.save(f"k{number}", number)
        data, wal = path.read_bytes(), bytearray(Path(f"{path}-wal").read_bytes())
    wal[len(wal) // 2] ^= 0xFF
    directory = tmp_path / "copy"
    directory.mkdir()
    (directory / "kycli.db").write_bytes(data)
    (directory / "kycli.db-wal").write_bytes(wal)
    done = salvage(str(directory / "kycli.db"), str(directory / "new.db"))
    assert 10 < done.keys < 50


@pytest.mark.damages
def test_a_deleted_key_does_not_come_back(path: Path, sound: Any) -> None:
    """Pages that are free hold rows that were deleted or purged."""
    with Kycore(path) as store:
        store.save_many({f"secret {n}": f"s3cret {n} " * 30 for n in range(200)})
        store.save("kept", 1)
        for number in range(200):
            store.delete(f"secret {number}")
        store.compact(0, vacuum=False)
    whole = bytearray(path.read_bytes())
    for page in range(2, len(whole) // PAGE + 1):
        damaged = bytearray(whole)
        zeros(damaged, page)
        path.write_bytes(damaged)
        new = path.with_name("new.db")
        new.unlink(missing_ok=True)
        salvage(str(path), str(new))
        with Kycore(new) as store:
            assert [key for key in store if key.startswith("secret")] == []


def test_tables_of_other_programs_are_named(path: Path) -> None:
    with Kycore(path) as store:
        store["k"] = 1
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
    connection.close()
    assert salvage(str(path), str(path.with_name("new.db"))).other_tables == ["mine"]


@pytest.mark.damages
def test_what_is_no_database_of_ours_is_refused(path: Path) -> None:
    for data in (b"", b"x" * 10_000, bytes(50_000), b"SQLite format 3\0" + bytes(4080)):
        path.write_bytes(data)
        with pytest.raises(NotADatabaseError):
            salvage(str(path), str(path.with_name("new.db")))
        assert os.listdir(path.parent) == [path.name]


def test_nobody_may_have_it_open(path: Path) -> None:
    with Kycore(path) as store:
        store["k"] = 1
        with pytest.raises(BusyError, match="has the database open"):
            salvage(str(path), str(path.with_name("new.db")))
    assert not path.with_name("new.db").exists()


def test_a_database_that_can_only_be_read(path: Path) -> None:
    with Kycore(path) as store:
        store["k"] = 1
    path.chmod(0o400)
    assert salvage(str(path), str(path.with_name("new.db"))).keys == 1


def test_what_is_lost_has_a_name() -> None:
    assert LostKey("default", "k") == ("default", "k")
