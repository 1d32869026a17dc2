"""What a get and a set load: start-up is most of what they cost."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from cli.harness import Call, program

ENGINE = {"apsw"}
OURS = {
    "kycli",
    "kycli.address",
    "kycli.cli",
    "kycli.cli.commands",
    "kycli.cli.commands.values",
    "kycli.cli.env",
    "kycli.cli.parse",
    "kycli.config",
    "kycli.core",
    "kycli.core.durations",
    "kycli.core.sqlite_errors",
    "kycli.core.layout",
    "kycli.core.location",
    "kycli.core.names",
    "kycli.core.opening",
    "kycli.core.codec",
    "kycli.core.storage",
    "kycli.errors",
}
SMALL = {"__future__", "errno", "gc"}
READING = {"kycli.cli.commands.values.reading"}
STORING = {"kycli.cli.commands.values.storing"}
# A write says who made it.
WRITING = {"kycli.core.authors", "pwd"}


def imported(*words: str, stdout: int = subprocess.DEVNULL, client: str | None = None) -> set[str]:
    """Return what Python imports; ``client`` is what the native client says when it starts it."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **({} if client is None else {"_KYCLI_CLIENT": client})},
        text=True,
        check=True,
    )
    return {
        line.rpartition("|")[2].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }


@pytest.mark.parametrize(
    "words",
    [
        ["kyg", "key"],
        ["kyg", "a.key[0]"],
        ["kyg", "no-key", "--default", "none"],
        ["ky", "get", "key"],
        ["ky", "get", "a.key[0]"],
        ["ky", "g", "key"],
        ["kycli", "get", "key"],
        ["kycli", "get", "space.no-key", "--default", "none"],
        ["kys", "key", "value"],
        ["ky", "set", "key", "value"],
        ["kycli", "set", "space.new", "value"],
    ],
)
@pytest.mark.parametrize("client", ["", "held"])
def test_only_what_is_needed_is_loaded(run: Call, words: list[str], client: str) -> None:
    run("kys", "key", "value")
    run("kys", "a.key[0]", "value")
    loaded = imported(program("kycli"), *words, client=client) - imported("-c", "pass")
    assert "kycli.core.storage" in loaded
    writes = words[0] == "kys" or words[1] == "set"
    handlers = STORING | WRITING if writes else READING
    assert loaded <= ENGINE | OURS | SMALL | handlers


def test_a_terminal_costs_nothing_more(run: Call) -> None:
    run("kys", "key", "välue")
    ours, theirs = pty.openpty()
    loaded = imported(program("kycli"), "kyg", "key", stdout=theirs) - imported("-c", "pass")
    assert os.read(ours, 100) == "välue\r\n".encode()
    os.close(ours)
    os.close(theirs)
    assert loaded <= ENGINE | OURS | SMALL | READING


def test_a_configured_scope_costs_no_json(run: Call) -> None:
    run("kys", "key", "value")
    run("kycli", "use", "default")
    loaded = imported(program("kycli"), "kyg", "key") - imported("-c", "pass")
    assert loaded <= ENGINE | OURS | SMALL | READING | {"_json"}


@pytest.mark.parametrize("words", [["init", "bash"], ["init", "zsh"], ["prompt"]])
def test_what_runs_when_a_shell_starts_loads_nothing_but_the_declarations(words: list[str]) -> None:
    loaded = imported(program("kycli"), *words) - imported("-c", "pass")
    ours = {name for name in loaded if name.startswith("kycli")}
    assert loaded - ours <= SMALL
    assert not ours & {"kycli.core.storage", "kycli.session.worker", "kycli.session.server"}
