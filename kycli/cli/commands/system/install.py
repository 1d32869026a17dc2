"""install and uninstall: what the user's shells read, manual pages, the server, the data."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from kycli.cli.commands import find
from kycli.cli.installing import setups
from kycli.cli.installing.files import (
    Change,
    Links,
    adding,
    do_all,
    links_to_remove,
    man_finds_them,
    manual_links,
    package_manuals,
    remove_if_empty,
    removing,
)
from kycli.cli.installing.purging import Purge
from kycli.cli.output import tilde
from kycli.cli.suggest import nearest
from kycli.config import config_dir
from kycli.errors import KycliError, UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_STYLES = {"+": "32", "-": "31", "@": "36"}
"""The colours of lines of a difference, by their first character."""


def install(env: Environment, arguments: list[str]) -> int:
    """``install [SHELL...]``: show what is to be written, ask, and write it."""
    shells = _shells(arguments) or setups.used()
    if not shells:
        raise UsageError(
            "which shell? None of those that can be set up is in use here",
            hint=f"'kycli install {setups.SHELLS[0]}'; also: {', '.join(setups.SHELLS[1:])}",
        )
    changes = [adding(setups.startup_file(shell), setups.lines(shell)) for shell in shells]
    pages = package_manuals()
    links = Links(setups.manuals())
    if pages and not man_finds_them(pages):
        links = manual_links(links.directory, pages)
    for change in changes:
        if change.is_none:
            env.note(f"{tilde(change.path)} is set up already")
    changes = [change for change in changes if not change.is_none]
    _show(env, changes, links)
    is_dry = "dry-run" in env.flags
    if not is_dry and (changes or links.add) and not env.confirm("write this?"):
        return 1
    if not is_dry:
        do_all(changes)
        links.do()
        for change in changes:
            env.note(f"written to {tilde(change.path)}")
        if changes:
            env.note("shells that start from now on have it")
    _warn_of_path(env)
    return _allow_server(env, is_dry)


def _allow_server(env: Environment, is_dry: bool) -> int:
    """Ask whether clients may start the server, if there is one and they may not yet."""
    server = _Server(env)
    if not server.can_be_enabled():
        return 0
    if is_dry:
        env.note("it would ask whether the server may be started on demand")
        return 0
    question = "may commands start a server, which makes them faster and ends when idle?"
    if not ("yes" in env.flags or env.can_ask()):
        return 0
    if not env.confirm(question, refused="the server is not started on demand"):
        return 0
    return server.run("enable")


def uninstall(env: Environment, arguments: list[str]) -> int:
    """``uninstall [SHELL...]``: take back what ``install`` did, and with --purge the data."""
    shells = _shells(arguments)
    changes = [removing(setups.startup_file(shell)) for shell in shells or setups.SHELLS]
    changes = [change for change in changes if not change.is_none]
    links = Links("") if shells else links_to_remove(setups.manuals())
    purge = Purge() if "purge" in env.flags else None
    server = _Server(env)
    ends_server = not shells and server.is_enabled()
    found = bool(changes or links.remove or ends_server)
    if not found and purge is None:
        env.note("nothing is set up")
    _show(env, changes, links)
    if ends_server:
        env.write(b"the server: stopped, and not started on demand any more\n")
    if purge is not None:
        for line in purge.shown():
            env.write(env.shown(line) + b"\n")
        if not purge.files:
            env.note("there is no data")
    env.flush()
    if "dry-run" in env.flags:
        return 0
    if found and not env.confirm("remove this?"):
        return 1
    purges = purge is not None and bool(purge.files)
    if purges and purge is not None:
        purges = env.confirm(
            f"delete the data: {purge.summary()}? It cannot be brought back",
            refused="the data is kept",
        )
    if ends_server:
        server.run("disable")
        remove_if_empty(config_dir(), 2)  # 'enable' made it for its file
    if ends_server or purges:
        server.run("stop")
    do_all(changes)
    links.do()
    for change in changes:
        env.note(f"removed from {tilde(change.path)}")
    if purges and purge is not None:
        env.note(f"deleted {purge.do()}")
    return 0


def _shells(arguments: list[str]) -> list[str]:
    for name in arguments:
        if name not in setups.SHELLS:
            near = nearest(name, setups.SHELLS)
            raise UsageError(
                f"the shell {name!r} cannot be set up",
                hint=near or f"it is one of: {', '.join(setups.SHELLS)}",
            )
    return list(dict.fromkeys(arguments))


def _show(env: Environment, changes: list[Change], links: Links) -> None:
    """Print what is to be done: differences of files, and links."""
    for change in changes:
        for line in change.shown(tilde(change.path)):
            style = {"+": "32", "-": "31", "@": "36"}.get(line[:1], "0")
            env.write(
                env.styled(env.shown(line).decode("utf-8", "replace"), style).encode() + b"\n"
            )
    for sign, names in (("+", list(links.add)), ("-", links.remove)):
        if names:
            where = tilde(os.path.join(links.directory, names[0]))
            more = f" and {len(names) - 1} more manual pages" if len(names) > 1 else ""
            env.write(env.shown(f"{sign} {where}{more}") + b"\n")
    env.flush()


def _warn_of_path(env: Environment) -> None:
    if shutil.which("kycli") is None:
        env.note("kycli is not on the PATH, so shells will not find it")


class _Server:
    """The commands of the server, where this version has one."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        server = find("server")
        parts = server.parts() if server else []
        self._commands = {part.name.partition(" ")[2]: part for part in parts}

    def can_be_enabled(self) -> bool:
        return "enable" in self._commands and not self.is_enabled()

    def is_enabled(self) -> bool:
        if "enable" not in self._commands:
            return False
        from importlib import import_module

        control = import_module("kycli.session.control")
        return bool(control.is_enabled())

    def run(self, name: str) -> int:
        """Run one of its commands; what it cannot do is said, and no reason to stop."""
        if name not in self._commands:
            return 0
        try:
            return self._commands[name].load()(self._env, [])
        except KycliError as error:
            self._env.note(f"kycli: {error}")
            return 1
