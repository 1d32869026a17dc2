"""A mirror: export keys as files, for tools such as grep, and import them again."""

from kycli.transfer.mirror.exporting import Exported, MirrorExport
from kycli.transfer.mirror.importing import MirrorImport, MirrorImported
from kycli.transfer.mirror.manifest import Selection

__all__ = ["Exported", "MirrorExport", "MirrorImport", "MirrorImported", "Selection"]
