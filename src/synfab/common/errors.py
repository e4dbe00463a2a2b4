"""Exceptions. Messages are one line: the argument, what was found and what is allowed."""

from __future__ import annotations


class SynfabError(Exception):
    """Base class of all exceptions of this package; the message is always one line."""

    def __str__(self) -> str:
        # File names and messages of other libraries can contain line breaks.
        return "\\n".join(super().__str__().splitlines())


class InvalidValueError(SynfabError, ValueError):
    """An argument has an invalid value."""


class InvalidTypeError(SynfabError, TypeError):
    """An argument has an invalid type."""


class InvalidIndexError(SynfabError, IndexError):
    """An index selects cells that do not exist."""


class FileFormatError(InvalidValueError):
    """A file is missing, damaged, or of another format or version."""


class EditedFileWarning(UserWarning):
    """A file was edited or damaged after it was written: its digest does not match."""


class SolverError(SynfabError, ArithmeticError):
    """A network could not be solved; unconverged results are never returned."""


class CapacityError(SynfabError, MemoryError):
    """A request exceeds the available memory."""


class ToolError(SynfabError, RuntimeError):
    """A required package or program (compiler, simulator) is missing or has failed."""


class InvalidKeyError(SynfabError, KeyError):
    """A mapping has no such key."""

    def __str__(self) -> str:
        return SynfabError(*self.args).__str__()  # KeyError would add quotes
