"""kycli edit: a value in the user's editor."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.harness import program

from kycli import Kycore

Edit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "kycli.db")


@pytest.fixture
def edit(tmp_path: Path, path: str) -> Edit:
    """Run ``ky edit`` with an editor that is a line of sh, in which $1 is the file."""

    def run(
        line: str, *words: str, name: str = "ky", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "the editor"
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o700)
        env = {**os.environ, "KYCLI_DB_PATH": path, "TMPDIR": str(tmp_path / "tmp")}
        (tmp_path / "tmp").mkdir(exist_ok=True)
        env.pop("VISUAL", None)
        env.update({"EDITOR": shlex.quote(str(script)), **variables})
        return subprocess.run(
            [program(name), "edit", *words],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def kept(done: subprocess.CompletedProcess[str]) -> Path:
    found = re.search(r"what was written is kept in (.*)", done.stderr)
    assert found, done.stderr
    return Path(found[1])


def left(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "tmp")


@pytest.mark.parametrize(
    ("value", "line", "after"),
    [
        ("one", 'echo two > "$1"', "two"),
        ("one\n", 'echo two > "$1"', "two\n"),
        ("one", "printf 'two\\n\\n' > \"$1\"", "two\n"),
        ("", 'echo words > "$1"', "words"),
        (b"\xff\x00", "printf '\\377\\001' > \"$1\"", b"\xff\x01"),
        ({"a": 1, "b": [2]}, 'sed -i \'s/1/"x"/\' "$1"', {"a": "x", "b": [2]}),
        (42, 'echo 43 > "$1"', 43),
        (True, 'echo null > "$1"', None),
    ],
)
def test_what_is_saved_in_the_editor_is_the_value(
    edit: Edit, path: str, tmp_path: Path, value: object, line: str, after: object
) -> None:
    with Kycore(path) as kv:
        kv.save("k", value, ttl=3600)
        done = edit(line, "k")
        assert (done.returncode, done.stderr) == (0, "")
        assert kv["k"] == after
        assert type(kv["k"]) is type(after)
        assert kv.ttl("k") is not None
        change = kv.get_history("k")[0]
        assert (change.operation, change.command) == ("overwritten", "ky edit")
    assert left(tmp_path) == []


def test_documents_are_edited_line_by_line(edit: Edit, path: str, tmp_path: Path) -> None:
    with Kycore(path) as kv:
        kv["doc"] = {"b": [1], "a": "é"}
        done = edit(f'cp "$1" {shlex.quote(str(tmp_path))}/seen; basename "$1"', "doc")
    assert (tmp_path / "seen").read_text() == '{\n  "a": "é",\n  "b": [\n    1\n  ]\n}\n'
    assert done.stdout == "doc.json\n"
    assert done.stderr == "nothing was changed\n"


def test_text_is_edited_as_json_on_demand(edit: Edit, path: str) -> None:
    with Kycore(path) as kv:
        kv["k"] = "text"
        assert edit('echo \'{"a": 1}\' > "$1"', "--json", "k").returncode == 0
        assert kv["k"] == {"a": 1}


def test_a_missing_key_is_created_or_not(edit: Edit, path: str) -> None:
    assert edit("true", "new").stderr == "nothing was changed\n"
    assert edit('echo hello > "$1"', "new").returncode == 0
    assert edit("echo '[1]' > \"$1\"", "--json", "alpha.prod.list", name="kycli").returncode == 0
    with Kycore(path) as kv:
        assert kv["new"] == "hello"
        assert kv.getkey("list", scope="alpha.prod") == [1]


@pytest.mark.parametrize(
    ("line", "message"),
    [("exit 3", "exited with 3; nothing was changed"), ("exit 127", "cannot run the editor")],
)
def test_an_editor_that_fails(
    edit: Edit, path: str, tmp_path: Path, line: str, message: str
) -> None:
    with Kycore(path) as kv:
        kv["k"] = "one"
        done = edit(f'echo two > "$1"; {line}', "k")
        assert done.returncode == 1
        assert message in done.stderr
        assert kv["k"] == "one"
    assert left(tmp_path) == []


def test_an_editor_that_is_interrupted(edit: Edit, path: str) -> None:
    with Kycore(path) as kv:
        kv["k"] = "one"
        assert edit("kill -INT $$", "k").returncode in (130, -2)
        assert kv["k"] == "one"


def test_a_value_that_does_not_fit_is_kept(edit: Edit, path: str) -> None:
    with Kycore(path) as kv:
        kv["k"] = {"a": 1}
        done = edit('echo \'{"a": \' > "$1"', "k")
        assert done.returncode == 1
        assert "the edited text: not JSON" in done.stderr
        assert kept(done).read_text() == '{"a": \n'
        assert kept(done).parent.stat().st_mode & 0o777 == 0o700
        kv.set_schema("default", {"a": "int"})
        done = edit('echo \'{"a": "x"}\' > "$1"', "k")
        assert done.returncode == 1
        assert kept(done).exists()
        assert kv["k"] == {"a": 1}


@pytest.mark.parametrize(
    ("before", "meanwhile"), [("one", "other"), ("one", None), (None, "other")]
)
def test_what_another_process_does_meanwhile_is_never_overwritten(
    edit: Edit, path: str, before: str | None, meanwhile: str | None
) -> None:
    with Kycore(path) as kv:
        if before is not None:
            kv["k"] = before
        does = f"{program('kys')} k other" if meanwhile else f"{program('kyd')} -q k"
        done = edit(f'echo mine > "$1"; {does}', "k")
        assert done.returncode == (1 if meanwhile else 2)
        assert kept(done).read_text() == "mine\n"
        assert kv.getkey("k") == meanwhile


@pytest.mark.parametrize("key", ["../../etc", "-x", ".hidden", "a/b\nc", "日本", "x" * 4000, "~"])
def test_any_key_can_be_edited(edit: Edit, path: str, tmp_path: Path, key: str) -> None:
    with Kycore(path) as kv:
        kv[key] = "one"
        done = edit('echo two > "$1"; ls -a "$(dirname "$1")" | wc -l', "--", key)
        assert (done.returncode, done.stdout.split()) == (0, ["3"])
        assert kv[key] == "two"
    assert left(tmp_path) == []


def test_which_editor_is_run(edit: Edit, path: str) -> None:
    with Kycore(path) as kv:
        kv["k"] = "one"
        assert edit("exit 3", "k", VISUAL="sed -i s/one/two/").returncode == 0
        assert kv["k"] == "two"
    done = edit("true", "k", EDITOR="no-such-editor --wait")
    assert "cannot run the editor 'no-such-editor --wait'" in done.stderr


def test_no_place_for_the_file(edit: Edit, path: str) -> None:
    with Kycore(path) as kv:
        kv["k"] = "one"
    done = edit("true", "k", TMPDIR="/nowhere", HOME="/nowhere")
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


def test_a_batch_refuses_to_edit(path: str) -> None:
    done = subprocess.run(
        [program("kycli"), "batch"],
        input="edit k\n",
        env={**os.environ, "KYCLI_DB_PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "hint: it needs a terminal" in done.stdout
