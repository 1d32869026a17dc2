"""The functions of fish do what the commands do."""
# ruff: noqa: E501 - lines of shell scripts

from __future__ import annotations

import os
from pathlib import Path

import pytest
from session.terminals import interrupt_often, needs, script, servers, terminal, wait_for

pytestmark = [needs("fish"), pytest.mark.alone]


def check(text: str) -> list[str]:
    """Run a script; return the lines that it prints, on standard output and then on error."""
    done = script("fish", text)
    return (done.out.decode(errors="replace") + done.err).splitlines()


def test_values_of_any_content_reach_variables_lists_and_substitutions() -> None:
    said = check(
        r"""
        for value in '' ' a  b ' two\nlines end\n\n '*' -n -- '\\\\'\e\x1f \x1e\x1f 'ä€😀' \xff\xfe (string repeat -n 50000 äx\n | string collect)
            echo -n -- "$value" | kys key -
            kyg -v got key; test "$got" = "$value"; or echo "v: "(string escape -- "$value" "$got")
            set got (kyg --raw key; echo x | string collect); test "$got" = "$value"x; or set got (kyg --raw key | string collect -N)
            kyg -a list key nothing key 2>/dev/null; test $status = 2; or echo no error
            test (count $list) = 2; and test "$list[1]" = "$value"; and test "$list[2]" = "$value"; or echo "a: "(string escape -- "$value" $list)
            kyg key | string collect -N | read -z got; test "$got" = "$value"\n; or echo "pipe: "(string escape -- "$value" "$got")
        end
        kys -- again (string repeat -n 50000 äx\n | string collect); kyg -v got again; string length -- $got
        printf 'a\0b\n' | kys nul -
        kyg -v got --raw nul; echo $status "<$got>"
        kyg nul | od -An -c
        kyg -v got missing; echo $status "<$got>"
        kyg -a list missing missing 2>/dev/null; echo $status (count $list)
        """
    )
    assert said == [
        *("149999", "1 <>", "   a  \\0   b  \\n  \\n", "2 <>", "2 0"),
        "kycli: the value has a NUL byte, which a variable of fish cannot hold",
        "hint: --b64 prints it as text, --raw as it is",
        "kycli: no key 'missing' in scope 'default'",
    ]


def test_variables_are_set_where_set_would_set_them() -> None:
    said = check(
        """
        kys key value
        function f; set -l mine; kyg -v mine key; kyg -v new key; echo $mine $new; end
        f; set -q mine; or echo unset; set -q new; or echo unset
        set -g mine x; kyg -v mine key; echo $mine; begin; set -l mine y; kyg -v mine key; echo $mine; end
        kycli get -v mine key; ky get -a list key key; echo $mine $list
        for name in status argv history __kycli_door 'a b'; kyg -v "$name" key; echo $status; end
        kyg -v; echo $status; set -q __kycli_kind __kycli_status __kycli_text; echo $status
        """
    )
    assert said[:13] == [
        "value value",
        "unset",
        "unset",
        "value",
        "value",
        "value value value",
        *["1"] * 6,
        "3",
    ]
    errors = [line for line in said if line.startswith("kycli")]
    assert errors[0] == "kycli: -v: 'status' is no variable that can be set"
    assert len(errors) == 6


