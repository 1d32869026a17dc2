"""What a terminal is shown: no control characters of keys and values, and plain columns."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from cli.harness import Call, on_a_terminal
from hypothesis import given
from hypothesis import strategies as st

from kycli import Kycore
from kycli.cli.terminal import controls, cut, escaped, escaped_json, padded, width

ESC = "\x1b]0;pwned\x07\x1b[31m"
KEY = f"evil {ESC}\ta\nb\r\x7f\x9b31m\u202e"
SHOWN_KEY = "evil \\x1b]0;pwned\\x07\\x1b[31m\\ta\\nb\\r\\x7f\\x9b31m\\u202e"
VALUE = f"apple {ESC}\tone\ntwo\r\x9bm"
SHOWN_VALUE = "apple \\x1b]0;pwned\\x07\\x1b[31m\\tone\\ntwo\\r\\x9bm"
SHOWN_ALONE = "apple \\x1b]0;pwned\\x07\\x1b[31m\tone\ntwo\\r\\x9bm"
# What of our own is sent to a terminal: colours.
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def obeyed(shown: str, keep: str = "\n") -> set[str]:
    """Return the characters of what was shown that a terminal does something with."""
    return {c for c in STYLE.sub("", shown) if controls(c) and c not in keep}


@pytest.fixture
def evil(call: Call) -> None:
    call("kys", "--", KEY, VALUE)
    call("kys", "bytes", "-", stdin=b"\xff\x1b[2Jx")
    call("kys", "document", "--json", json.dumps({"\x7fmember": VALUE}))
    call("kys", "VARIABLE", VALUE, "--scope", "vars")
    call("kys", "command", "echo \x1b[31m hi\n\techo you")


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["kyl"], SHOWN_KEY),
        (["kyl", "-0"], SHOWN_KEY),
        (["kycli", "keys"], SHOWN_KEY),
        (["kycli", "ls"], SHOWN_KEY),
        (["kycli", "scan", "evil"], f"{SHOWN_KEY}={SHOWN_VALUE}"),
        (["kycli", "scan", "bytes"], "bytes=\\xff\\x1b[2Jx"),
        (["kyg", KEY], SHOWN_ALONE),
        (["kycli", "get", "--ns-delim", "|", KEY], SHOWN_ALONE),
        (["kyg", "no-such-key", "--default", VALUE], SHOWN_ALONE),
        (["kyg", "bytes"], "\\xff\\x1b[2Jx"),
        (["kyg", KEY, "bytes"], SHOWN_VALUE),
        (["kyrt", "1h ago", "--dry-run"], f"deleted\t{SHOWN_KEY}"),
        (["kycli", "restore-to", "1h ago", "--dry-run", "--all-scopes"],
         f"deleted\tdefault\t{SHOWN_KEY}"),
        (["kycli", "search", "apple", "--keys-only"], SHOWN_KEY),
        (["kycli", "search", "apple"], f"{SHOWN_KEY}\tapple "),
        (["kyg", "-s", "apple", "--keys-only"], SHOWN_KEY),
        (["kycli", "search", "apple", "--keys-only", "--all-scopes"], f"default\t{SHOWN_KEY}"),
        (["kycli", "env", "--scope", "vars"], f"export VARIABLE='{SHOWN_ALONE}'"),
        (["kyl", "--values-only", "--prefix", "evil"], SHOWN_VALUE),
        (["kycli", "scan", "evil", "--separator", ": "], f"{SHOWN_KEY}: {SHOWN_VALUE}"),
        (["kycli", "scan", "evil", "--values-only"], SHOWN_VALUE),
        (["kys", "--get", "--", KEY, "new"], SHOWN_ALONE),
        (["kyd", "--get", KEY], SHOWN_ALONE),
        (["ky", "get", KEY], SHOWN_ALONE),
        (["kycli", "diff", "vars", "default"], f"@@ {SHOWN_KEY}"),
        (["kyc", "--dry-run", "command"], "echo \\x1b[31m hi\n\techo you"),
        (["kyv", KEY], "evil"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_control_characters_are_escaped_on_a_terminal(
    run: Call, words: list[str], line: str
) -> None:
    shown = on_a_terminal(*words, environ={"COLUMNS": "200", "PAGER": "cat"})
    if words[0] != "kyv":
        assert STYLE.sub("", shown).replace("\0", "\n").find(line) >= 0
    assert obeyed(shown, "\n\t\0") == set()


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize(
    "words",
    [
        ["kyg", KEY, "--json"],
        ["kyg", KEY, "document", "--json"],
        ["kyg", KEY, "--jsonl"],
        ["kyg", KEY, "--meta"],
        ["kyl", "--json"],
        ["kycli", "scan", "--json"],
        ["kycli", "scan", "--jsonl"],
        ["kyv", "--json"],
        ["kycli", "search", "apple", "--jsonl"],
        ["kycli", "diff", "vars", "default", "--json"],
        ["kycli", "exists", "--json", KEY, "--ns-delim", "|"],
        ["kycli", "env", "--scope", "vars", "--format", "json"],
    ],
    ids=" ".join,
)
def test_json_on_a_terminal_means_the_same(run: Call, words: list[str]) -> None:
    shown = on_a_terminal(*words)
    assert obeyed(shown) == set()
    piped = run(*words).out.decode()
    for text, other in zip(shown.splitlines(), piped.splitlines(), strict=True):
        assert json.loads(text) == json.loads(other)


@pytest.mark.usefixtures("evil")
def test_elsewhere_and_with_raw_it_is_byte_for_byte(run: Call) -> None:
    assert f"{KEY}\n".encode() in run("kyl").out
    assert f"{KEY}\0".encode() in run("kyl", "-0").out
    assert run("kycli", "scan", "evil").out == f"{KEY}={VALUE}\n".encode()
    assert run("kyg", KEY).out == f"{VALUE}\n".encode()
    assert run("kyg", "bytes").out == b"\xff\x1b[2Jx\n"
    assert f"deleted\t{KEY}\n".encode() in run("kyrt", "1h ago", "--dry-run").out
    found = run("kycli", "search", "apple", "--keys-only", "-0").out
    assert set(found.split(b"\0")) == {KEY.encode(), b"document", b""}
    assert on_a_terminal("kyg", KEY, "--raw") == VALUE


@pytest.mark.usefixtures("evil")
def test_errors_and_remarks_show_no_control_characters(run: Call, home: Path) -> None:
    for words in (
        ["kyg", f"{KEY}x"],
        ["kyg", f"{KEY}.x"],
        ["kyd", f"{KEY}x"],
        ["kys", "--if-absent", KEY, "v"],
        ["kyr", "--version", "9", KEY],
        ["kycli", "blame", f"{KEY}x"],
        ["kycli", ESC],
        ["kyh", ESC],
        ["kycli", "get", f"{ESC}.b.c.d.e"],
        ["kyg", f"--{ESC}"],
        ["kyl", f"({ESC}"],
        ["kypatch", KEY, "--path", f"$.{ESC}[", "v"],
        ["kyc", KEY, "argument"],
        ["kycli", "run", ESC],
        ["kyg", "k", "-d", f"{home}/{ESC}/db"],
        ["kycli", "migrate", f"{home}/{ESC}"],
    ):
        result = run(*words)
        assert result.code in (1, 2)
        assert obeyed(result.err) == set()
        assert "\\x1b" in result.err


def test_names_of_files_are_shown_escaped(run: Call, home: Path) -> None:
    directory = home / f"d{ESC}"
    directory.mkdir()
    config = directory / ".kyclirc"
    config.write_text('db_path = "there.db"\n')
    environ = {"KYCLI_CONFIG": str(config)}
    for words in (["kycli", "config"], ["kycli", "config", "path"], ["kyuse"]):
        assert obeyed(on_a_terminal(*words, environ=environ), "\n\t") == set()
    assert run("kycli", "config", "path", environ=environ).out == f"{config}\n".encode()


ROWS = ["tab\tapple", "line\napple", "cr\rapple", "\u2028 apple", "\x0b\x1e apple"]


def test_rows_of_search_are_never_broken(run: Call, call: Call) -> None:
    for key in ROWS:
        call("kys", "--", key, "apple\tpie\nwith cream")
    for words in ([], ["--all-scopes"], ["--keys-only"], ["--keys-only", "--all-scopes"]):
        found = run("kycli", "search", "apple", *words).out.decode()
        rows = found.removesuffix("\n").split("\n")
        assert len(rows) == len(ROWS)
        assert "\r" not in found
        if words == ["--keys-only"]:
            assert "tab\tapple" in rows
            continue
        cells = 1 + ("--all-scopes" in words) + ("--keys-only" not in words)
        assert {row.count("\t") for row in rows} == {cells - 1}
        assert any("tab\\tapple" in row for row in rows)
    shown = on_a_terminal("kycli", "search", "apple", "-n", "9")
    assert len(shown.splitlines()) == len(ROWS)
    keys = run("kycli", "search", "apple", "--keys-only", "-0").out.decode().split("\0")
    assert sorted(keys) == sorted(["", *ROWS])


@pytest.mark.parametrize("program", [["kycli", "search"], ["kyg", "-s"]])
@pytest.mark.parametrize("end", ["\n", "\0"])
def test_keys_only_prints_keys_on_a_terminal(
    run: Call, call: Call, program: list[str], end: str
) -> None:
    call("kys", "note", "apple pie")
    words = [*program, "apple", "--keys-only", *(["-0"] if end == "\0" else [])]
    assert on_a_terminal(*words) == f"note{end}"
    assert run(*words).out.decode() == f"note{end}"


# Without escape sequences


@pytest.mark.parametrize(
    "environ",
    [
        {"NO_COLOR": "1"},
        {"NO_COLOR": "1", "PAGER": "less -S"},
        {"NO_COLOR": "1", "LESS": "-R"},
        {"TERM": "dumb"},
        {"TERM": "", "PAGER": "cat"},
    ],
    ids=str,
)
def test_a_plain_terminal_gets_no_escape_sequence(environ: dict[str, str]) -> None:
    if environ.get("PAGER") != "cat" and not shutil.which("less"):
        pytest.skip("less is not installed")
    with Kycore() as store:
        store.save_many((f"k{number}", "apple") for number in range(20))
    for words in (["kyv"], ["kycli", "blame", "k1"], ["kycli", "search", "apple"],
                  ["kycli", "list-scopes"], ["kyco"], ["kyh", "kyl"]):  # fmt: skip
        shown = on_a_terminal(*words, environ={"LINES": "100", **environ}, keys=b"q")
        assert "\x1b" not in shown
        assert shown.count("\n") >= 1


def test_progress_is_not_shown_on_a_plain_terminal(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kycli.cli.progress._FIRST_SECONDS", 0)
    call("kys", "k", "apple")
    assert "\033[K" in call("kycli", "search", "apple", tty=True).err
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
        call("kys", "k", f"apple {name}")
        assert call("kycli", "search", "apple", tty=True).err == ""
        monkeypatch.setenv("TERM", "xterm")


# The table of a history


WIDE = [
    "plain",
    "日本語のキー",
    "한국어",
    "e\u0301te\u0301",
    "👍🏽 ok",
    "👨‍👩‍👧",
    "🇩🇪",
    "ｶﾞﾅ",
    "x" * 60,
    "長" * 40,
]


@pytest.mark.parametrize("columns", [80, 100, 60, 132])
@pytest.mark.parametrize("words", [["kyv"], ["kyv", "plain"], ["kycli", "blame", "plain"]])
def test_a_table_fits_the_screen_and_is_aligned(words: list[str], columns: int) -> None:
    with Kycore() as store:
        for number, text in enumerate(WIDE):
            store.save(text, f"VALUE {WIDE[-number]} {text}" * 3)
            store.save("plain", f"VALUE {text}")
    environ = {"COLUMNS": str(columns), "NO_COLOR": "1", "PAGER": "cat"}
    title, *rows = on_a_terminal(*words, environ=environ).splitlines()
    assert len(rows) >= 10
    assert max(map(width, [title, *rows])) <= columns
    assert title.split()[:3] == ["time", "(UTC)", "operation"]
    if words[0] == "kyv" and columns >= 80:
        column = title.index("value")
        for row in rows:
            assert width(row[: row.index("VALUE")]) == column, row


def test_a_table_is_as_wide_as_what_is_in_it(call: Call) -> None:
    call("kys", "key", "value")
    environ = {"COLUMNS": "200", "NO_COLOR": "1", "PAGER": "cat"}
    title, row = on_a_terminal("kyv", environ=environ).splitlines()
    assert title == "time (UTC)               operation  version  change  key  value"
    assert row[23:] == "  created    1        1       key  value"


# The parts


@given(st.text(max_size=30))
def test_what_is_escaped_shows_all_there_is(text: str) -> None:
    shown = escaped(text)
    assert not any(map(controls, shown))
    if "\\" not in text:
        restored = re.sub(
            r"\\(x..|u....|U........|[ntr])", lambda m: eval(f'"{m[0]}"'), shown, flags=re.DOTALL
        )
        assert restored == text
    assert json.loads(escaped_json(json.dumps(text, ensure_ascii=False))) == text


def test_what_only_looks_like_something_is_not_escaped() -> None:
    for text in ("a\u00a0b", "日\u3000本", "\ue0b0", "👨‍👩‍👧", "می‌خواهم", "\U0010fffd"):
        assert escaped(text) == text


@given(
    st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20), st.integers(0, 20)
)
def test_what_is_cut_fits(text: str, columns: int) -> None:
    short = cut(text, columns)
    assert width(short) <= columns
    assert short == text or short[-1:] == "…" or not columns
    assert width(padded(short, columns)) == columns


def test_a_pager_is_given_a_dumb_terminal_only_where_that_is_wanted(call: Call) -> None:
    call("kys", "k", "v")
    pager = "sh -c 'echo $TERM; cat'"
    for environ in ({}, {"NO_COLOR": "1"}):
        shown = on_a_terminal("kyv", environ={"PAGER": pager, **environ})
        assert shown.splitlines()[0] == os.environ["TERM"]


def test_a_pager_may_be_a_script_without_an_interpreter(call: Call) -> None:
    """The kernel does not run it; a shell does."""
    call("kys", "k", "v")
    Path("pager").write_text("echo paged\ncat\n")
    Path("pager").chmod(0o755)
    shown = on_a_terminal("kyv", environ={"PAGER": os.path.abspath("pager")})
    assert shown.splitlines()[0] == "paged"
