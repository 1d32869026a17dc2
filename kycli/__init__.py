"""kycli: a key-value store for the terminal and for Python."""

from kycli.errors import KycliError

__all__ = ["Kycore", "KycliError"]

# That of pyproject.toml, as a test holds. To ask the installed package takes longer than a get.
__version__ = "0.5.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore
else:

    def __getattr__(name):
        # The engine takes half the time of starting a command, and some commands do without it.
        if name == "Kycore":
            from kycli.core.storage import Kycore

            globals()["Kycore"] = Kycore
            return Kycore
        raise AttributeError(f"module 'kycli' has no attribute {name!r}")
