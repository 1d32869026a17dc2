"""Completion in real shells: what the TAB key makes of a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.harness import Call
from cli.shells import Shell

from kycli import Kycore

SHELLS = ("bash", "zsh", "fish")
HOSTILE = {
    "nl": "nl\nnext",
    "es": "es\x1b[31mred",
    "bl": "bl a n k",
    "qu": "qu'o\"t`e",
    "do": "do$HOME$(touch hacked)",
    "gl": "gl*?[a]{b,c}~!#",
    "co": "co:lon=at@x",
    "um": "umläut→",
    "ba": "ba\\ck\\",
}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, call: Call) -> Iterator[Shell]:
    call("kys", "single", "1")
    with Kycore() as store:
        store.save_many(dict.fromkeys(HOSTILE.values(), 1))
        store.save_many({"user.name": 1, "user.mail": 1})
        store.save_many({"host": 1}, scope="alpha.prod")
    shell = Shell(request.param)
    if shell.name == "fish":
        shell.run("kycli completion fish | source")
    else:
        shell.run(f'eval "$(kycli completion {shell.name})"')
    shell.take_arguments("kyg", "ky", "kys")
    yield shell
    shell.close()


def test_a_key_a_flag_and_a_scope_are_completed(shell: Shell) -> None:
    assert shell.completed("kyg sin\t") == ["single"]
    assert shell.completed("kyg sin\tx") == ["single", "x"]  # with a blank after it
    assert shell.completed("kyg --sco\talp\tho\t") == ["--scope", "alpha.prod", "host"]
    assert shell.completed("ky pers\tsin\t") == ["persist", "single"]
    assert shell.completed("kyg --scope=alp\t") == ["--scope=alpha.prod"]


def test_what_several_words_have_in_common_is_inserted(shell: Shell) -> None:
    assert shell.completed("kyg us\tna\t") == ["user.name"]
    shell.type("kyg user.\t" + listing(shell))
    shell.wait_for("user.mail")
    assert shell.completed("n\t") == ["user.name"]


def test_lists_show_control_characters_escaped(shell: Shell) -> None:
    with Kycore() as store:
        store.save_many({"lis\x1b]0;title\x07one": 1, "listwo": 1})
    shell.type("kyg lis\t" + listing(shell))
    shown = shell.wait_for("listwo")
    assert "\x1b]0;title" not in shown
    assert "title" in shown or "title" in shell.wait_for("title")
    assert shell.completed("t\t") == ["listwo"]


def test_quotes_that_are_open_stay_so(shell: Shell) -> None:
    assert shell.completed("kyg 'bl a\t") == ["bl a n k"]
    assert shell.completed('kyg "bl a\t') == ["bl a n k"]
    assert shell.completed("kyg bl\\ a\t") == ["bl a n k"]
    assert shell.completed("kyg 'do$HO\t") == [HOSTILE["do"]]
    assert shell.completed("kyg 'us\tna\t") == ["user.name"]


def test_files_are_those_of_the_shell(shell: Shell, home: Path) -> None:
    (home / "some file.csv").touch()
    shell.take_arguments("kyi")
    assert shell.completed("kyi so\t") == ["some file.csv"]
    assert shell.completed("kyi ~/so\t") == [f"{home}/some file.csv"]
    assert shell.completed("kyi --rejects=so\t") == ["--rejects=some file.csv"]


def test_a_key_beside_other_commands_is_completed(shell: Shell) -> None:
    assert shell.completed("true; kyg sin\t") == ["single"]
    assert shell.completed("true && kyg sin\t") == ["single"]
    shell.run("touch target-file")
    assert shell.completed("kyg single >target-f\t") == ["single"]


def test_nothing_is_said_where_nothing_can_be_read(shell: Shell, database: Path) -> None:
    database.unlink()
    assert shell.completed("kyg sin\t") == ["sin"]
    assert not database.exists()
    database.write_bytes(b"no database" * 1000)
    assert shell.completed("kyg sin\t") == ["sin"]
    assert "kycli:" not in shell.shown


def listing(shell: Shell) -> str:
    """Return what is typed after a TAB to see the list: bash wants it twice."""
    return "\t" if shell.name == "bash" else ""


def test_hostile_keys_arrive_as_they_are(shell: Shell) -> None:
    for start, key in HOSTILE.items():
        assert shell.completed(f"kyg {start}\t") == [key]
