"""MkDocs hooks that insert scripts, the command-line reference and the list of files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = "<!-- commands -->"
FILES = "<!-- files -->"
SCRIPT = re.compile(r"<!-- script: (\S+) -->")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace the placeholders of a page by scripts, help texts of commands and the file list."""

    def script(found: re.Match[str]) -> str:
        text = (ROOT / found[1]).read_text()
        return (
            f'??? note "{found[1]}"\n    ```py\n'
            + "".join(f"    {line}\n" for line in text.splitlines())
            + "    ```\n"
        )

    markdown = SCRIPT.sub(script, markdown)
    if FILES in markdown:
        markdown = markdown.replace(FILES, _files())
    return markdown.replace(COMMANDS, _commands()) if COMMANDS in markdown else markdown


def _files() -> str:
    """Return a table of all source files with the first line of each docstring."""
    package = ROOT / "src" / "synfab"
    rows = ["| file | what it is |", "|---|---|"]
    folders = sorted(p.parent for p in package.glob("*/**/__init__.py"))
    for folder in [package, *folders]:
        for file in [folder / "__init__.py", *sorted(folder.glob("[!_]*.py"))]:
            words = ast.get_docstring(ast.parse(file.read_text())) or ""
            name = f"{file.relative_to(package)}".removesuffix("__init__.py") or "synfab"
            rows.append(f"| `{name}` | {words.splitlines()[0].replace('``', '`')} |")
    return "\n".join(rows)


def _commands() -> str:
    import typer

    from synfab.cli.app import app

    def lines(command, name):
        parts = [f"## `{name}`\n", (command.help or "").strip() + "\n"]
        if getattr(command, "commands", None):
            for child, inner in command.commands.items():
                parts += lines(inner, f"{name} {child}")
            return parts
        rows = ["| argument or option | what it is | default |", "|---|---|---|"]
        for parameter in command.params:
            if parameter.name == "help":
                continue
            names = ", ".join(f"`{n}`" for n in (*parameter.opts, *parameter.secondary_opts))
            if parameter.param_type_name == "argument":
                names = f"`{parameter.name.upper()}`"
            text = (getattr(parameter, "help", None) or "").replace("|", "or")
            given = parameter.default
            given = "needed" if parameter.required else given
            shown = "" if given in (None, False, "") else f"{given}"
            rows.append(f"| {names} | {text} | {shown} |")
        return [*parts, "\n".join(rows) + "\n"]

    top = typer.main.get_command(app)
    children = [lines(command, f"synfab {name}") for name, command in top.commands.items()]
    return "\n".join(part for child in children for part in child)
