"""Settings: showing and changing the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.output import write_listing
from kycli.cli.registry import COMMANDS, unknown_command
from kycli.config import save_config, settings
from kycli.core.location import absolute_path
from kycli.errors import ConfigError

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def show(env: Environment, arguments: list[str]) -> int:
    """``config``: each setting, its value and where it comes from."""
    if arguments:
        known = [name.partition(" ")[2] for name in COMMANDS if name.startswith("config ")]
        raise unknown_command(arguments[0], known, of="config")
    write_listing(
        env,
        settings(env.config, db_flag=env.flags.get("db")),
        lambda setting: "\t".join(map(str, setting)).encode(),
        lambda setting: dict(zip(("name", "value", "origin"), setting, strict=True)),
    )
    return 0


def get(env: Environment, arguments: list[str]) -> int:
    """``config get NAME``: the value in effect."""
    values = {name: value for name, value, _ in settings(env.config, db_flag=env.flags.get("db"))}
    if arguments[0] not in values:
        raise ConfigError(
            f"there is no setting {arguments[0]!r}", hint=f"the settings are {', '.join(values)}"
        )
    env.write(f"{values[arguments[0]]}\n".encode())
    return 0


def change(env: Environment, arguments: list[str]) -> int:
    """``config set NAME VALUE``: write a setting."""
    name, text = arguments
    value: str | int = text
    if name == "busy_timeout_ms" and text.isdecimal():
        value = int(text)
    elif name == "db_path":
        # In the file a relative path belongs to the file's directory; here, to this one.
        value = absolute_path(text)
    return _saved(env, name, value)


def unset(env: Environment, arguments: list[str]) -> int:
    """``config unset NAME``: remove a setting."""
    return _saved(env, arguments[0], None)


def print_path(env: Environment, arguments: list[str]) -> int:
    """``config path``: the config file in effect; 2 when there is none."""
    if env.config.source is None:
        env.note("kycli: no config file; 'kycli config set' makes one")
        return 2
    env.write(f"{env.config.source}\n".encode())
    return 0


def _saved(env: Environment, name: str, value: str | int | None) -> int:
    path = save_config(name, value)
    env.note(f"written to {path}")
    return 0
