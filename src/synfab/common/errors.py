"""What can go wrong, as one clear line each: the argument, what was found, what is allowed."""

from __future__ import annotations


class SynfabError(Exception):
    """Base class of every error that this package raises on purpose; one line, always."""

    def __str__(self) -> str:
        # Names of files may hold line breaks, and so may what a library says.
        return "\\n".join(super().__str__().splitlines())


class InvalidValueError(SynfabError, ValueError):
    """An argument has a value that is not allowed."""


class InvalidTypeError(SynfabError, TypeError):
    """An argument has a type that is not allowed."""


class InvalidIndexError(SynfabError, IndexError):
    """Cells are selected that an array does not have."""


class FileFormatError(InvalidValueError):
    """A file cannot be used: missing, damaged, or of another format or version."""


class EditedFileWarning(UserWarning):
    """A file was edited, or damaged, since it was written: its digest is that of other content."""


class SolverError(SynfabError, ArithmeticError):
    """A network could not be solved; nothing unconverged is returned in its place."""


class CapacityError(SynfabError, MemoryError):
    """A request would not fit into the memory of this machine."""


class ToolError(SynfabError, RuntimeError):
    """A program that the work needs (compiler, simulator) is missing, or has failed."""


class InvalidKeyError(SynfabError, KeyError):
    """A mapping has no such name."""

    def __str__(self) -> str:
        return SynfabError(*self.args).__str__()  # KeyError would put it into quotes
