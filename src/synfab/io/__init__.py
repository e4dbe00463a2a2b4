"""Files: atomic writing, size limits, formats with checksums; memory; checkpoints."""
