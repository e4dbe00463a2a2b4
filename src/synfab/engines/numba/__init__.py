"""CPU engine: the rules as kernels compiled by Numba, applied to groups of 256 cells."""
