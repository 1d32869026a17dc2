"""Programs that talk to `kycli batch`: each framing, as a caller writes and reads it."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import IO, NamedTuple

from cli.harness import program

FLAGS = {"lines": (), "null": ("-0",), "jsonl": ("--jsonl",)}


class Reply(NamedTuple):
    code: int
    out: bytes
    err: str


def asked(framing: str, words: Sequence[str], stdin: bytes | None = None) -> bytes:
    """Return a request."""
    if framing == "lines":
        return " ".join(map(shlex.quote, words)).encode() + b"\n"
    if framing == "null":
        return b"".join(word.encode() + b"\0" for word in (str(len(words)), *words))
    if stdin is None:
        return json.dumps(words).encode() + b"\n"
    given = {"$base64": base64.b64encode(stdin).decode()}
    return json.dumps({"argv": words, "stdin": given}).encode() + b"\n"


def reply(framing: str, stream: IO[bytes]) -> Reply | None:
    """Read a reply, None at the end."""
    if framing == "jsonl":
        line = stream.readline()
        if not line:
            return None
        answer = json.loads(line)
        out = answer["out"]
        data = base64.b64decode(out["$base64"]) if isinstance(out, dict) else out.encode()
        return Reply(answer["code"], data, answer["err"])
    fields = stream.readline().split() if framing == "lines" else map(field, [stream] * 3)
    numbers = list(fields)
    if not numbers or not numbers[0]:
        return None
    code, *sizes = map(int, numbers)
    texts = []
    for size in sizes:
        texts.append(stream.read(size))
        assert framing == "lines" or stream.read(1) == b"\0"
    return Reply(code, texts[0], texts[1].decode())


def field(stream: IO[bytes]) -> bytes:
    text = b""
    while (byte := stream.read(1)) not in (b"\0", b""):
        text += byte
    return text


def replies(framing: str, stream: IO[bytes]) -> list[Reply]:
    return list(iter(lambda: reply(framing, stream), None))


class Coprocess:
    """A batch that a program talks to, request by request."""

    def __init__(self, framing: str, *flags: str) -> None:
        self.framing = framing
        self.process = subprocess.Popen(
            [program("kycli"), "batch", *FLAGS[framing], *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.stderr = self.process.stderr

    def send(self, requests: Iterable[Sequence[str]]) -> None:
        self.stdin.write(b"".join(asked(self.framing, words) for words in requests))
        self.stdin.flush()

    def ask(self, *words: str, stdin: bytes | None = None) -> Reply:
        self.stdin.write(asked(self.framing, words, stdin))
        self.stdin.flush()
        answer = reply(self.framing, self.stdout)
        assert answer is not None
        return answer

    def end(self) -> tuple[int, str]:
        """Close the input; return the exit code and what was said on standard error."""
        if not self.stdin.closed:
            self.stdin.close()
        said = self.stderr.read().decode()
        return self.process.wait(30), said

    def __enter__(self) -> Coprocess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            try:
                stream.close()
            except OSError:
                pass
