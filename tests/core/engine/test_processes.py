"""Many processes and threads on one database, forks, and processes that are killed."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import invariants
import pytest
from forks import in_child

from kycli import Kycore
from kycli.errors import CannotOpenError, ForkError


def run_all(count: int, target: Callable[..., None], *arguments: Any) -> None:
    """Run a function in several processes at once; all must succeed."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=target, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * count


def count_up(path: str, times: int) -> None:
    with Kycore(path) as store:
        for _ in range(times):
            store.incr("n")


@pytest.mark.alone
def test_eight_processes_count_exactly(path: Path) -> None:
    run_all(8, count_up, str(path), 1000)
    with Kycore(path) as store:
        assert store["n"] == 8000
        entry = store.get_entry("n")
        assert entry is not None
        assert entry.version == 8000


def create_and_write(path: str) -> None:
    with Kycore(path) as store:
        store.save(str(os.getpid()), "here")


@pytest.mark.parametrize("empty_file", [False, True])
def test_several_processes_create_the_same_database(tmp_path: Path, empty_file: bool) -> None:
    for round in range(3):
        path = tmp_path / f"round{round}" / "kycli.db"
        if empty_file:
            path.parent.mkdir()
            path.touch()
        run_all(6, create_and_write, str(path))
        with Kycore(path) as store:
            assert len(store) == 6
        assert os.listdir(path.parent) == ["kycli.db"]


def swap_versions(path: str) -> None:
    """Increment by compare-and-set, until it has worked 50 times."""
    from kycli.errors import ConflictError

    with Kycore(path) as store:
        done = 0
        while done < 50:
            entry = store.get_entry("n")
            assert entry is not None
            try:
                store.save("n", entry.value + 1, if_version=entry.version)
                done += 1
            except ConflictError:
                pass


def test_compare_and_set_loses_no_update(path: Path) -> None:
    with Kycore(path) as store:
        store.save("n", 0)
    run_all(4, swap_versions, str(path))
    with Kycore(path) as store:
        assert store["n"] == 200


def test_threads_share_a_store(store: Kycore) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(100):
                store.incr("n")
                store.save(f"t{number}", "x" * (i * 10))
                with store.transaction():
                    store.incr("a")
                    store.incr("b")
                a, b = store.get_many(["a", "b"]).values()
                assert a == b
                assert len(list(store.scan("t"))) >= 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (store["n"], store["a"], store["b"]) == (600, 600, 600)


def open_files(path: Path) -> list[str]:
    return [
        link
        for name in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{name}")
        and (link := os.readlink(f"/proc/self/fd/{name}")).startswith(str(path))
    ]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at open files in /proc")
def test_a_child_never_inherits_the_connection_of_an_idle_store(store: Kycore, path: Path) -> None:
    store.save("k", 1)

    def work() -> None:
        assert open_files(path) == []
        assert store["k"] == 1
        store.save("child", 1)
        assert open_files(path) != []

    assert in_child(work) == 0
    assert store["child"] == 1
    store.save("k", 2)


def test_many_generations_of_children_write_at_once(store: Kycore) -> None:
    def work() -> None:
        store.incr("n")
        assert in_child(lambda: store.incr("n")) == 0
        store.incr("n")

    pids = []
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            try:
                work()
            except BaseException:
                os._exit(1)
            os._exit(0)
        pids.append(pid)
        store.incr("n")
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 5
    assert store["n"] == 20


def test_a_child_of_a_transaction_refuses_the_store_and_the_file(store: Kycore, path: Path) -> None:
    def work() -> None:
        for call in (
            lambda: store.getkey("k"),
            lambda: store.save("k", 3),
            lambda: Kycore(path),
            lambda: Kycore(path.parent / "." / "link.db"),
            lambda: list(store),
            store.transaction().__enter__,
        ):
            with pytest.raises(ForkError) as caught:
                call()
            assert caught.value.hint
        store.close()

    (path.parent / "link.db").symlink_to(path)
    with store.transaction():
        store.save("k", 1)
        assert in_child(work) == 0
        store.save("k", 2)
    assert store["k"] == 2


def test_a_fork_while_another_thread_writes_disturbs_nobody(store: Kycore) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            store.incr("n")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: store.incr("children")) == 0
    finally:
        done.set()
        thread.join()
    assert store["children"] == 10
    assert store["n"] > 0


def test_a_child_that_ends_a_block_of_its_parent_is_told(store: Kycore) -> None:
    def work() -> None:
        with pytest.raises(ForkError):
            block.__exit__(None, None, None)

    with store.transaction() as _:
        block = store.transaction()
        block.__enter__()
        assert in_child(work) == 0
        block.__exit__(None, None, None)


def soon_in_child(work: Callable[[], object]) -> bool:
    """Whether work in a forked child succeeds once another thread has come to where it waits."""
    for _ in range(30):
        time.sleep(0.1)
        if in_child(work) == 0:
            return True
    return False


