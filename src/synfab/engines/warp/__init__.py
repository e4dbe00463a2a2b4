"""GPU engine: the rules as kernels of NVIDIA Warp, one thread per cell; it also runs on the CPU."""

from synfab.common import extras

extras.check("warp")
