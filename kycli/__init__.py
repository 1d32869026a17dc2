"""kycli: a key-value store for the terminal and for Python."""

from kycli.core.storage import Kycore
from kycli.errors import KycliError

__all__ = ["Kycore", "KycliError"]
