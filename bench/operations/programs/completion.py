"""What a shell waits for while somebody types: completions, and the scope in the prompt."""

from __future__ import annotations

import tempfile
from itertools import cycle
from pathlib import Path

from harness.measuring import Lab, Way, benchmark
from peers.programs import PythonProgram, ShortProgram

from kycli import Kycore

COMPLETION = "completion: keys, as a process"
PROMPT = "prompt, as a process"

# Few and many proposals, common parts, addresses, and a part of a long run of digits.
_LINES = (
    "kyg ",
    "kyg us",
    "kyg user.",
    "kyg item",
    "kyg item00",
    "kycli get ",
    "kyg user.0000001.",
)


@benchmark(COMPLETION, peers=False)
def completion(lab: Lab) -> None:
    """What a shell's script asks and is answered, in a store of few keys and in one of many."""

    def completing(title: str, keys: int) -> Way:
        program = ShortProgram(Path(tempfile.mkdtemp(dir=lab.directory)))
        with Kycore(program.path) as store:
            store.save_many((f"user.{n // 10:07}.{n % 10}", n) for n in range(keys // 2))
            store.save_many((f"item{n:08}", n) for n in range(keys // 2))
        command = program.command("kycli", "completion", "bash", " @=:")
        return Way(
            title,
            lambda line: program.run([*command, line, ""]),
            ((line,) for line in cycle(_LINES)),
            right=lambda answer, _: len(answer.splitlines()) > 1,
        )

    ways = [
        completing("few keys", lab.size.many // 100),
        completing("many keys", lab.size.many),
    ]
    lab.measure(COMPLETION, ways, rounds=42)


@benchmark(PROMPT, peers=False)
def prompt(lab: Lab) -> None:
    program = ShortProgram(Path(tempfile.mkdtemp(dir=lab.directory)))
    floor = PythonProgram(Path(tempfile.mkdtemp(dir=lab.directory)))
    with Kycore(program.path) as store:
        store.save("key", "value")

    def running(title: str, answer: str, *words: str) -> Way:
        command = program.command(*words)
        return Way(title, lambda: program.run(command), right=lambda said, _: said == answer)

    ways = [
        running("kycli prompt", "default", "kycli", "prompt"),
        running("kyg", "value", "kyg", "key"),
        Way("python -c pass", lambda: floor.run(floor.get(""))),
    ]
    lab.measure(PROMPT, ways, rounds=40)
