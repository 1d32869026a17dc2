"""config: showing and changing the settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kycli.cli.commands.values.reading import text_or_bytes
from kycli.cli.env import whole_number
from kycli.cli.output import tilde, write_listing
from kycli.cli.suggest import nearest
from kycli.config import check_setting, database_path, setting_names
from kycli.core.durations import shown
from kycli.core.location import MEMORY, absolute_path

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def show(env: Environment, arguments: list[str]) -> int:
    """``config``: each setting, its value and where it comes from, and what is none."""
    write_listing(
        env,
        _in_effect(env),
        lambda setting: b"\t".join(env.shown(os.fsencode(str(field))) for field in setting),
        _record,
    )
    env.flush()
    for name in env.config.ignored:
        near = nearest(name, setting_names())
        env.note(
            f"{tilde(env.config.source or '')}: there is no setting {shown(name)}, so it is "
            f"ignored{near and f'; {near}'}"
        )
    return 0


def _record(setting: tuple[str, str | int, str]) -> dict[str, Any]:
    name, value, origin = setting
    shown = value if isinstance(value, int) else text_or_bytes(os.fsencode(value))
    return {"name": name, "value": shown, "origin": text_or_bytes(os.fsencode(origin))}


def get(env: Environment, arguments: list[str]) -> int:
    """``config get NAME``: the value in effect."""
    wanted = check_setting(arguments[0])
    (value,) = (value for name, value, _ in _in_effect(env) if name == wanted)
    env.write(env.shown(os.fsencode(str(value))) + b"\n")
    return 0


def change(env: Environment, arguments: list[str]) -> int:
    """``config set NAME VALUE``: write a setting."""
    name, text = arguments
    value: str | int = text
    if name == "busy_timeout_ms":
        number = whole_number(text)
        value = text if number is None else number
    elif name == "db_path" and text != MEMORY:
        # On the command line a relative path is relative to the working directory, and in the
        # file to the directory of the file.
        value = absolute_path(text)
    path = env.save_setting(name, value)
    env.note(f"written to {tilde(path)}")
    return 0


def unset(env: Environment, arguments: list[str]) -> int:
    """``config unset NAME``: remove a setting; 2 when it is not set."""
    name = check_setting(arguments[0])
    if name not in env.config.given:
        env.note(f"kycli: {name} is not set")
        return 2
    path = env.save_setting(name, None)
    env.note(f"removed from {tilde(path)}")
    return 0


def print_path(env: Environment, arguments: list[str]) -> int:
    """``config path``: the config file in effect; 2 when there is none."""
    if env.config.source is None:
        env.note("kycli: no config file; 'kycli config set NAME VALUE' makes one")
        return 2
    env.write(env.shown(os.fsencode(env.config.source)) + b"\n")
    return 0


def _in_effect(env: Environment) -> list[tuple[str, str | int, str]]:
    """Return every setting as it is in effect: its name, value and where it comes from."""
    config = env.config
    delimiter_origin = "--ns-delim" if "ns-delim" in env.flags else config.origin("ns_delim")
    return [
        ("db_path", *database_path(config, env.flags.get("db"))),
        ("current_scope", *env.current_scope()),
        ("ns_delim", env.delimiter, delimiter_origin),
        ("durability", config.durability, config.origin("durability")),
        ("busy_timeout_ms", config.busy_timeout_ms, config.origin("busy_timeout_ms")),
        ("shell_keys", config.shell_keys, config.origin("shell_keys")),
        ("shell_pager", config.shell_pager, config.origin("shell_pager")),
    ]
