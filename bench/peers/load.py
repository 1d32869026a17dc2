"""A mixed load by several processes: of 100 calls 90 get, 9 save and 1 delete.

    python -m peers.load PEER DIRECTORY NUMBER      one of the processes; `Load` runs them

Each process writes keys of its own, so it knows what they must hold, and reads those of
all. It checks what it reads as it goes, and everything that it wrote in the end: an
acknowledged write that is not there is a lost one.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.workload import new_pairs, value
from peers.stores import BY_NAME, Peer

BENCH = Path(__file__).parent.parent
KEYS_EACH = 1_000


def keys_of(number: int) -> list[str]:
    return [key for key, _ in new_pairs(KEYS_EACH, f"process {number}")]


class Load:
    """Some processes that share a store, and wait for their work."""

    def __init__(self, peer: type[Peer], directory: Path, processes: int) -> None:
        store = peer(directory)
        store.save_many((key, value(key)) for n in range(processes) for key in keys_of(n))
        store.close()
        arguments = (peer.name, str(directory))
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "peers.load", *arguments, f"{number}/{processes}"],
                cwd=BENCH,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(processes)
        ]
        self.ready = False

    def prepare(self, calls: int) -> None:
        """Let each process decide what its next calls are, outside of the clock."""
        if not self.ready:
            self._answers()
            self.ready = True
        self._tell(f"prepare {calls}")
        self._answers()

    def run(self) -> float:
        """Let all of them make their calls; return the seconds until the last is done."""
        begin = time.perf_counter()
        self._tell("run")
        self._answers()
        return time.perf_counter() - begin

    def finish(self) -> tuple[int, int]:
        """End them; return how many calls failed or lied, and how many writes were lost."""
        self._tell("check")
        answers = [answer.split() for answer in self._answers()]
        for process in self.processes:
            process.communicate()
        self.processes.clear()
        return sum(int(wrong) for wrong, _ in answers), sum(int(lost) for _, lost in answers)

    def stop(self) -> None:
        """End what is left of them, after an error."""
        for process in self.processes:
            process.kill()
            process.communicate()

    def _tell(self, what: str) -> None:
        for process in self.processes:
            assert process.stdin is not None
            print(what, file=process.stdin, flush=True)

    def _answers(self) -> list[str]:
        answers = []
        for process in self.processes:
            assert process.stdout is not None
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError(f"a process of the load ended with {process.wait()}")
            answers.append(answer)
        return answers


def calls(
    count: int, generator: random.Random, own: list[str], all_keys: list[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield what is to be done: the name of the call, the key and the value."""
    for _ in range(count):
        kind = generator.random()
        if kind < 0.90:
            yield "get", generator.choice(all_keys), ""
        elif kind < 0.99:
            key = generator.choice(own)
            yield "save", key, value(key, generator.randrange(1_000_000))
        else:
            yield "delete", generator.choice(own), ""


def work(store: Peer, number: int, processes: int) -> None:
    generator = random.Random(number)
    own = keys_of(number)
    all_keys = [key for n in range(processes) for key in keys_of(n)]
    expected: dict[str, str | None] = {key: value(key) for key in own}
    todo: list[tuple[str, str, str]] = []
    wrong = 0

    def right(key: str, found: object) -> bool:
        if key in expected:
            return found == expected[key]
        return found is None or str(found).startswith(f"{key}/")

    print("ready", flush=True)
    for command in sys.stdin:
        match command.split():
            case ["prepare", count]:
                todo = list(calls(int(count), generator, own, all_keys))
            case ["run"]:
                for call, key, text in todo:
                    try:
                        if call == "get":
                            wrong += not right(key, store.get(key))
                        elif call == "save":
                            store.save(key, text)
                            expected[key] = text
                        elif expected[key] is not None:
                            store.delete(key)
                            expected[key] = None
                    except Exception as error:
                        wrong += 1
                        print(f"{type(error).__name__}: {error}", file=sys.stderr)
            case _:
                lost = sum(not right(key, store.get(key)) for key in own)
                print(wrong, lost, flush=True)
                break
        print("done", flush=True)
    store.close()


def main() -> None:
    name, directory, share = sys.argv[1:]
    number, processes = map(int, share.split("/"))
    work(BY_NAME[name](Path(directory)), number, processes)


if __name__ == "__main__":
    main()
