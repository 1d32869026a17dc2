"""A mirror: the keys of a store as files, for grep and friends, and back."""

from kycli.transfer.mirror.exporting import Exported, MirrorExport
from kycli.transfer.mirror.importing import MirrorImport, MirrorImported
from kycli.transfer.mirror.manifest import Selection

__all__ = ["Exported", "MirrorExport", "MirrorImport", "MirrorImported", "Selection"]
