"""The functions of bash under Ctrl-C, Ctrl-Z and kills, in real terminals."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from session.bashes import (
    BASH,
    INIT,
    check,
    environment,
    initial,
    needs_bash,
    script,
    servers,
    terminal,
    wait_for,
)

pytestmark = [needs_bash, pytest.mark.alone]

# Bash itself may end, or go on with its loop, where Ctrl-C meets a job in the foreground, such as a
# pipeline: the terminal is that job's, and not yet the shell's again. In $( ) there are no jobs.
LOOPS = (
    'n=0; while :; do n=$((n + 1)); kys n "$n"; kyg -v x n; done',
    "while :; do x=$(kyg n); done",
    "while :; do kyg big >/dev/null; kyg -v y big; done",
    'while :; do kys big "$big"; kyl -a keys; done',
    "while :; do x=$(kyg n | cat); kyl; done",
    "while :; do kyg -v x n; done",
    "while :; do x=$(kys s 1; kyg -v x s); kyg nothing; done 2>/dev/null",
)


def interrupt(times: int) -> None:
    """Type Ctrl-C at random moments, and look at the shell after each."""
    rng = random.Random(1)
    with terminal() as shell:
        shell.run("big=$(printf %30000s x); printf 'one\\ntwo\\n' >file; kys big \"$big\"; kys n 0")
        for number in range(times):
            if number % 12 == 11:
                # The start of a server is interrupted as well.
                for pid in servers(shell.pid):
                    os.kill(pid, signal.SIGKILL)
            line = LOOPS[number % len(LOOPS)]
            shell.send(line + "\n")
            time.sleep(0.005 + rng.random() ** 2 * 0.25)  # so that bash has read the line
            shell.interrupt()
            # No byte of a reply is left for who reads next, and no reply is another call's.
            said = shell.run(
                "{ read -r a; read -r b; } <file; read -r -N 3 c <file;"
                ' kys k "value $a"; kyg -v x k; kyg -v y big;'
                ' echo "$a,$b,$c,$x,${#y}:$(kyg k)"'
            )
            # Bash may print the newline of an interrupt after its prompt.
            said = said.replace("\r", "").lstrip("\n")
            assert said == "one,two,one,value one,30000:value one\n", line
        assert "PIPE" not in shell.run("trap")
        descriptors = len(os.listdir(f"/proc/{shell.pid}/fd"))
        assert descriptors < 30, "Ctrl-C leaves descriptors open"
        assert shell.run("jobs; wait") == ""
        pids = servers(shell.pid)
    wait_for(lambda: not any(map(is_there, pids)), "the server is there still")


def is_there(pid: int) -> bool:
    try:
        return b"shells.bash" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.usefixtures("with_and_without_builtin")
def test_ctrl_c_at_random_moments() -> None:
    interrupt(25)


@pytest.mark.soak
def test_ctrl_c_at_hundreds_of_random_moments() -> None:
    interrupt(300)


def test_ctrl_c_ends_a_script() -> None:
    with terminal() as shell:
        Path("loop").write_text(INIT + "while :; do kys n 1; kyg -v x n; : >started; done\n")
        for _ in range(3):
            shell.send(f"{BASH} loop\n")
            wait_for(lambda: os.path.exists("started"), "the loop has not started")
            shell.interrupt()
            assert shell.run("echo $?").strip() in ("130", "0")  # of `bash`, or of the prompt
            os.remove("started")
        assert shell.run("kyg n").strip() == "1"


@pytest.mark.usefixtures("with_and_without_builtin")
def test_a_command_that_waits_for_a_lock_is_given_up() -> None:
    import sqlite3

    with terminal() as shell:
        shell.run("kys k v; kyg -v x k; export KYCLI_CONFIG=$PWD/config")
        Path("config").write_text("busy_timeout_ms = 600000\n")
        other = sqlite3.connect(os.environ["HOME"] + "/.local/share/kycli/kycli.db")
        other.execute("BEGIN IMMEDIATE")
        shell.send("kys k w\n")
        time.sleep(0.5)
        shell.interrupt()
        # What only reads does not wait for the other command.
        assert shell.run("kyg k; kyg -v x k; echo $x").split() == ["v", "v"]
        # Nor does what another process asks for.
        shell.send("kys k x & wait\n")
        time.sleep(0.5)
        shell.interrupt()
        assert shell.run("kyg k").strip() == "v"
        other.rollback()
        other.close()
        shell.run("kill %1; wait")


def test_ctrl_z_stops_and_continues() -> None:
    with terminal() as shell:
        shell.run("kys k v; kyg -v x k")
        for line in (
            "for i in {1..300}; do kyg k; done | sort -u",
            "(for i in {1..300}; do kyg -v x k; done; echo $x)",
        ):
            shell.send(line + "\n")
            time.sleep(0.03)
            shell.send("\x1a")
            said = shell.read()
            if "Stopped" in said:
                said = shell.run("fg")
            assert said.split()[-1] == "v"
        # In the main shell there is nothing to stop.
        shell.send("for i in {1..300}; do kyg -v x k; done; echo $x\n")
        time.sleep(0.02)
        shell.send("\x1a")
        assert shell.read().split()[-1] == "v"
        assert shell.run("jobs; wait") == ""


def test_at_a_terminal() -> None:
    """Output is as the commands make it; and questions, colours and input are theirs."""
    with terminal() as shell:
        shell.run("kys esc $'a\\e[31mb'; kys 'in' x; kycli set alpha.one.k v")
        for line in (
            "kyg esc",
            "kyl",
            "kycli list-scopes",
            "kyg nothing",
            "kyg --json esc",
            "kyh kyg",
        ):
            assert shell.run(line) == shell.run(f"command {line}"), line
        shell.send("kycli drop-scope alpha.one\n")
        time.sleep(0.3)
        shell.send("y\n")
        assert "deleted 1 key" in shell.read()
        shell.send("kys in -\nfrom the terminal\n\x04")
        shell.read()
        assert "from the terminal" in shell.run("kyg in")


def kill_servers(shell: int, times: int, rng: random.Random) -> None:
    for _ in range(times):
        time.sleep(0.05 + rng.random() * 0.15)
        for pid in servers(shell):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def killed(times: int) -> None:
    """Kill the server at random moments, while a loop writes down what was acknowledged."""
    loop = """
    n=0
    while [[ ! -e stop ]]; do
        n=$((n + 1))
        if kys "k$n" "$n" 2>>errors; then echo "$n" >>done; fi
        kyg -v x "k$n" && [[ $x == "$n" ]] || echo "$n" >>unknown
        y=$(kyg "k$n") # is asked again
        [[ $y == "$x" ]] || echo "mixed $x $y"
    done
    """
    shell = subprocess.Popen(
        [BASH, "--norc", "-c", initial() + loop],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: os.path.exists("done"), "nothing was stored")
    kill_servers(shell.pid, times, random.Random(2))
    Path("stop").touch()
    out, _ = shell.communicate(timeout=60)
    assert out == ""
    done = Path("done").read_text().split()
    said = check("kyl | sed s/k//", init="")
    assert set(done) <= set(said)
    errors = Path("errors").read_text().splitlines()
    assert set(errors) <= {
        "kycli: the server of this shell ended or does not answer: "
        "whether 'kys' was done is not known",
        "hint: look before you do it again",
    }


@pytest.mark.usefixtures("with_and_without_builtin")
def test_a_killed_server_loses_nothing_that_was_acknowledged() -> None:
    killed(8)


@pytest.mark.soak
def test_a_server_that_is_killed_a_hundred_times() -> None:
    killed(100)


@pytest.mark.usefixtures("with_and_without_builtin")
def test_a_write_is_never_done_twice() -> None:
    """Each call counts once, or says that it does not know."""
    loop = """
    failed=0
    for n in {1..150}; do
        ky -v x incr n || failed=$((failed + 1))
    done
    echo "$failed $(command kyg n)"
    """
    shell = subprocess.Popen(
        [BASH, "--norc", "-c", initial() + loop],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait_for(lambda: servers(shell.pid), "no server")
    kill_servers(shell.pid, 4, random.Random(3))
    out, _ = shell.communicate(timeout=60)
    failed, count = map(int, out.split())
    assert 150 - failed <= count <= 150


@pytest.mark.soak
def test_a_stopped_server_is_not_waited_for_forever() -> None:
    done = script(
        """
        kys k v; kyg -v x k
        for pid in /proc/[0-9]*; do
            [[ $(tr '\\0' ' ' 2>/dev/null <"$pid/cmdline") != *"shells.bash "*" $$ "* ]] ||
                server=${pid#/proc/}
        done
        kill -STOP "$server"
        (kyg k; echo "$?") & (kys k w; echo "$?") &
        kyg -v x k; echo "$? $x"
        wait
        kill -CONT "$server"
        kyg k
        """
    )
    assert sorted(done.lines[:-1]) == ["0", "0 v", "1", "v"]
    assert done.lines[-1] in ("v", "w")
    assert done.err.startswith("kycli: the server of this shell ended or does not answer")


def test_many_that_start_the_server_at_once_start_one() -> None:
    said = check(
        """
        kys k v
        for round in 1 2 3; do
            for i in {1..8}; do (kyg k) & done
            wait
        done
        """
    )
    assert said == ["v"] * 24


def test_several_that_start_the_server_start_one() -> None:
    """A shell that left a start by Ctrl-C cannot know whether that server comes, and starts one."""
    shell = subprocess.Popen(
        [
            *(BASH, "--norc", "-c"),
            INIT
            + """
            for i in 1 2 3 4 5; do printf '\\n' >&66; done # as many leave to start
            for i in 1 2 3 4 5 6; do (kys "$i" v; kyg "$i") & done
            wait
            read -r _
            """,
        ],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdout is not None
    assert [shell.stdout.readline() for _ in range(6)] == ["v\n"] * 6
    wait_for(lambda: len(servers(shell.pid)) == 1, "there is not one server")
    shell.communicate("\n", timeout=60)


def test_processes_that_outlive_the_shell() -> None:
    shell = subprocess.Popen(
        [BASH, "--norc", "-c", INIT + "kys k v; (sleep 0.3; kyg k; sleep 1; kyg k; echo end) & :"],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = shell.communicate(timeout=60)
    assert out == "v\nv\nend\n"


@pytest.mark.usefixtures("with_and_without_builtin")
def test_full_and_closed_outputs() -> None:
    done = script(
        """
        kys k v; kys big "$(printf %100000s x)"
        for i in 1 2 3; do
            kyg k >/dev/full; echo "full $?"
            kyg big >/dev/full; echo "full $?"
        done
        set -o pipefail
        for i in 1 2 3; do
            kyg big | head -c 1; echo " head $?"
            kyg big | true; echo "unread $?"
        done
        trap 'echo trapped' PIPE
        kyg k | cat; kyg k
        trap -p PIPE
        """
    )
    assert done.out.decode().splitlines() == [
        *["full 1", "full 1"] * 3,
        *["  head 0", "unread 0"] * 3,
        *("v", "v", "trap -- 'echo trapped' SIGPIPE"),
    ]
    assert set(done.err.splitlines()) == {"kycli: cannot write to standard output"}


@pytest.mark.usefixtures("with_and_without_builtin")
def test_a_closed_output_is_said_to_be_closed() -> None:
    """As the command says it, with the same status."""
    body = "kys k v; for i in 1 2 3; do kyg k >&-; echo $?; done; (exec >&-; kyg k; kyg k)"
    said, plain = script(body), script(body, init="")
    assert (said.code, said.out, said.err) == (plain.code, plain.out, plain.err)
    assert "is closed" in said.err


@pytest.mark.parametrize("options", [":", "set -o posix"])
def test_few_descriptors_leave_the_commands_and_a_shell_that_goes_on(options: str) -> None:
    said = check(
        f"""
        {options}
        kys k v
        descriptors() {{ sleep 0.02; local all=(/proc/$$/fd/*); echo "${{#all[@]}}"; }}
        kyg k >/dev/null
        ulimit -Sn 67 # too few for the pipe of replies
        kyg k >/dev/null
        before=$(descriptors)
        for n in 1 2 3 4; do kyg k >/dev/null; kyg -v x k; [[ $x == v ]]; done
        (( $(descriptors) <= before )) || echo "$(descriptors) after $before"
        echo "$(kyg k)"
        """
    )
    assert said == ["v"]
    said = check(
        f"""
        {options}
        ulimit -n 50
        eval "$(kycli init bash)"
        echo "$(type -t kyg) $(kyg k)"
        """,
        init="kys k v\n",
    )
    assert said == ["file v"]


@pytest.mark.parametrize("lost", ["ulimit -Sn 68", "exec 64>&-", "exec 65<&-"])
@pytest.mark.parametrize("options", [":", "set -o posix"])
def test_a_subshell_that_cannot_have_the_descriptors_says_nothing(options: str, lost: str) -> None:
    said = check(
        f"""
        {options}
        kys k v
        {lost}
        echo "$(kyg k; kyg k)"
        """
    )
    assert said == ["v", "v"]


def test_the_command_gives_raw_output_whatever_separates_words() -> None:
    said = check(
        """
        printf 'line\n' | kys k -
        __kycli_off=1 __kycli_pid='' __kycli_ready='' # no server can be had
        IFS=:
        kyg -v x k; echo ${#x}
        kyg -v x k --raw; echo ${#x}
        kyg -v x --raw k; echo ${#x}
        """
    )
    assert said == ["5", "5", "5"]


def test_an_associative_array_is_left_as_it_is() -> None:
    said = check(
        """
        kys k v
        declare -A array=([mine]=1)
        kyl -a array 2>/dev/null || echo "$? ${!array[*]}"
        """
    )
    assert said == ["1 mine"]
