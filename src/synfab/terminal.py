"""What commands print: results to standard output, what goes on meanwhile to standard error."""

from __future__ import annotations

import typer
from rich.console import Console

out = Console()
progress = Console(stderr=True)


def say(text: str) -> None:
    """Print a line as it is: never folded or coloured, names of files to the byte."""
    typer.echo(text.encode("utf-8", "surrogateescape"))
