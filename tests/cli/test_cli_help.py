"""The first screen of help, and the topics."""

from __future__ import annotations

import re
import shlex

import pytest
from cli.harness import Call

from kycli.cli.commands import KY, aliases, all_commands, known, short_names
from kycli.cli.env import Environment
from kycli.cli.help import page
from kycli.cli.parse import parse
from kycli.cli.topics import TOPICS

COMMANDS = all_commands()


def test_the_help_fits_one_screen_and_leaves_a_line_for_the_prompt(call: Call) -> None:
    lines = call("kycli", "help").out.decode().splitlines()
    assert len(lines) < 24
    assert [line for line in lines if len(line) > 80] == []


def test_the_first_screen_names_every_command_and_topic(call: Call) -> None:
    words = call("kycli", "help").out.decode().split()
    assert {name for name in COMMANDS if " " not in name} <= set(words)
    assert set(TOPICS) <= set(words)


def test_all_explains_every_command_and_topic(call: Call) -> None:
    text = call("kycli", "help", "--all").out.decode()
    for name in (*COMMANDS, *TOPICS):
        assert f"\n  {name} " in text
    assert call("kycli", "--help", "--all").out.decode() == text
    assert call("kyh", "--all").out.decode() == text


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_is_shown_by_its_name(call: Call, name: str) -> None:
    shown = call("kycli", "help", name)
    assert (shown.code, shown.err) == (0, "")
    assert TOPICS[name].text in shown.out.decode()
    assert [line for line in shown.out.decode().splitlines() if len(line) > 80] == []
    assert call("kyh", name) == shown


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_hides_no_command(name: str) -> None:
    assert name not in (KY, *COMMANDS, *aliases())


@pytest.mark.parametrize("name", TOPICS)
def test_examples_of_a_topic_are_command_lines(name: str) -> None:
    for line in TOPICS[name].text.splitlines():
        example = re.match(rf"  ((kycli|{KY}|{'|'.join(short_names())}) .*?)(  |$)", line)
        if example and not re.search(r"\b[A-Z]{2,}\b", example[1]):
            program, *words = shlex.split(example[1].split(" < ")[0])
            parse(words, None if program == "kycli" else program)


@pytest.mark.parametrize(
    ("name", "topics"),
    [
        ("set", "addresses, values, expiry"),
        ("kyg", "times, paths, queries"),
        ("kyl", "patterns"),
        ("history", "addresses, times"),
        ("expire", "addresses, expiry"),
        ("search", "queries"),
    ],
)
def test_a_command_points_to_the_topics_of_what_it_takes(name: str, topics: str) -> None:
    _, _, shown = page(Environment(), known(name)).partition("\nSee also 'kycli help TOPIC':\n")
    assert [line.split()[0] for line in shown.splitlines()] == topics.split(", ")


def test_every_topic_that_belongs_to_commands_is_pointed_to() -> None:
    shown = "".join(page(Environment(), known(name)) for name in COMMANDS)
    for name, topic in TOPICS.items():
        if topic.words:
            assert f"\n  {name:20}{topic.summary}\n" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["timex"], "did you mean times"),
        (["times", "more"], "does not expect 'more'"),
    ],
)
def test_what_is_no_topic_is_refused(call: Call, words: list[str], said: str) -> None:
    result = call("kycli", "help", *words)
    assert result.failed_clearly
    assert said in result.err
