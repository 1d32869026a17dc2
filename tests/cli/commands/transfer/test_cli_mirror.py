"""``kycli mirror``: what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli.harness import Call, on_a_terminal, program


def test_the_summary_of_both(call: Call, home: Path) -> None:
    call("kycli", "set", "a.b.k", "v")
    call("kycli", "set", "a.b.doc", "--json", "[1]")
    assert call("kycli", "mirror", "export", "m").err == "m: 2 keys: 2 created\n"
    Path("m/a/b/k").write_text("edited")
    call("kycli", "set", "a.b.k", "v2")
    call("kycli", "del", "a.b.doc")
    done = call("kycli", "mirror", "export", "m", "--json")
    assert json.loads(done.out) == {
        "keys": 1, "created": 0, "overwritten": 0, "unchanged": 0, "removed": 1, "kept": 1
    }  # fmt: skip
    assert done.err.splitlines() == [
        "m: 1 key: 1 removed, 1 kept",
        "1 file was edited since the last export, and kept; the first: m/a/b/k",
        "hint: 'kycli mirror import DIR' reads edited files, "
        "'kycli mirror export DIR --force' overwrites them",
    ]
    done = call("kycli", "mirror", "import", "m", "--json", "-q")
    assert json.loads(done.out).items() >= {"read": 1, "overwritten": 1, "deleted": 0}.items()
    assert done.err == ""
    assert call("kycli", "get", "a.b.k").out == b"edited\n"


def test_scopes_of_flags(call: Call) -> None:
    for scope in ("a", "a.x", "b"):
        call("kycli", "set", "k", "v", "--scope", scope)
    assert "2 keys" in call("kycli", "mirror", "export", "m", "--scope", "a", "--scope", "b").err
    assert "1 key:" in call("kycli", "mirror", "export", "m2", "-p", "a", "-n", "x").err
    assert "1 file:" in call("kycli", "mirror", "import", "m", "-p", "b").err
    assert sorted(os.listdir("m")) == [".kycli-mirror", "a", "b"]


@pytest.mark.parametrize(
    "words",
    [
        ("export", ""),
        ("export", "missing/m"),
        ("export", "full"),
        ("export", "full/x"),
        ("export",),
        ("export", "m", "--scope", "a,b c"),
        ("import", ""),
        ("import", "missing"),
        ("import", "full"),
        ("import", "/dev/null"),
        ("import", "m", "--on-conflict", "never"),
    ],
)
def test_what_cannot_work_is_refused(call: Call, words: tuple[str, ...]) -> None:
    call("kys", "k", "v")
    call("kycli", "mirror", "export", "m")
    Path("full").mkdir()
    Path("full/x").write_text("x")
    assert call("kycli", "mirror", *words).failed_clearly


def test_without_a_database_a_mirror_is_not_emptied(call: Call) -> None:
    call("kys", "k", "v")
    call("kycli", "mirror", "export", "m")
    done = call("kycli", "mirror", "export", "m", "-d", "other.db")
    assert done.failed_clearly
    assert Path("m/default/default/k").read_text() == "v"
    assert not Path("other.db").exists()


def test_a_dry_run_makes_nothing(call: Call) -> None:
    call("kys", "k", "v")
    done = call("kycli", "mirror", "export", "m", "--dry-run")
    assert done.err == "m: 1 key: 1 created (nothing was changed)\n"
    assert not Path("m").exists()
    call("kycli", "mirror", "export", "m")
    done = call("kycli", "mirror", "import", "m", "-d", "other.db", "--dry-run")
    assert done.err == "m: 1 file: 1 created (nothing was changed)\n"
    assert not Path("other.db").exists()


def test_names_are_escaped_on_a_terminal(call: Call) -> None:
    call("kys", "k", "v")
    call("kycli", "mirror", "export", "m")
    Path("m/\x1b[31m").write_text("x")
    assert "\x1b[31m" not in call("kycli", "mirror", "import", "m", tty=True).err


def test_a_full_disk_says_so_and_the_next_export_completes(call: Call, run: Call) -> None:
    for key in ("a", "b"):
        call("kys", key, "-", stdin=b"x" * (1 if key == "a" else 100_000))
    limit = (50_000, 50_000)
    done = subprocess.run(
        [program("kycli"), "mirror", "export", "m"],
        capture_output=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"kycli: m/default/default/b: File too large\n"
    assert "1 created, 1 unchanged" in call("kycli", "mirror", "export", "m").err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_signal_in_the_middle_of_an_export(call: Call, number: int) -> None:
    rows = "".join(f'["k{n}","{n}"]\n' for n in range(4000))
    call("kyi", "-", "--format", "jsonl", stdin=rows.encode())
    work = subprocess.Popen([program("kycli"), "mirror", "export", "m"], stderr=subprocess.PIPE)
    while not Path("m/default/default").is_dir() or len(os.listdir("m/default/default")) < 100:
        time.sleep(0.001)
    work.send_signal(number)
    said = work.communicate()[1]
    assert work.returncode in (-signal.SIGKILL, -signal.SIGINT)
    assert b"Traceback" not in said
    done = call("kycli", "mirror", "import", "m", "-d", "copy.db")
    assert "the last export to m was interrupted" in done.err
    done = call("kycli", "mirror", "export", "m", "--json")
    counts = json.loads(done.out)
    assert (counts["keys"], counts["kept"]) == (4000, 0)
    assert counts["unchanged"] >= 99
    assert call("kycli", "mirror", "import", "m", "-d", "copy2.db").code == 0
    assert call("kye", "-", "-d", "copy2.db").out == call("kye", "-").out


def test_a_signal_in_the_middle_of_an_import_leaves_nothing(call: Call) -> None:
    call("kys", "k", "v")
    call("kycli", "mirror", "export", "m")
    for n in range(5000):
        Path(f"m/default/default/k{n}").write_text("v")
    work = subprocess.Popen([program("kycli"), "mirror", "import", "m", "-d", "copy.db"],
                            stderr=subprocess.PIPE)  # fmt: skip
    while not Path("copy.db-wal").exists():
        assert work.poll() is None
        time.sleep(0.001)
    work.send_signal(signal.SIGINT)
    said = work.communicate()[1].decode()
    if work.returncode == -signal.SIGINT:  # it may have been done before
        assert "nothing was imported" in said or said == ""
        assert call("kycli", "count", "-d", "copy.db").out == b"0\n"


def test_progress_on_a_terminal_leaves_one_line(call: Call) -> None:
    call("kys", "k", "v")
    assert on_a_terminal("kycli", "mirror", "export", "m") == "m: 1 key: 1 created\n"
