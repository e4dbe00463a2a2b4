"""MkDocs hooks: scripts, notebooks, the command-line reference, the list of files, dark figures."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
from notebooks import notebook_of_page, notebook_of_script

ROOT = Path(__file__).parents[1]
COMMANDS = "<!-- commands -->"
FILES = "<!-- files -->"
SCRIPT = re.compile(r"<!-- script: (\S+) -->")
SECTION = re.compile(r"^## .*?(?=^## |^Next|\Z)", re.MULTILINE | re.DOTALL)
SCREENSHOTS = ("report", "explorer", "notebook")
FIGURE = re.compile(r'<img alt="(?P<words>[^"]*)" src="(?P<path>[^"]+)\.png" ?/?>')


def on_files(files: Any, config: Any) -> Any:
    """Add the scripts of the examples, their notebooks and those of the tutorials to the site."""
    for script in sorted((ROOT / "examples").rglob("*.py")):
        name = script.relative_to(ROOT)
        files.append(File.generated(config, str(name), content=script.read_text()))
        book = notebook_of_script(script)
        files.append(File.generated(config, str(name.with_suffix(".ipynb")), content=book))
    for page in sorted((ROOT / "docs" / "tutorials").glob("*.md")):
        name = page.relative_to(ROOT / "docs").with_suffix(".ipynb")
        book = notebook_of_page(page, str(name.with_suffix(".html")))
        files.append(File.generated(config, str(name), content=book))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Replace the placeholders of a page by scripts, help texts of commands and the file list."""
    up = "../" * page.file.src_uri.count("/")

    def script(found: re.Match[str]) -> str:
        text = (ROOT / found[1]).read_text()
        book = found[1].removesuffix(".py") + ".ipynb"
        return (
            f'??? note "{Path(found[1]).name}"\n    ```py\n'
            + "".join(f"    {line}\n" for line in text.splitlines())
            + f"    ```\n\nDownload: [script]({up}{found[1]}){{ .download download }},"
            + f" [notebook]({up}{book}){{ .download download }}\n"
        )

    if page.file.src_uri == "gallery.md":
        markdown = _cards(markdown)
    markdown = SCRIPT.sub(script, markdown)
    if page.file.src_uri.startswith("tutorials/"):
        book = Path(page.file.src_uri).with_suffix(".ipynb").name
        title, text = markdown.split("\n", 1)
        markdown = f"{title}\n\nDownload: [notebook]({book}){{ .download download }}\n{text}"
    if FILES in markdown:
        markdown = markdown.replace(FILES, _files())
    return markdown.replace(COMMANDS, _commands()) if COMMANDS in markdown else markdown


def _cards(markdown: str) -> str:
    """Make every section a card of a grid."""
    sections = list(SECTION.finditer(markdown))
    cards = [f'<section class="card" markdown>\n\n{found[0]}\n</section>\n' for found in sections]
    grid = '<div class="cards" markdown>\n\n' + "\n".join(cards) + "\n</div>\n\n"
    return markdown[: sections[0].start()] + grid + markdown[sections[-1].end() :]


def on_page_content(html: str, page: Any, config: Any, **_: object) -> str:
    """Show figures in the dark scheme: the dark version of a file, or its colours inverted."""

    def figure(found: re.Match[str]) -> str:
        folder = Path(config.docs_dir, page.file.src_uri).parent
        if not (folder / f"{found['path']}-dark.png").resolve().is_file():
            if Path(found["path"]).name in SCREENSHOTS:
                return found[0]
            return f'<img class="figure" alt="{found["words"]}" src="{found["path"]}.png">'
        return "".join(
            f'<img alt="{found["words"]}" src="{found["path"]}{dark}.png#only-{scheme}">'
            for dark, scheme in (("", "light"), ("-dark", "dark"))
        )

    return FIGURE.sub(figure, html)


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
            shown = "" if given is None or given is False or given == "" else f"{given}"
            rows.append(f"| {names} | {text} | {shown} |")
        return [*parts, "\n".join(rows) + "\n"]

    top = typer.main.get_command(app)
    children = [lines(command, f"synfab {name}") for name, command in top.commands.items()]
    return "\n".join(part for child in children for part in child)
