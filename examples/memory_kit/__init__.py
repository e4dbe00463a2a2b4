"""A 1T1R memory with drivers and sense amplifiers in ngspice; see docs/tutorials/memory.md."""

from memory_kit.memory import Memory, Read, Write, program
from memory_kit.technology import technology

__all__ = ["Memory", "Read", "Write", "program", "technology"]
