"""``kyi`` and ``kye``: files to keys and back, on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli.harness import Call, Result, Terminal, program

from kycli import Kycore
from kycli.core.location import default_database
from kycli.core.search import indexing
from kycli.core.search.indexing import State


@pytest.fixture
def file(home: Path) -> Path:
    (home / "users.csv").write_text("key,value\na.b,007\nc,x\n")
    return home / "users.csv"


def test_a_file_is_imported_and_exported(run: Call, file: Path) -> None:
    done = run("kyi", "users.csv")
    assert (done.code, done.out) == (0, b"")
    assert done.err == "users.csv: 2 rows: 2 created\n"
    assert run("kyg", "a.b").out == b"007\n"
    assert run("kycli", "history", "c").lines[0].split("\t")[1] == "imported"
    assert run("kye", "out.csv").err == "exported 2 keys\n"
    assert Path("out.csv").read_text() == file.read_text()
    assert run("kye", "-", "jsonl").lines[0] == '{"key":"a.b","value":"007"}'
    assert run("kye", "out.jsonl", "-q").err == ""
    assert Path("out.jsonl").read_text() == run("kye", "-", "jsonl").out.decode()
    assert run("kycli", "undo").code == 0
    assert run("kyl").out == b""


def test_what_scan_prints_is_imported(call: Call, file: Path) -> None:
    call("kys", "n", "--json", "[1,2.0]")
    call("kyi", "users.csv", "-q")
    text = call("kycli", "scan", "--jsonl").out
    done = call("kycli", "import", "-", "--format", "jsonl", "--scope", "copy", stdin=text)
    assert done.err == "standard input: 3 rows: 3 created\n"
    assert call("kycli", "scan", "--scope", "copy").out == call("kycli", "scan").out


def test_counts_as_json(call: Call, file: Path) -> None:
    call("kys", "c", "old")
    done = call("kyi", "users.csv", "--json", "-q")
    assert json.loads(done.out) == {
        "files": 1, "read": 2, "created": 1, "overwritten": 1, "unchanged": 0, "skipped": 0,
        "rejected": 0, "change": 2,
    }  # fmt: skip
    assert done.err == ""


def test_the_index_is_updated_at_the_end(run: Call, file: Path, database: Path) -> None:
    def seen() -> int | None:
        with Kycore(database) as store:
            return State(store).watermark

    assert run("kyi", "users.csv", "--index", "--dry-run").code == 0
    assert not database.exists()
    assert run("kyi", "users.csv").code == 0
    assert seen() is None
    done = run("kyi", "users.csv", "users.csv", "--index", "--prefix", "more:", "--json", "-q")
    assert json.loads(done.out)["created"] == 2
    assert (done.code, done.err, seen()) == (0, "", 4)
    assert run("kycli", "search", "007").lines == ["a.b\t007", "more:a.b\t007"]


def test_an_index_that_is_interrupted_keeps_the_rows(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(indexing, "catch_up", interrupt)
    done = call("kyi", "users.csv", "--index")
    assert done.code == 130
    assert "2 created\n" in done.err
    assert "the rows are kept" in done.err
    assert call("kyg", "c").out == b"x\n"


def test_flags(call: Call, home: Path) -> None:
    (home / "t.txt").write_text("x;Ada;36\ny;'a;b';1\n")
    words = ["--no-header", "--key-column", "1", "--columns", "2,3", "--delimiter", ";"]
    call("kyi", "t.txt", "--format", "csv", "--quote", "'", "--prefix", "p:", *words)
    assert call("kyg", "p:y").out == b'{"2":"a;b","3":"1"}\n'
    (home / "u.tsv").write_text("id\twhere\tv\n1\talpha.x\tone\n")
    call("kyi", "u.tsv", "--key-column", "id", "--value-column", "v", "--scope-column", "where")
    assert call("kycli", "get", "alpha.x.1").out == b"one\n"
    assert (
        call("kyi", "u.tsv", "--key-column", "id", "--value-column", "v", "--ttl", "60").code == 0
    )
    assert 0 < float(call("kycli", "ttl", "1").out) <= 60


def test_several_files_are_one_change(call: Call, file: Path, home: Path) -> None:
    (home / "more.csv").write_text("key,value\nd,1\n")
    (home / "bad.csv").write_text("key,value\nd\n")
    failed = call("kyi", "users.csv", "bad.csv")
    assert failed.failed_clearly
    assert failed.err == "kycli: bad.csv, line 2: 1 field, and the header has 2\n"
    assert call("kyl").out == b""
    assert call("kyi", "users.csv", "more.csv").err.count("\n") == 2
    assert call("kycli", "undo").code == 0
    assert call("kyl").out == b""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.csv"], "missing.csv: No such file or directory"),
        (["-"], "which format is standard input in?"),
        (["users.csv", "--format", "xml"], "unknown format 'xml'"),
        (["users.csv", "--on-conflict", "x"], "unknown policy 'x' for conflicts"),
        (["users.csv", "--on-error", "x"], "unknown way 'x' to go on after an error"),
        (["users.csv", "--batch", "0"], "--batch '0': not a whole number of 1 or more"),
        (["users.csv", "--dry-run", "--batch", "5"], "a dry run has no batches"),
        (["users.csv", "--encoding", "x"], "unknown encoding 'x'"),
        (["users.csv", "--delimiter", "ab"], "--delimiter 'ab': not one character"),
        (["users.csv", "--columns", "a", "--value-column", "b"], "exclude each other"),
        (["users.csv", "--ttl", "5", "--scope", "p.n"], "'p.n' is not a cache"),
        (["users.csv", "users.csv", "--rejects", "r"], "--rejects is for one file"),
        (["."], "its name does not say what format it is in"),
        ([".", "--format", "csv"], ".: Is a directory"),
    ],
)
def test_what_cannot_be_is_said(call: Call, file: Path, words: list[str], message: str) -> None:
    done = call("kyi", *words)
    assert done.failed_clearly
    assert message in done.err
    assert call("kyl").out == b""


def test_a_failed_look_at_the_files_makes_no_database(call: Call, database: Path) -> None:
    assert call("kyi", "missing.csv").failed_clearly
    assert not database.exists()


def test_a_dry_run(call: Call, file: Path, database: Path) -> None:
    done = call("kyi", "users.csv", "--dry-run")
    assert done.err == "users.csv: 2 rows: 2 created (nothing was changed)\n"
    assert not database.exists()


def test_rejects(call: Call, home: Path) -> None:
    (home / "a.csv").write_text("key,value\na,1\n,2\nb\n")
    done = call("kyi", "a.csv", "--rejects", "bad.csv")
    assert done.code == 0
    assert done.err == (
        "a.csv: 3 rows: 1 created, 2 rejected\n"
        "the first rejected: a.csv, line 3: the key is empty\n"
    )
    assert (home / "bad.csv").read_text() == (
        'key,value,_line,_reason\n,2,3,the key is empty\nb,4,"1 field, and the header has 2"\n'
    )


def test_scopes(call: Call, home: Path) -> None:
    call("kycli", "set", "alpha.x.k", "1")
    call("kycli", "set", "beta.x.k", "2")
    assert call("kye", "-", "--scope", "alpha.x", "--scope", "beta.x").out == (
        b"key,value,scope\nk,1,alpha.x\nk,2,beta.x\n"
    )
    assert call("kycli", "export", "-", "--all-scopes").out == (
        b"key,value,scope\nk,1,alpha.x\nk,2,beta.x\n"
    )
    assert call("kye", "-", "--all-scopes", "--scope", "a").failed_clearly
    assert call("kye", "-", "-p", "alpha", "-n", "x").out == b"key,value\nk,1\n"
    assert call("kye", "-", "nul", "-p", "alpha", "-n", "x").out == b"k\x001\0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.parquet"], "x.parquet: its name does not say what format it is in"),
        (["x.csv.bz2"], "x.csv.bz2: its name does not say what format it is in"),
        (["x.csv", "parquet"], "unknown format 'parquet'"),
        (["x.sqlite"], "sqlite is a format for imports alone"),
    ],
)
def test_a_format_that_nothing_is_exported_in(
    call: Call, home: Path, words: list[str], message: str
) -> None:
    done = call("kye", *words)
    assert done.failed_clearly
    assert message in done.err
    assert "the formats are csv, tsv, json, jsonl, nul, dotenv" in done.err
    assert not (home / words[0]).exists()


def test_a_name_without_an_ending_is_csv(call: Call, home: Path) -> None:
    call("kys", "a", "1")
    assert call("kye", "keys").code == 0
    assert (home / "keys").read_text() == "key,value\na,1\n"


def test_a_file_is_replaced_after_asking_where_somebody_can_answer(call: Call, home: Path) -> None:
    call("kys", "a", "1")
    file = home / "keys.csv"
    file.write_text("before")
    done = call("kye", "keys.csv", stdin=Terminal(b"n\n"), tty=True)
    assert (done.code, file.read_text()) == (1, "before")
    assert done.err.startswith("keys.csv exists; overwrite it? [y/N] ")
    for answer, flags in ((Terminal(b"y\n"), []), (Terminal(b""), ["-y"]), (b"", [])):
        file.write_text("before")
        assert call("kye", "keys.csv", *flags, stdin=answer, tty=True).code == 0
        assert file.read_text() == "key,value\na,1\n"
    file.unlink()
    assert call("kye", "keys.csv", stdin=Terminal(b""), tty=True).code == 0


def test_an_export_to_a_terminal_controls_nothing(call: Call) -> None:
    call("kys", "k", "\x1b[31mred")
    assert b"\x1b" not in call("kye", "-", tty=True).out
    assert b"\x1b" in call("kye", "-").out


def test_a_reader_that_goes_is_no_error(run: Call, home: Path) -> None:
    (home / "a.csv").write_text("key,value\n" + "".join(f"{n},{'x' * 100}\n" for n in range(9000)))
    run("kyi", "a.csv")
    done = subprocess.run(
        ["bash", "-c", f"{program('kye')} - | head -n 1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("key,value\n0\n", "")


def interrupt(*words: str) -> Result:
    """Run an installed command and interrupt it when it has read some of a pipe or file."""
    process = subprocess.Popen(
        [program(words[0]), *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    database = default_database()[0]
    while time.monotonic() < deadline and not (os.path.exists(database) and _has_keys(database)):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return Result(process.returncode, out, err.decode())


def _has_keys(database: str) -> bool:
    with Kycore(database) as store:
        return bool(store)


@pytest.mark.alone
def test_an_interrupted_import_says_how_it_goes_on(run: Call, home: Path) -> None:
    count = 60_000
    (home / "a.csv").write_text("key,value\n" + "".join(f"x{n},{n}\n" for n in range(count)))
    done = interrupt("kyi", "a.csv", "--batch", "100", "--prefix", "p x")
    if done.code == 0:
        pytest.skip("it was done before it could be interrupted")
    assert done.code == -signal.SIGINT
    said, hint = done.err.splitlines()
    assert said.startswith("kycli: interrupted; the first ")
    assert hint == "hint: to go on: kyi a.csv --prefix 'p x' --resume"
    kept = int(run("kycli", "count").out)
    assert said.split()[4].replace(",", "") == str(kept)
    again = run("kyi", "a.csv", "--prefix", "p x", "--resume")
    assert again.code == 0
    assert f" after the first {kept:,}: {count - kept:,} created" in again.err
    assert int(run("kycli", "count").out) == count
    assert run("kycli", "undo").code == 0
    assert int(run("kycli", "count").out) == 0


@pytest.mark.alone
def test_an_interrupted_import_without_batches_leaves_nothing(run: Call, home: Path) -> None:
    os.mkfifo(home / "pipe")
    process = subprocess.Popen(
        [program("kyi"), "pipe", "--format", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with (home / "pipe").open("w") as pipe:
        pipe.write("key,value\n" + "x,1\n" * 100_000)
        pipe.flush()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert err == b"kycli: interrupted; nothing was imported\n"
    assert run("kyl").out == b""


def test_a_failed_import_in_batches_says_what_is_kept_and_how_it_goes_on(
    call: Call, home: Path
) -> None:
    text = "key,value\n" + "".join(f"k{n},1\n" for n in range(25))
    (home / "one.csv").write_text("key,value\na,1\n")
    (home / "two.csv").write_text(f"{text}bad\nlast,1\n")
    (home / "-three.csv").write_text("key,value\nb,1\n")
    done = call("kyi", "--batch", "10", "--prefix", "p x", "--", "one.csv", "two.csv", "-three.csv")
    assert done.code == 1
    assert done.err.splitlines()[1:] == [
        "kycli: two.csv, line 27: 1 field, and the header has 2; "
        "one.csv is imported, and of two.csv the first 20 rows are kept",
        "hint: to go on without such rows: kyi two.csv ./-three.csv --batch 10 --prefix 'p x' "
        "--on-error skip --resume",
    ]
    words = ["two.csv", "./-three.csv", "--batch", "10", "--prefix", "p x", "--on-error", "skip"]
    assert call("kyi", *words, "--resume").code == 0
    assert call("kycli", "count").out == b"28\n"


def test_a_file_that_is_broken_says_what_is_kept(call: Call, home: Path) -> None:
    (home / "a.jsonl").write_text('["a",1]\n["b",2]\n')
    (home / "a.json").write_text('[["a",1],["b",2],["c",3],\n["d"')
    done = call("kyi", "a.json", "--batch", "2")
    assert done.failed_clearly
    said, hint = done.err.splitlines()
    assert said.startswith("kycli: a.json, line 2: not JSON: ")
    assert said.endswith("; the first 2 rows are kept")
    assert hint == "hint: import it again when it is mended; what is there stays as it is"


def test_what_an_interrupted_import_had_imported_is_gone(call: Call, home: Path) -> None:
    text = "key,value\n" + "".join(f"k{n},1\n" for n in range(25))
    (home / "a.csv").write_text(f"{text}bad\n")
    call("kyi", "a.csv", "--batch", "10", "--scope", "big")
    call("kycli", "drop-scope", "big", "-y")
    done = call("kyi", "a.csv", "--scope", "big", "--resume", "--on-error", "skip")
    assert done.err.splitlines()[0] == (
        "a.csv: what had been imported is gone, so it began at the start"
    )
    assert call("kycli", "count", "--scope", "big").out == b"25\n"


# ---------------------------------------------------------------- all there is


def test_a_store_goes_elsewhere_with_its_history(run: Call) -> None:
    run("kys", "a", "1")
    run("kys", "a", "2")
    run("kys", "gone", "x")
    run("kyd", "gone")
    run("kycli", "admin", "create-cache", "shop.cart", "timeout=1800")
    run("kycli", "set", "shop.cart.k", "v")
    done = run("kye", "all.kycli.gz", "--all-scopes", "--history")
    assert done.err == "exported 2 keys, 5 changes, 1 archived value\n"
    history = run("kycli", "history", "--json").out
    os.environ["KYCLI_DB_PATH"] = "other.db"
    try:
        assert run("kyi", "all.kycli.gz", "--dry-run").err == (
            "all.kycli.gz: 2 keys, 5 changes, 1 archived value, 2 scopes (nothing was changed)\n"
        )
        assert run("kyi", "all.kycli.gz").err == (
            "all.kycli.gz: 2 keys, 5 changes, 1 archived value, 2 scopes\n"
        )
        assert run("kycli", "history", "--json").out == history
        assert run("kycli", "admin", "list-caches").out == b"shop.cart\t1800\n"
        assert run("kyr", "gone").code == 0
        again = run("kyi", "all.kycli.gz")
        assert (again.code, again.out) == (1, b"")
        assert again.err.count("\n") == 2
        assert "two pasts are never mixed" in again.err
        done = run("kyi", "all.kycli.gz", "--values-only", "--on-conflict", "skip", "--json")
        assert json.loads(done.out)["skipped"] == 2
    finally:
        del os.environ["KYCLI_DB_PATH"]


def test_one_scope_goes_elsewhere(run: Call) -> None:
    run("kycli", "set", "shop.cart.k", "v")
    assert run("kye", "one.kycli", "--scope", "shop.cart").err == "exported 1 key\n"
    assert run("kyi", "one.kycli", "--scope", "copy").err == "one.kycli: 1 key, 1 scope\n"
    assert run("kycli", "get", "k", "--scope", "copy").out == b"v\n"
    assert run("kycli", "undo", "--scope", "copy").code == 0
    refused = run("kyi", "one.kycli")
    assert refused.code == 1
    assert "scope 'shop.cart' has keys or archived values already" in refused.err
    assert run("kye", "one.csv", "--history").code == 1
    assert not Path("one.csv").exists()


@pytest.mark.alone
def test_a_killed_import_of_everything_leaves_nothing(run: Call, home: Path) -> None:
    lines = (f'{{"key":"k{n}","value":"v{n}"}}\n' for n in range(20_000))
    (home / "in.jsonl").write_text("".join(lines))
    run("kyi", "in.jsonl", "-q")
    run("kye", "all.kycli", "--history", "-q")
    environment = {**os.environ, "KYCLI_DB_PATH": "other.db"}
    with subprocess.Popen([program("kyi"), "all.kycli"], env=environment) as process:
        while not Path("other.db-wal").exists() or os.path.getsize("other.db-wal") < 100_000:
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    done = subprocess.run([program("kycli"), "doctor"], env=environment, capture_output=True)
    assert done.returncode == 0
    subprocess.run([program("kyi"), "all.kycli"], env=environment, check=True)


def test_the_command_line_says_what_does_not_meet_a_schema(run: Call, home: Path) -> None:
    run("kycli", "set", "kept", "--json", "1", "--scope", "users")
    Path("users.json").write_text('{"name": "str"}')
    assert run("kycli", "schema", "set", "users", "users.json", "--existing", "keep").code == 0
    done = run("kye", "all.kycli", "--all-scopes")
    assert done.err == "exported 1 key, 1 schema\n"
    done = run("kyi", "all.kycli", "-d", "copy.db")
    assert done.err == (
        "all.kycli: 1 key, 1 scope, 1 schema\n"
        "1 value does not meet the schema; to list them: kycli schema check SCOPE\n"
    )
    assert run("kycli", "schema", "check", "users", "-d", "copy.db").code == 1
