"""Notebooks of scripts and of pages, written when the site is built."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from urllib.parse import urljoin

import nbformat
from blocks import FENCE, blocks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from outputs import OUTPUT

SITE = "https://synfab.github.io/synfab/"
SAVED = re.compile(r"^(?P<figure>.+)\.savefig\(.*\)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
PYPLOT = re.compile(r"\bplt\.(figure|subplots)\(")
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def notebook_of_script(script: Path) -> str:
    """Return the notebook of a script: its docstring, its code, and its figure shown below."""
    text = script.read_text()
    docstring = ast.parse(text).body[0]
    code = "\n".join(text.splitlines()[docstring.end_lineno :]).strip()
    words = ast.get_docstring(ast.parse(text)) or ""
    return _written([new_markdown_cell(words), new_code_cell(_shown(code))], script.stem)


def notebook_of_page(page: Path, url: str) -> str:
    """Return the notebook of a page: its text, and its code blocks with their outputs.

    ``url`` is the address of the page in the site; links of the notebook lead there.
    """
    text, place, cells = page.read_text(), 0, []
    fences = {found.end(): found for found in FENCE.finditer(text)}
    for block in blocks(page):
        begin = fences[block.end].start()
        cells += _words(text[place:begin], url)
        output = OUTPUT.match(text, block.end)
        place = output.end() if output else block.end
        shown = [new_output("stream", name="stdout", text=output["text"])] if output else []
        if block.reason:  # such as a command that needs a clone of the repository
            cells += _words(text[begin:place], url)
        elif block.language == "python":
            cells.append(new_code_cell(_shown(block.text.strip()), outputs=shown))
        elif block.language == "bash":
            cells.append(new_code_cell(f"%%bash\n{block.text.strip()}", outputs=shown))
        else:
            cells += _words(text[begin:place], url)
    return _written(cells + _words(text[place:], url), page.stem)


def _shown(code: str) -> str:
    """Show the figure that a block saves as its last step; notebooks show those of pyplot."""
    found = list(SAVED.finditer(code))
    if not found or found[-1].end() != len(code) or PYPLOT.search(code):
        return code
    figure = found[-1]["figure"]
    if figure.isidentifier():
        return f"{code}\n{figure}"
    return f"{code[: found[-1].start()]}figure = {figure}\nfigure{code[found[-1].end() :]}"


def _words(text: str, url: str) -> list:
    def absolute(found: re.Match[str]) -> str:
        path = re.sub(r"\.md$", ".html", found["path"])
        return f"]({urljoin(SITE + url, path)}{found['anchor'] or ''})"

    text = LINK.sub(absolute, COMMENT.sub("", text)).strip()
    return [new_markdown_cell(text)] if text else []


def _written(cells: list, stem: str) -> str:
    for number, cell in enumerate(cells):
        cell["id"] = f"{stem.replace('_', '-')}-{number}"  # the same in every build
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.validate(book)
    return nbformat.writes(book) + "\n"
