"""Command lines to compare with: each call is a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from harness.workload import PAIRS
from peers.stores import UPSERT, WAL, bare

from kycli import Kycore


class Program:
    """One program, with a store that holds ``PAIRS``."""

    name: ClassVar[str]
    durability: ClassVar[str]
    executable: ClassVar[str] = sys.executable
    silent: ClassVar[bool] = False
    """Whether it stores nothing, and so has no answers."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "store.db"
        self.environment = {
            "HOME": str(directory),
            "KYCLI_DB_PATH": str(self.path),
            "XDG_RUNTIME_DIR": str(directory),  # there is no server
        }
        self.start()

    @classmethod
    def installed(cls) -> bool:
        return shutil.which(cls.executable) is not None

    def start(self) -> None:
        """Make the store."""

    def stop(self) -> None:
        """End what ``start`` began."""

    def get(self, key: str) -> list[str]:
        """Return the command that prints a key's value."""
        raise NotImplementedError

    def save(self, key: str, value: str) -> list[str]:
        """Return the command that saves a key."""
        raise NotImplementedError

    def run(self, command: list[str]) -> str:
        """Run a command that must succeed; return what it printed, without the newline."""
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, check=True, text=True
        )
        return done.stdout.removesuffix("\n")


class PythonProgram(Program):
    """The floor: what starting Python costs."""

    name = "python -c pass"
    durability = "stores nothing"
    silent = True
    code = "pass"

    def get(self, key: str) -> list[str]:
        return [self.executable, "-c", self.code]

    def save(self, key: str, value: str) -> list[str]:
        return self.get(key)


class ImportProgram(PythonProgram):
    """The floor of a program that uses APSW."""

    name = "python -c 'import apsw'"
    code = "import apsw"


class ShortProgram(Program):
    name = "kyg and kys"
    durability = WAL
    get_words: ClassVar[tuple[str, ...]] = ("kyg",)
    save_words: ClassVar[tuple[str, ...]] = ("kys",)

    def start(self) -> None:
        with Kycore(self.path) as store:
            store.save_many(PAIRS)

    def get(self, key: str) -> list[str]:
        return [*self.command(*self.get_words), key]

    def save(self, key: str, value: str) -> list[str]:
        return [*self.command(*self.save_words), key, value]

    def command(self, program: str, *words: str) -> list[str]:
        return [str(Path(self.executable).with_name(program)), *words]


class LongProgram(ShortProgram):
    name = "kycli"
    get_words = ("kycli", "get")
    save_words = ("kycli", "set")


class SqliteProgram(Program):
    name = "sqlite3 shell"
    durability = WAL
    executable = "sqlite3"

    def start(self) -> None:
        connection = bare(self.path)
        with connection:
            connection.executemany(UPSERT, PAIRS)
        connection.close()

    def get(self, key: str) -> list[str]:
        return [self.executable, str(self.path), f"SELECT value FROM kv WHERE key = '{key}'"]

    def save(self, key: str, value: str) -> list[str]:
        sql = UPSERT.replace("?, ?", f"'{key}', '{value}'")
        return [self.executable, str(self.path), f"PRAGMA synchronous = NORMAL; {sql}"]


class RedisProgram(Program):
    """`redis-cli` and a server of its own, on a socket in the directory."""

    name = "redis-cli"
    durability = "append-only file, synced each second, by a server that runs already"
    executable = "redis-cli"

    @classmethod
    def installed(cls) -> bool:
        return super().installed() and shutil.which("redis-server") is not None

    def start(self) -> None:
        self.socket = str(self.path.with_name("redis.sock"))
        options = {
            "port": "0",
            "unixsocket": self.socket,
            "dir": str(self.path.parent),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
        }
        command = ["redis-server"]
        for option, setting in options.items():
            command += [f"--{option}", setting]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not Path(self.socket).exists():
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server does not start")
            time.sleep(0.01)
        for key, value in PAIRS[:100]:
            self.run(self.save(key, value))

    def stop(self) -> None:
        self.server.terminate()
        self.server.wait()

    def get(self, key: str) -> list[str]:
        return [self.executable, "-s", self.socket, "get", key]

    def save(self, key: str, value: str) -> list[str]:
        return [self.executable, "-s", self.socket, "set", key, value]


PROGRAMS: tuple[type[Program], ...] = (
    PythonProgram,
    ImportProgram,
    ShortProgram,
    LongProgram,
    SqliteProgram,
    RedisProgram,
)
