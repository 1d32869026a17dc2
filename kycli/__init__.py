"""kycli: a key-value store for the terminal and for Python."""

from kycli.errors import KycliError

__all__ = ["Kycore", "KycliError"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.core.storage import Kycore

    __version__: str
else:

    def __getattr__(name):
        # The engine takes half the time of starting a command, and some commands do without it.
        if name == "Kycore":
            from kycli.core.storage import Kycore

            globals()["Kycore"] = Kycore
            return Kycore
        # Asked of the installed package, which takes longer than a whole get.
        if name == "__version__":
            from importlib.metadata import version

            return version("kycli")
        raise AttributeError(f"module 'kycli' has no attribute {name!r}")
