"""Taking over a caller's environment, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kycli.session.caller import counts, names_descriptors

PROGRAM = """\
import os, time
from kycli.session.caller import Caller

caller = Caller()
os.environ["OTHER"] = "stays"
os.environ["KYCLI_SCOPE"] = "the server's"
one = b"HOME=/h\\0TZ=XXX-3\\0KYCLI_DB_PATH=\\xff\\0PATH=/bin\\0"
changed = caller.take(1, os.fsencode(os.environ["ROOT"]), 0o027, one)
caller.enter()
umask = os.umask(0o027)
print(changed, os.getcwd() == os.path.realpath(os.environ["ROOT"]), oct(umask), time.timezone,
      os.environ.get("KYCLI_SCOPE"), ascii(os.environ["KYCLI_DB_PATH"]), os.environ["OTHER"])
print(caller.take(1, b"/", 0o027, one))
print(caller.take(1, b"/", 0o022, b"SHLVL=1\\0LD_PRELOAD=x\\0=\\0novalue\\0"), time.timezone,
      sorted(name for name in os.environ if name in ("HOME", "TZ", "SHLVL", "LD_PRELOAD", "OTHER")))
print(caller.take(1, b"/", 0, b"KYCLI_CONFIG=/dev/fd/63\\0"), caller.names_descriptors)
caller.leave()
print(os.getcwd())
try:
    caller.take(1, b"/nowhere", 0, b"")
    caller.enter()
except OSError as error:
    print(error.strerror)
"""


def test_all_that_counts_is_taken_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"ROOT": str(tmp_path), "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "True True 0o27 -10800 None '\\udcff' stays",
        "False",
        "True 0 ['OTHER']",
        "True True",
        "/",
        "No such file or directory",
    ]


def test_which_variables_count() -> None:
    assert all(map(counts, ["KYCLI_SCOPE", "HOME", "XDG_DATA_HOME", "NO_COLOR", "LC_ALL", "PATH"]))
    assert not any(map(counts, ["LD_PRELOAD", "PYTHONPATH", "SHLVL", "IFS", "home"]))


@pytest.mark.parametrize(
    ("text", "may"),
    [
        (b"/dev/stdin", True),
        (b"k\0../../dev//fd/3", True),
        (b"/dev/./fd/3", True),
        (b"--path\0/proc/self/fd/3", True),
        (b"/proc/../proc/self/fd/3", True),
        (b"/dev", True),  # with a relative path
        (b"/proc/1", True),
        (b"/home/user/dev/project", False),
        (b"/home/user/development", False),
        (b"key\0/devices", False),
        (b"https://example.com/dev/new", False),
    ],
)
def test_what_names_files_of_a_process(text: bytes, may: bool) -> None:
    assert names_descriptors(text) == may
