"""The engine for CPUs: the rules as compiled kernels, on groups of 256 cells."""