def test_a_child_forked_while_a_thread_waits_for_a_lock_refuses(path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as other:
        thread = threading.Thread(target=lambda: store.incr("n"))

        def work() -> None:
            for call in (lambda: store.getkey("k"), lambda: store.save("k", 1)):
                with pytest.raises(ForkError):
                    call()

        with other.transaction():
            thread.start()
            assert soon_in_child(work)
        thread.join()
        assert store["n"] == 1


def test_a_child_forked_while_a_thread_opens_a_store_refuses_to_open_any(tmp_path: Path) -> None:
    busy = tmp_path / "busy.db"
    Kycore(busy).close()
    holder = apsw.Connection(str(busy))
    holder.pragma("journal_mode", "delete")
    holder.execute("BEGIN EXCLUSIVE")
    opened: list[Kycore] = []
    thread = threading.Thread(target=lambda: opened.append(Kycore(busy)))

    def work() -> None:
        with pytest.raises(ForkError, match="opening"):
            Kycore(tmp_path / "another.db")

    thread.start()
    assert soon_in_child(work)
    holder.execute("COMMIT")
    holder.close()
    thread.join()
    opened[0].close()


def test_threads_fork_at_the_same_time(store: Kycore) -> None:
    codes: list[int] = []

    def work() -> None:
        for _ in range(5):
            codes.append(in_child(lambda: None))
            store.incr("n")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 15
    assert store["n"] == 15


def test_a_database_removed_during_a_fork_is_not_made_again(path: Path) -> None:
    store = Kycore(path)
    store.save("k", 1)
    other = Kycore(path)
    assert in_child(lambda: None) == 0
    for file in path.parent.glob("kycli.db*"):
        file.unlink()
    with pytest.raises(CannotOpenError, match="removed or replaced"):
        store.getkey("k")
    store.close()
    other.close()
    assert os.listdir(path.parent) == []


def test_in_memory_stays_with_the_parent() -> None:
    with Kycore(":memory:") as store:
        store.save("k", 1)

        def work() -> None:
            with pytest.raises(ForkError):
                store.getkey("k")

        assert in_child(work) == 0
        assert store["k"] == 1


def test_a_process_that_ends_without_closing_is_silent(path: Path) -> None:
    code = """
        import os, sys
        from kycli import Kycore
        store = Kycore(sys.argv[1])
        store.save("k", 1)
        iterator = iter(store)
        next(iterator)
        if os.fork() == 0:
            store.save("child", 1)
            sys.exit(0)
        os.wait()
    """
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    with Kycore(path) as store:
        assert list(store) == ["child", "k"]


WRITER = """
    import sys
    from kycli import Kycore
    store = Kycore(sys.argv[1])
    number, say = int(sys.argv[2]), sys.stdout
    while True:
        number += 1
        n = store.incr("n")
        say.write(f"n {n}\\n"); say.flush()
        store.save(f"k{number % 97}", str(number) * (number % 300))
        say.write(f"k{number % 97} {number}\\n"); say.flush()
        with store.transaction():
            store.save("left", number)
            store.save("right", number)
        say.write(f"left {number}\\n"); say.flush()
        store.save_many((f"b{i}", number) for i in range(40))
        say.write(f"b39 {number}\\n"); say.flush()
        store.delete(f"k{(number + 40) % 97}")
        store.save("brief", number, ttl=0.002)
"""


def kill_a_writer(path: Path, rounds: int, seed: int) -> None:
    """Kill a writing process at random moments; what it acknowledged must be there.

    SIGKILL shows what a crash of the program leaves behind, not what a power loss does.
    """
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: dict[str, int] = {"n": 0, "left": 0, "b39": 0}
    number = 0
    for _ in range(rounds):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(number)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        writer.send_signal(signal.SIGKILL)
        lines = [first, *writer.stdout.readlines()]
        writer.stdout.close()
        writer.wait()
        for line in lines:
            if line.endswith("\n"):
                name, value = line.split()
                acknowledged[name] = int(value)
                if name != "n":
                    number = max(number, int(value))
        number += 1000  # what follows is never mistaken for what came before

        live = invariants.check(path)

        values = {key: found[0] for (_, key), found in live.items()}
        assert acknowledged["n"] <= values["n"] <= acknowledged["n"] + 1
        acknowledged["n"] = values["n"]
        if acknowledged["left"]:
            assert values["left"] >= acknowledged["left"]
            assert values["left"] == values["right"]
        if acknowledged["b39"]:
            assert {values[f"b{i}"] for i in range(40)} == {values["b39"]}
            assert values["b39"] >= acknowledged["b39"]


@pytest.mark.alone
def test_a_killed_writer_loses_nothing_it_acknowledged(path: Path) -> None:
    kill_a_writer(path, 8, random.randrange(2**32))


@pytest.mark.soak
def test_a_killed_writer_loses_nothing_it_acknowledged_in_200_rounds(path: Path) -> None:
    kill_a_writer(path, 200, random.randrange(2**32))


@pytest.mark.alone
def test_a_process_killed_while_creating_leaves_nothing_that_is_half_made(tmp_path: Path) -> None:
    code = "import sys; from kycli import Kycore; print('go', flush=True); Kycore(sys.argv[1])"
    chance = random.Random()
    for round in range(10):
        path = tmp_path / str(round) / "kycli.db"
        maker = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        assert maker.stdout is not None
        maker.stdout.readline()
        time.sleep(chance.uniform(0, 0.01))
        maker.kill()
        maker.stdout.close()
        maker.wait()
        with Kycore(path) as store:
            store.save("k", 1)
        invariants.check(path)
        assert os.listdir(path.parent) == ["kycli.db"]
