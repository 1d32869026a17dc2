"""What is saved while a program ends: committed, or refused aloud."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from kycli import Kycore

HOLDER = """
    class Holder:
        def __init__(self):
            self.store = Kycore(path, durability=durability)
            self.me = self  # in a cycle, so that it goes with the last

        def __del__(self):
            for key, value in (("k", 1), ("document", {"a": [1]}), ("large", "x" * 2000)):
                self.store.save(key, value, scope="at.exit")
                print(key)
            self.store.close()
"""
AT_THE_END = {
    "the last global": HOLDER + "\n    holder = Holder()",
    "in builtins": HOLDER + "\n    import builtins; builtins.holder = Holder()",
    "after others were saved": HOLDER + "\n    holder = Holder(); holder.store.save('before', 1)",
    "in a module": HOLDER
    + "\n    import types; module = sys.modules['m'] = types.ModuleType('m'); module.h = Holder()",
    "opened at the end": HOLDER
    + "\n    class Late:\n        def __del__(self): Holder()\n    late = Late()",
    "registered": """
    import atexit

    def end():
        store.save("k", 1)
        print("k")

    store = Kycore(path, durability=durability)
    atexit.register(end)
    store.save("before", 1)
    atexit.register(end)
    """,
}


def run(path: Path, durability: str, program: str) -> tuple[list[str], str]:
    """Run a program to its end; return what it printed and what Python reported."""
    head = (
        f"import sys\nfrom kycli import Kycore\npath, durability = {str(path)!r}, {durability!r}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(program)],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    return done.stdout.split(), done.stderr


@pytest.mark.parametrize("program", AT_THE_END.values(), ids=AT_THE_END)
@pytest.mark.parametrize("durability", ["normal", "async"])
def test_what_is_saved_while_a_program_ends_is_committed_or_refused(
    path: Path, durability: str, program: str
) -> None:
    acknowledged, reported = run(path, durability, program)
    with Kycore(path) as store:
        for scope, key in (("default", "before"), ("at.exit", "k"), ("at.exit", "large")):
            if key in acknowledged:
                key_scope = scope if "Holder" in program else "default"
                assert store.getkey(key, scope=key_scope) is not None
        assert store.check() == []
    if reported:
        assert "MisuseError: the program is at its end" in reported
        assert "ImportError" not in reported.splitlines()[-1]
    else:
        assert "k" in acknowledged


@pytest.mark.parametrize(
    "program", ["the last global", "in builtins", "after others were saved", "registered"]
)
def test_a_store_whose_saves_may_wait_can_save_to_the_end(path: Path, program: str) -> None:
    acknowledged, reported = run(path, "async", AT_THE_END[program])
    assert reported == ""
    assert acknowledged[-1] == "large" if program != "registered" else acknowledged == ["k", "k"]


def test_a_thread_that_saves_until_the_program_is_gone_loses_nothing(path: Path) -> None:
    for durability in ("normal", "async") * 3:
        acknowledged, reported = run(
            path,
            durability,
            """
            import os, threading, time

            def work():
                number = 0
                while True:
                    number += 1
                    store.save("n", number)
                    os.write(1, f"{number}\\n".encode())

            store = Kycore(path, durability=durability)
            threading.Thread(target=work, daemon=True).start()
            time.sleep(0.2)
            """,
        )
        assert reported == ""
        with Kycore(path) as store:
            assert store["n"] >= int(acknowledged[-1]) > 0


def test_one_store_that_cannot_commit_does_not_keep_the_others_from_it(path: Path) -> None:
    other = path.with_name("other.db")
    program = f"""
    import apsw
    stores = [Kycore(p, durability="async", busy_timeout_ms=50) for p in (path, {str(other)!r})]
    for store in stores:
        store.save("first", 1)
    holder = apsw.Connection(path)
    holder.execute("BEGIN IMMEDIATE")
    for store in stores:
        store.save("k", 1)
    """
    _, reported = run(path, "async", program)
    assert "BusyError" in reported
    with Kycore(path) as first, Kycore(other) as second:
        found: list[Any] = [store.getkey("k") for store in (first, second)]
    assert found == [None, 1]


def test_where_there_can_be_no_further_thread_a_save_does_not_wait(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reported = run(
        path,
        "async",
        """
        import os, _thread

        def refuse(*arguments):
            raise RuntimeError("can't start new thread")

        store = Kycore(path, durability=durability)
        _thread.start_new_thread = refuse
        store.save("first", 1)
        store.save("k", 1)
        os._exit(0)
        """,
    )
    assert reported == ""
    with Kycore(path) as store:
        assert store["k"] == 1
