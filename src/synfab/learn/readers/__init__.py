"""Readers of measurement files, one module per format."""

from typing import TYPE_CHECKING

from synfab.common.lazy import attach

if TYPE_CHECKING:
    from synfab.learn.reading import read_any, read_features, read_sweeps

__all__ = ["read_any", "read_features", "read_sweeps"]

__getattr__, __dir__ = attach(__name__, dict.fromkeys(__all__, "synfab.learn.reading"))