def test_directory_variables_and_scope_are_those_of_the_call(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    said = check(
        """
        cd ../one; kys -d here.db key one; ls here.db; cd ..; mv one two; cd two
        kyg -d here.db key; command mv ../two ../three; kyg -d here.db key
        KYCLI_SCOPE=a.b kys key scoped; kyg key 2>&1; echo $status
        begin; set -lx KYCLI_SCOPE a.b; kyg key; end; set -g KYCLI_SCOPE a.b; kyg key 2>&1; set -e KYCLI_SCOPE
        kyuse -q --here a.b; kyg key; kycli use --here 'no scope' 2>/dev/null; echo $status $KYCLI_SCOPE
        set -e KYCLI_SCOPE; kyuse -q a.b; kyg key; command kyg key
        umask 027; kycli export -q out.csv; umask 077; kycli export -q private.csv; stat -c %a out.csv private.csv
        """
    )
    missing = "kycli: no key 'key' in scope 'default'"
    assert said[:13] == [
        *("here.db", "one", "one", missing, "2", "scoped", missing),
        *("scoped", "1 a.b", "scoped", "scoped", "640", "600"),
    ]


def test_pipelines_jobs_and_handlers() -> None:
    said = check(
        """
        kys key value; kys inner inner
        sleep 0 &; set before $last_pid; kyg key; test $before = $last_pid; or echo other; wait; jobs -q; and echo job
        kyg key | cat; kyg key >out; cat out; echo (kyg key)(kyg inner); kyg --raw key | kys copied -; kyg copied
        printf 'key\\nkey\\n' | while read k; kyg $k; end
        set -g bad 0; set -g handled 0
        function on_usr1 --on-signal USR1
            test (kyg inner) = inner; or set -g bad 1
            set -g handled 1
        end
        fish --no-config -c "for i in 1 2 3 4 5 6; kill -USR1 $fish_pid; sleep 0.05; end; touch ended" &
        while not test -e ended; kyg -v got key; test $got = value; or set -g bad 1; end
        echo $bad $handled
        """
    )
    assert said == ["value", "value", "value", "valueinner", "value", "value", "value", "0 1"]


def test_replies_are_never_mixed_up() -> None:
    many(3, 20)


@pytest.mark.soak
def test_replies_are_never_mixed_up_in_thousands() -> None:
    many(8, 1000)


def many(shells: int, calls: int) -> None:
    said = check(
        f"""
        for i in (seq {shells}); kys key$i "value $i "(string repeat -n (math $i x 300) x); end
        for i in (seq {shells})
            fish --no-config -c "kycli init fish | source
                kyg -v mine key$i
                for n in (seq {calls})
                    kyg -v got key$i; test \\"\\$got\\" = \\"\\$mine\\"; or echo mixed up
                    test (kyg key$i) = \\"\\$mine\\"; or echo mixed up
                end; string match -q 'value $i *' -- \\$mine; and echo done" &
        end
        wait
        """
    )
    assert said == ["done"] * shells


def test_a_server_that_is_killed_is_started_again() -> None:
    said = check(
        """
        kys key value
        kill -9 (pgrep -f "shells[.]fish [^ ]* $fish_pid\\$"); sleep 0.2
        kyg key; kycli incr n >/dev/null
        kill -9 (pgrep -f "shells[.]fish [^ ]* $fish_pid\\$" | tail -1); sleep 0.3
        kyg key
        set -g __kycli_version 0.0.1; kill -9 (pgrep -f "shells[.]fish [^ ]* $fish_pid\\$"); sleep 0.2
        kyg key; test $__kycli_version != 0.0.1; and echo new
        set -g __kycli_door; set -g __kycli_python /nowhere; kyg key; kyg -v got key; echo $got; kyg -a got key n; echo $got
        kyg missing 2>/dev/null; echo $status; kyg -v got missing 2>/dev/null; echo $status
        """
    )
    assert said[:9] == ["value", "value", "value", "new", "value", "value", "value 1", "2", "2"]


def test_a_server_ends_with_its_shell_and_each_shell_has_its_own() -> None:
    with terminal("fish") as one, terminal("fish") as other:
        assert servers("fish") == []
        assert one.run("kys key value; kyuse -q --here one") == ""
        assert other.run("kyg key") == "value\n"
        mine, others = servers("fish", one.pid), servers("fish", other.pid)
        assert mine
        assert others
        assert not set(mine) & set(others)
    wait_for(lambda: not servers("fish"), "the servers have ended")
    assert [p.name for p in Path(os.environ["XDG_RUNTIME_DIR"], "kycli").iterdir()] == []


def test_ctrl_c_leaves_the_shell_as_it_was() -> None:
    with terminal("fish") as shown:
        shown.run("kys key value; kyg key")
        interrupt_often(shown, "while true; kyg -v got key; set got (kyg key); end", 8)
        assert shown.run("kys evil \\e'[31m'; kyg evil") == "\\x1b[31m\n"
        assert shown.run("kyg evil | od -An -c") == " 033   [   3   1   m  \\n\n"


@pytest.mark.soak
def test_ctrl_c_hundreds_of_times() -> None:
    with terminal("fish") as shown:
        shown.run("kys key value")
        interrupt_often(
            shown, "while true; kyg -v got key; set got (kyg key); kys key value; end", 300
        )
