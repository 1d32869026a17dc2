"""server: starting, stopping and asking the user's server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.commands.values.reading import write_json
from kycli.cli.output import tilde
from kycli.session import control, endpoint

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def status(env: Environment, arguments: list[str]) -> int:
    """``server status``: whether it runs, and what it does."""
    found = control.find()
    if "json" in env.flags:
        facts: dict[str, object] = {"running": found is not None, "enabled": control.is_enabled()}
        if found is not None:
            facts |= {"pid": found.pid, "answers": found.facts is not None, **(found.facts or {})}
        write_json(env, {**facts, "socket": endpoint.socket_path()})
        return 0 if found else 1
    lines = []
    if found is None:
        lines.append("the server does not run")
    elif found.facts is None:
        lines.append(f"the server runs as process {found.pid}, and does not answer")
    else:
        facts = found.facts
        lines += [
            f"the server runs as process {found.pid}, version {facts['version']}",
            f"{facts['requests']:,} requests, {facts['workers']} workers, {facts['busy']} busy, "
            f"{facts['stores']} databases open",
        ]
    lines.append(f"socket: {tilde(endpoint.socket_path())}")
    started = "on demand" if control.is_enabled() else "only by 'kycli server start'"
    lines.append(f"started {started}")
    for line in lines:
        env.write(env.shown(line) + b"\n")
    return 0 if found else 1


def start(env: Environment, arguments: list[str]) -> int:
    """``server start``: start it, unless it runs."""
    env.note("the server was started" if control.start() else "the server runs already")
    return 0


def stop(env: Environment, arguments: list[str]) -> int:
    """``server stop``: stop it, after what it is doing."""
    env.note("the server was stopped" if control.stop() else "the server does not run")
    return 0


def restart(env: Environment, arguments: list[str]) -> int:
    """``server restart``: stop it, and start it again."""
    control.stop()
    control.start()
    env.note("the server was started")
    return 0


def enable(env: Environment, arguments: list[str]) -> int:
    """``server enable``: let the client start it."""
    env.note(f"the server is started on demand from now on: {tilde(control.enable())}")
    return 0


def disable(env: Environment, arguments: list[str]) -> int:
    """``server disable``: take that back."""
    control.disable()
    env.note("the server is started only by 'kycli server start'")
    return 0
