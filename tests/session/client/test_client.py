"""The native client: what it prints is what the Python command prints, and when it is that."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from session.clients import (
    BIN,
    CLIENT,
    Result,
    Site,
    native,
    run,
    running_server,
    short_directory,
    shown,
    until,
)

from kycli.session import protocol

pytestmark = native


# As the Python command

VALUES = r"""
kyg
kyg nothing
kys
kys k
kys k v
kys k v w
kyg k
kyg k nothing
kyg nothing k
kyg --raw k
kyg --json k
kyg --b64 k
kys k v --if-absent
kys k other --if-version 1
kys k again --if-version 1
kyg --default none nothing
kyg --default '' nothing
kys empty ''
kyg empty
kyg --raw empty
kys user.name Alice
kyg user.name
ky set user.name Bob
ky get user.name
ky g user.name
kys -- -k -v
kyg -- -k
kyg -5
kys -5 minus
kys 'a key' 'with  blanks '
kyg 'a key'
kys ключ значение
kyg ключ
kys 😀 '👩‍👩‍👧'
kyg 😀
kyg $'bad\xff'
kys bytes $'\xff\xfe'
kys json --json '{"b": [1, 2.50, null], "a": "x"}'
kyg json
kyg --json json
kyg --path '$.b[1]' json
kys b64 --b64 AP/+
kyg --raw b64
kyg b64 --b64
kys broken --json '{'
ky incr n
ky incr n 41
ky incr n 1.5
ky incr k
kyg n
ky exists k
ky exists nothing
ky count
kyd nothing
kyd empty
kyg empty
kyd --prefix user. -y
kyd --prefix user.
kys ttl v --ttl 1h
kys ttl v --ttl never
kyg ttl
kys long --ttl 1M v
"""

LISTINGS = r"""
kyl
kys b 2
kys a 1
kys c 3
kys $'new\nline' v
kyl
kyl b
kyl -0
kyl --json
kyl --jsonl
kyl -n 2
kyl -n x
kyl --reverse
kyl --prefix a --values-only
kyl --glob '*'
ky scan
ky scan --json
ky scan --separator ' -> '
kyfo 1
kyfo nothing
kyfo '('
kyl --where x
ky keys --after a
kyl --no-such-flag
kyl -x
"""

DOCUMENTS = r"""
kys doc --json '{"a": 1}'
kypatch doc.b --json 2
kypatch doc --path '$.c' 3
kyg doc
kypush list 1
kypush list 1 --unique
kypush list two
kyg list
kyrem list two
kyrem list nothing
kypush doc 1
kyg doc --path '$.['
kypatch doc --merge '{"a": null}'
kyg doc
"""

HISTORY = r"""
kys k 1
kys k 2
kyd k
kyr k
kyg k
kyr nothing
kyv nothing
kyco
kyrt yesterday
kyrt '1h ago' --dry-run
ky diff k --versions 1..2
"""

SCOPES = r"""
kyuse
kyuse alpha.prod
kyuse
kys k in-alpha
kyg k
kyg k --scope default
kyg k --scope 'bad name'
kyg -p alpha -n prod k
kyl --scope alpha.prod
kyuse default
kyg k
kyg k --ns-delim '|'
"""

ABOUT = r"""
ky
ky help
kyh
kyh kys
kyh nothing
kyg --help
kyg -h
kyg -V
kyg --version
kys -q k v
ky nothing
ky ''
ky 'get k'
kye nowhere/keys.csv
kyi missing.csv
kyc missing
kyg -d /nowhere/x.db k
kyg -d . k
kyg --db
kyg --scope
"""


class Twin:
    """Two homes: commands run in one by the server, and in the other by Python."""

    def __init__(self, directory: Path, runtime: dict[str, str]) -> None:
        self.directory = directory
        self.runtime = [runtime, {"XDG_RUNTIME_DIR": "/nowhere"}]
        for name in ("served", "python"):
            (directory / name / "home").mkdir(parents=True)

    def run(self, line: str) -> list[Result]:
        """Run a line of bash in both; return what it did, without what must differ."""
        results = []
        for name, runtime in zip(("served", "python"), self.runtime, strict=True):
            home = self.directory / name / "home"
            environ = {"HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}", **runtime}
            done = subprocess.run(
                ["bash", "-c", line], cwd=home, env={**os.environ, **environ},
                stdin=subprocess.DEVNULL, capture_output=True, timeout=240,
            )  # fmt: skip
            texts = [
                re.sub(rb"\d\d:\d\d:\d\d\.\d+|\b1\d{12}\b", b"TIME", text).replace(
                    str(home).encode(), b"HOME"
                )
                for text in (done.stdout, done.stderr)
            ]
            results.append(Result(done.returncode, *texts))
        return results


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with short_directory() as directory, running_server(directory) as environ:
        yield environ


@pytest.fixture
def twin(tmp_path: Path, server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Twin:
    for name in list(os.environ):
        if name.startswith(("KYCLI_", "XDG_")) or name in ("NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    return Twin(tmp_path, server)


@pytest.mark.parametrize("lines", [VALUES, LISTINGS, DOCUMENTS, HISTORY, SCOPES, ABOUT])
def test_output_and_code_are_those_of_the_python_command(twin: Twin, lines: str) -> None:
    for line in lines.strip().splitlines():
        served, python = twin.run(line)
        assert served == python, line


LOOP = "kys k v; for i in {{1..{}}}; do kys key$i x; done; kyl | head -n 1; echo ${{PIPESTATUS[*]}}"


@pytest.mark.parametrize(
    "line",
    [
        "kys k v; KYCLI_SCOPE=other kys k w; kyg k; KYCLI_SCOPE=other kyg k",
        "KYCLI_DB_PATH=here.db kys k v; ls *.db; KYCLI_DB_PATH=here.db kyg k; kyg k",
        "mkdir sub; cd sub; kys -d x.db k v; ls *.db; cd ..; kyg -d sub/x.db k",
        "umask 077; kys -d x.db k v; stat -c %a x.db",
        "umask 027; kye -q keys.csv; kys k v; kye -q keys.csv; stat -c %a keys.csv; cat keys.csv",
        "echo 'current_scope = \"mine\"' > .kyclirc; kys k v; kyuse; rm .kyclirc; kyg k",
        "echo 'broken' > .kyclirc; kyg k",
        "NO_COLOR=1 TERM=dumb kyl; LC_ALL=C kys ü ö; LC_ALL=C kyg ü; LANG=de_DE.ISO-8859-1 kyl",
        "kys k 1; kyg k k k k",
        "kys k v; kyg k nothing >out 2>err; cat out; cat err",
        "kys k v; kyg k > /dev/full; kyl >/dev/full; kyg nothing >/dev/full",
        "kys k v; kyg k >&-; kyg k <&-; kyg nothing 2>&-; kys k - <&-; kyg k >&- 2>&- <&-",
        LOOP.format(20),
        pytest.param(LOOP.format(200), marks=pytest.mark.soak),
        "kys big \"$(head -c 100000 /dev/zero | tr '\\0' x)\"; kyg big | wc -c; "
        "kyg big | head -c 1; echo ${PIPESTATUS[*]}",
        "head -c 300000 /dev/urandom > in; kys b - < in; kyg --raw b | cmp - in",
        "printf 'a\\n' | kys k -; kyg k; printf '' | kys k -; kyg k; kys k - < /dev/null; kyg k",
        "rm -rf ../gone; mkdir ../gone; cd ../gone; rmdir ../gone; kyg k",
        "chmod 500 .; kys -d ./x.db k v; chmod 700 .",
        "echo junk > x.db; kyg -d x.db k; kys -d x.db k v; cat x.db",
        "printf 'k\\0v\\0' | kyi - 2>&1; printf 'key,value\\na,1\\n' | kyi - csv; kyl",
        "kys a 1; kys a 2; kyv a | wc -l; kyr a; kyg a",
        "ln -s $(command -v kyg) mine; ./mine; ./mine kyg nothing; ./mine version",
        "exec -a '' kyg k",
    ],
)
def test_a_script_does_what_it_does_by_the_python_command(twin: Twin, line: str) -> None:
    served, python = twin.run(line)
    assert served == python


def test_no_interpreter_is_started_while_the_server_runs(
    twin: Twin, server: dict[str, str]
) -> None:
    # Every program that is executed opens the loader's cache, or is the client.
    before = served_requests(server)
    twin.run("for i in {1..5}; do kys k $i; kyg k; done")
    assert served_requests(server) - before >= 10


def served_requests(server: dict[str, str]) -> int:
    status = run(BIN / "kycli", "server", "status", "--json", environ=server)
    found = re.search(rb'"requests":(\d+)', status.out)
    assert found is not None, status
    return int(found[1])


def test_the_history_names_the_caller_s_process(twin: Twin) -> None:
    served, _ = twin.run("kys k 1 & wait; kyv k --json | grep -o '\"pid\":[0-9]*'; echo $!")
    *found, expected = served.out.decode().split()
    assert found == [f'"pid":{expected}']


# What is sent


def test_the_request_tells_all_that_a_command_may_look_at(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[protocol.Request] = []

    def answer(request: protocol.Request, _: socket.socket) -> bytes:
        asked.append(request)
        return protocol.reply(b"7", [(2, b"one\n"), (1, b"two\n"), (2, b"three\n")])

    for name in list(os.environ):
        if name.startswith("KYCLI_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KYCLI_SCOPE", "a=b\nc")
    monkeypatch.setenv("KYCLIX", "no")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("TERMINFO", "no")
    monkeypatch.setenv("TZ", "")
    mask = os.umask(0o137)
    try:
        with site.serving(answer):
            process = site.start("kyg", "", "a b", "-\udcff", "x" * 100_000)
            out, err = process.communicate(timeout=60)
    finally:
        os.umask(mask)
    (request,) = asked
    assert (process.returncode, out, err) == (7, b"two\n", b"one\nthree\n")
    assert request.pid == process.pid
    assert request.directory == os.fsencode(tmp_path)
    assert request.umask == 0o137
    assert request.streams == "ppp"
    assert request.program == "kyg"
    assert request.arguments == ["", "a b", "-\udcff", "x" * 100_000]
    variables = request.variables.split(b"\0")
    assert {b"KYCLI_SCOPE=a=b\nc", b"LC_TIME=C", b"TZ="} < set(variables)
    assert not [v for v in variables if v.startswith((b"KYCLIX", b"TERMINFO", b"_"))]


# What Python does


def test_without_a_server_the_script_beside_it_does_it(site: Site) -> None:
    assert site.run("kys", "a", "b c", "") == (9, b"python: [kys] [a] [b c] []\n", b"")
    site.path.touch()
    assert site.run("kys", "a").out == b"python: [kys] [a]\n"
    with site.listening():
        pass  # what is left of it refuses connections
    assert site.run("kyg", "a").out == b"python: [kyg] [a]\n"


def test_a_name_that_is_no_program_s_is_kycli(site: Site) -> None:
    (site.bin / "other").symlink_to("kyg")
    assert site.run("other", "a").out == b"python: [kycli] [a]\n"


def test_through_a_link_it_finds_the_script_beside_itself(site: Site, tmp_path: Path) -> None:
    (tmp_path / "kyg").symlink_to(site.bin / "kyg")
    assert run(tmp_path / "kyg", "a", environ=site.environ).out == b"python: [kyg] [a]\n"


def test_a_client_that_was_replaced_while_it_ran_finds_the_script(
    site: Site,
) -> None:
    with site.listening() as listener:
        process = site.start("kyg", "a")
        connection, _ = listener.accept()
        connection.recv(1000)
        (site.bin / "kyg").unlink()
        connection.sendall(protocol.reply(b"?", []))
        assert process.communicate(timeout=60)[0] == b"python: [kyg] [a]\n"
        connection.close()


def test_a_script_that_is_missing_or_cannot_run_is_named(site: Site) -> None:
    site.script.chmod(0o644)
    assert site.run("kyg", "a") == (
        1, b"", f"kycli: {site.script} cannot be run: Permission denied\n".encode()
    )  # fmt: skip
    site.script.write_text("#!/no/such/interpreter\n")
    site.script.chmod(0o755)
    hint = b"hint: install kycli again\n"
    message = f"kycli: {site.script} cannot be run: No such file or directory\n".encode() + hint
    assert site.run("kyg", "a") == (1, b"", message)
    site.script.unlink()
    assert site.run("kyg", "a") == (1, b"", message)


def test_python_is_started_without_what_a_short_command_does_not_need(
    site: Site,
) -> None:
    python = f"{BIN.resolve()}/python"
    site.script.write_text(f"#!{python}\nimport sys\nprint(sys.flags.no_site, sys.argv[1:])\n")
    assert site.run("kyg", "a") == (0, b"1 ['kyg', 'a']\n", b"")
    # These may be any command, also one that asks where Python is installed.
    for name in ("ky", "other"):
        (site.bin / name).symlink_to("kyg")
    assert site.run("ky", "a") == (0, b"0 ['ky', 'a']\n", b"")
    assert site.run("other", "a") == (0, b"0 ['kycli', 'a']\n", b"")


def test_python_finds_what_is_not_installed_beside_the_script(site: Site, tmp_path: Path) -> None:
    shutil.copy(BIN / "kycli", site.script)
    site.environ["HOME"] = str(tmp_path)
    assert site.run("kys", "k", "v") == (0, b"", b"")
    assert site.run("kyg", "k") == (0, b"v\n", b"")
    assert site.run("kyg", "--query") == run(BIN / "kyg", "--query", environ=site.environ)


def test_what_the_server_declines_the_script_does(site: Site) -> None:
    with site.serving(lambda *_: protocol.reply(b"?", [])):
        assert site.run("kys", "a").out == b"python: [kys] [a]\n"


def test_with_a_closed_stream_the_server_is_not_asked(site: Site) -> None:
    with site.serving(shown):
        for closed in ("<&-", ">&-", "2>&-"):
            line = f"{shlex.quote(str(site.bin / 'kyg'))} a {closed}; echo $? >&3"
            done = run("bash", "-c", f"exec 3>&1; {line}", environ=site.environ)
            assert done.out.endswith(b"9\n"), closed


def test_a_directory_that_others_may_enter_is_not_used(site: Site, tmp_path: Path) -> None:
    with site.serving(shown):
        assert site.run("kyg", "a").out == b"a\n"
        for mode in (0o755, 0o710, 0o701):
            site.sockets.chmod(mode)
            assert site.run("kyg", "a").out == b"python: [kyg] [a]\n"
        site.sockets.chmod(0o700)
        os.rename(site.sockets, tmp_path / "elsewhere")
        site.sockets.symlink_to(tmp_path / "elsewhere")
        assert site.run("kyg", "a").out == b"python: [kyg] [a]\n"


def test_a_directory_or_server_of_another_user_is_not_used(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make another user's directory")
    with site.serving(shown):
        os.chown(site.sockets, 12345, 12345)
        assert site.run("kyg", "a").out == b"python: [kyg] [a]\n"
        os.chown(site.sockets, 0, 0)
        assert site.run("kyg", "a").out == b"a\n"
    site.sockets.parent.chmod(0o755)
    os.chown(site.sockets, 12345, 12345)
    program = (
        "import os, socket, sys\n"
        "listener = socket.socket(socket.AF_UNIX)\n"
        "os.setegid(12345); os.seteuid(12345)\n"
        "listener.bind(sys.argv[1]); listener.listen()\n"
        "print(flush=True); sys.stdin.read()\n"
    )
    command = [str(BIN / "python"), "-c", program, str(site.path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        other.stdout.readline()
        os.chown(site.sockets, 0, 0)  # so that only who listens is another user
        assert site.run("kyg", "a").out == b"python: [kyg] [a]\n"
        other.communicate()


def test_without_a_runtime_directory_it_looks_in_that_of_temporary_files(
    site: Site,
) -> None:
    own = site.sockets.with_name(f"kycli-{os.getuid()}")
    site.sockets.rename(own)
    site.path = own / site.path.name
    with site.serving(shown):
        for runtime in ("", "relative"):
            site.environ["XDG_RUNTIME_DIR"] = runtime
            assert site.run("kyg", "a").out == b"a\n"


def test_a_path_too_long_for_a_socket_is_no_server(site: Site) -> None:
    site.environ["XDG_RUNTIME_DIR"] = "/tmp/" + "x" * 200
    assert site.run("kyg", "a").out == b"python: [kyg] [a]\n"


def test_a_command_line_near_the_kernel_s_limit(site: Site) -> None:
    words = ["x" * 100_000] * 15
    with site.serving(shown):
        assert site.run("kyg", *words).out == " ".join(words).encode() + b"\n"
    assert len(site.run("kyg", *words).out) > 1_500_000


def test_without_proc_it_goes_by_the_name_it_was_executed_by(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can hide /proc")
    line = f"mount -t tmpfs none /proc && exec {site.bin / 'kyg'} a"
    done = run("unshare", "-m", "bash", "-c", line, environ=site.environ)
    if done.code != 9 and b"unshare" in done.err + done.out:
        pytest.skip("no mount namespaces here")
    assert done == (9, b"python: [kyg] [a]\n", b"")


# Starting the server


def test_it_starts_the_server_only_where_the_user_wants_it(site: Site, tmp_path: Path) -> None:
    site.environ["XDG_CONFIG_HOME"] = str(tmp_path)
    started = tmp_path / "started"
    site.script.write_text(
        f'#!/bin/sh\ncase "$1" in server) echo "$@" >> {started};; *) echo python;; esac\n'
    )
    assert site.run("kyg", "a").out == b"python\n"
    (tmp_path / "kycli").mkdir()
    (tmp_path / "kycli/server").touch()
    assert site.run("kyg", "a").out == b"python\n"
    until(started.exists)
    until(started.read_text)
    for _ in range(20):
        assert site.run("kyg", "a").out == b"python\n"
    assert started.read_text() == "server start --quiet\n"  # once, as it is about to start


def test_the_first_call_is_done_by_python_and_the_next_by_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with short_directory() as directory:
        environ = {"XDG_RUNTIME_DIR": str(directory)}
        try:
            assert run(BIN / "kycli", "server", "enable", environ=environ).code == 0
            assert run(BIN / "kys", "k", "v", environ=environ) == (0, b"", b"")
            until((directory / "kycli" / Site.path_name()).exists, "the server")

            def is_served() -> bool:
                assert run(CLIENT, "k", environ=environ) == (0, b"v\n", b"")
                status = run(BIN / "kycli", "server", "status", "--json", environ=environ)
                return re.search(rb'"requests":[1-9]', status.out) is not None

            until(is_served, "a call that is served")
        finally:
            run(BIN / "kycli", "server", "stop", environ=environ)
