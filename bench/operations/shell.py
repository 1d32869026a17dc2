"""The interactive shell: how long somebody waits for its prompt."""

from __future__ import annotations

import os
import pty
import signal
import sys
import tempfile
from pathlib import Path

from harness.measuring import Lab, Way, benchmark
from peers.programs import ShortProgram

from kycli import Kycore

START = "shell: from the start to the prompt"


@benchmark(START, peers=False)
def start(lab: Lab) -> None:
    program = ShortProgram(Path(tempfile.mkdtemp(dir=lab.directory)))
    with Kycore(program.path) as store:
        store.save("key", "value")
    environment = {**program.environment, "TERM": "xterm-256color"}

    def on_a_terminal(command: list[str], until: bytes) -> bool:
        """Run a program on a terminal until it has printed something, or has ended."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(command[0], command, environment)
        found = b""
        while until not in found:
            try:
                piece = os.read(terminal, 1 << 16)
            except OSError:  # the end of a terminal
                break
            if not piece:
                break
            found += piece
        os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)
        return until in found

    shell = program.spelled("kyshell")
    python = [sys.executable, "-c", "import prompt_toolkit; print('imported')"]
    ways = [
        Way("kyshell", lambda: on_a_terminal(shell, b"[Scope: "), right=lambda seen, _: seen),
        Way(
            "import prompt_toolkit",
            lambda: on_a_terminal(python, b"imported"),
            right=lambda seen, _: seen,
        ),
    ]
    lab.measure(START, ways, rounds=20)
