"""Starting the server of a shell without the module ``site``, which is slow to import.

Modules in the directory of the package are found without it. ``site`` runs later: after the first
calls, or before an import fails.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import NoReturn


def command() -> str:
    """Return the program for ``python -SP -X utf8 -c``, before a module and what it is given."""
    import kycli

    packages = os.path.dirname(os.path.dirname(os.path.abspath(kycli.__file__)))
    return (
        f"import gc,sys;gc.disable();sys.path.append({packages!a});"
        "from kycli.session.lean import begin;begin()"
    )


class _Site:
    """What is asked last for a module: it has ``site`` find more."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        complete()
        # All of them: packages that are installed to be edited may bring finders of their own.
        found = (finder.find_spec(name, path, target) for finder in [*sys.meta_path])
        return next((spec for spec in found if spec is not None), None)


def begin() -> NoReturn:
    """Run ``main`` of the module that the first argument names, and end with its exit code."""
    sys.meta_path.append(_Site)
    del sys.argv[0]
    main = __import__(sys.argv[0], None, None, ("main",)).main
    os._exit(main(*sys.argv[1:]))


def complete() -> None:
    """Do what ``site`` does, if that was left out."""
    if _Site in sys.meta_path:
        sys.meta_path.remove(_Site)
        import site

        site.main()
