"""Memory-efficient engine: stores one cycle per cell and regenerates the device parameters."""
