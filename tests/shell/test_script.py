"""Commands that the shell reads from a pipe."""

from __future__ import annotations

import os
import subprocess

import pytest
from shell.terminals import BIN

from kycli import Kycore


def script(text: str | bytes, *flags: str) -> tuple[int, str, str]:
    data = text.encode() if isinstance(text, str) else text
    done = subprocess.run(
        [os.path.join(BIN, "kyshell"), *flags], input=data, capture_output=True, timeout=60
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_script_runs_to_its_end(store: Kycore) -> None:
    text = (
        "# a comment\n\nset a 1\nkycli set 'b c' \"two\nlines\" # the same grammar\n"
        "use --here alpha\nkys k v \\\n\nkyl\nkyg --scope default 'b c'\nuse\nversion -q"
    )
    code, out, err = script(text)
    assert (code, err) == (0, "from this shell\n")
    assert out.startswith("k\ntwo\nlines\nalpha\nkycli ")


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("set a 1\n\nget nope\nset b 2", 2, "kycli: line 3: no key 'nope' in scope 'default'\n"),
        ("set a 1\nfrob\nset b 2", 1, "kycli: line 2: unknown command 'frob'\n"),
        ("set a 1\nset b 'x\ny'\nset c --ttl x 1\nset d 1", 1, "kycli: line 4: "),
        ("set a 1\nget 'x\nset b 2", 1, "kycli: line 2: the quote ' is not closed\n"),
        ("set a 1\nexists nope\nset b 2", 2, "kycli: line 2: exit code 2\n"),
        ("set a 1\nrun -- sh -c 'exit 7'\nset b 2", 7, "kycli: line 2: exit code 7\n"),
        ("set a 1\nset b -\n", 1, "kycli: line 2: there is no standard input for this command\n"),
        ("set a 1\ndrop-scope default\nset b 2", 1, "kycli: line 2: no terminal to ask on"),
        ("set a 1\nkyshell\nset b 2", 1, "kycli: line 2: this is the shell already\n"),
        ("set a 1\nget a\0b\nset b 2", 1, "kycli: line 2: a NUL"),
    ],
)
def test_the_first_failure_ends_it(store: Kycore, text: str, code: int, said: str) -> None:
    found, _, err = script(text)
    assert found == code
    assert err.startswith(said)
    assert [line[:6] for line in err.splitlines()[1:]] in ([], ["hint: "])
    assert store.getkey("a") == "1"
    assert store.getkey("b") in (None, "x\ny")
    assert store.getkey("d") is None


def test_transactions_of_a_script(store: Kycore) -> None:
    assert script("begin\nset a 1\nset b 2\ncommit\nbegin\nset a 2\nrollback\n")[0] == 0
    assert store.get_many(["a", "b"]) == {"a": "1", "b": "2"}
    assert len({change.change for change in store.get_history()}) == 1
    code, _, err = script("set c 1\nbegin\nset a 3\n")
    assert (code, store.getkey("a")) == (1, "1")
    assert err.startswith("kycli: line 2: the transaction that begins here was not committed")
    assert script("begin\nset a 3\nget nope\ncommit\n")[0] == 2
    assert script("begin\nset a 3\nexit\n")[0] == 1
    assert script("commit\n")[2].startswith("kycli: line 1: no transaction to commit\n")
    assert store.getkey("a") == "1"


def test_exit_ends_a_script_and_flags_hold_for_all_of_it(store: Kycore, home: object) -> None:
    assert script("set a 1\nexit\nset b 2\n", "-d", "other.db", "--scope", "alpha") == (0, "", "")
    assert script("kyl --scope alpha", "-d", "other.db") == (0, "a\n", "")
    assert store.getkey("a", scope="alpha") is None


def test_the_commands_of_the_shell_are_refused_elsewhere() -> None:
    for name in ("begin", "commit", "rollback", "exit"):
        done = subprocess.run(
            [os.path.join(BIN, "kycli"), name], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith(f"kycli: '{name}' is for kyshell\nhint: ")
    done = subprocess.run(
        [os.path.join(BIN, "kycli"), "use", "--here", "x"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr[:22]) == (1, "kycli: --here is for a")
