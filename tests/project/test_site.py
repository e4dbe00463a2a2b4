"""The documentation site in a browser: every page, wide and narrow, light and dark."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from browser import chromium
from shared import shared_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed")
    return shared_folder(tmp_path_factory, "site", build_site)


def build_site(folder):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},  # the theme's notice of its successor
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr, done.stderr


def pages_of(site):
    return [page for page in sorted(site.rglob("*.html")) if page.name != "404.html"]


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) >= 30
    for page in pages:
        for address in re.findall(r"(?:src|href)=\"?(https?://[^\" >]+)", page.read_text()):
            tag = re.search(rf"<(\w+)[^>]*{re.escape(address)}", page.read_text()).group(1)
            assert tag == "a", f"{page}: {address}"


@pytest.mark.slow
def test_the_reference_names_everything_that_is_public(site):
    import synfab as sf

    text = "".join(p.read_text() for p in (site / "reference").glob("*.html"))
    for public in sf.__all__:
        assert public in text or public == "FEATURES", public
    for room in sf.SUBPACKAGES:
        # Read, not imported: some bring heavy libraries, which may be missing.
        source = (ROOT / "src" / "synfab" / room / "__init__.py").read_text()
        names = re.search(r"^__all__ = \[(.*?)\]", source, re.MULTILINE | re.DOTALL).group(1)
        for public in re.findall(r'"(\w+)"', names):
            # Where it is defined, in this subpackage or in one that it imports from.
            defined = re.search(
                rf"^from synfab\.([\w.]+) import .*\b{public}\b", source, re.MULTILINE
            )
            places = [room] if defined is None else [room, re.escape(defined[1])]
            place = rf"(?:{'|'.join(places)})\.[\w.]*"
            known = re.search(rf'id="synfab\.{place}\b{public}"', text)
            assert known or public == "FEATURES", f"{room}.{public}"
    for command in ("demo", "fit", "compare", "explore", "export osdi", "doctor"):
        assert f"synfab {command}" in text


class Links(HTMLParser):
    """Anchors of a page, and what it links to."""

    def __init__(self, page):
        super().__init__()
        self.anchors, self.targets = set(), set()
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        self.targets |= {attributes[key] for key in ("href", "src") if attributes.get(key)}


@pytest.mark.slow
def test_every_link_leads_to_a_page_and_a_place_in_it(site):
    read = {page: Links(page) for page in pages_of(site)}
    for page, links in read.items():
        for target in links.targets:
            if re.match(r"https?:|mailto:|data:", target):
                continue
            path, _, anchor = unquote(target).partition("#")
            other = (page.parent / path).resolve() if path else page
            assert other.exists(), f"{page}: {target}"
            if anchor and other in read:
                assert anchor in read[other].anchors or anchor == "__skip", f"{page}: {target}"


@pytest.mark.slow
def test_every_page_links_to_its_neighbours_its_source_and_the_repository(site):
    for page in pages_of(site):
        text = page.read_text()
        assert "md-footer__link" in text, page
        assert 'href="https://github.com/synfab/synfab/edit/main/docs/' in text, page
        assert 'href="https://github.com/synfab/synfab"' in text, page


WIDER_THAN_SCREEN = """
const screen = document.documentElement
return screen.scrollWidth > screen.clientWidth
"""
SCROLLED_SIDEWAYS = """
return [...document.querySelectorAll(".md-content *")]
  .filter((e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX))
  .filter((e) => !e.closest("details") && e.scrollWidth > e.clientWidth + 1)
  .map((e) => e.textContent.trim().slice(0, 60))
"""
MISSING = """
const images = [...document.images].filter((i) => i.checkVisibility())
return images.filter((i) => !i.naturalWidth || !i.alt).map((i) => i.src)
"""
HEADINGS = """
return [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((h) => Number(h.tagName[1]))
"""
# Elements with text of their own, one of each kind: tags, classes and those of their parents.
# Without the rest of the page, axe-core is ten times as fast.
SAMPLES = """
const kinds = new Set(arguments[0])
window.samples = []
for (const e of document.querySelectorAll(".md-content *, .md-footer *")) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue
  if (!e.checkVisibility()) continue
  const kind = [e, e.parentElement, e.parentElement.parentElement]
    .map((x) => x.tagName + "." + x.className).join(" ")
  if (kinds.has(kind)) continue
  kinds.add(kind)
  samples.push(e)
}
const kept = new Set()
for (const sample of samples) {
  for (let e = sample; e; e = e.parentElement) kept.add(e)
  sample.querySelectorAll("*").forEach((e) => kept.add(e))
}
document.body.querySelectorAll("*").forEach((e) => kept.has(e) || e.remove())
return [...kinds]
"""
# A mouse, without which the theme leaves out what the keyboard needs.
MOUSE = (
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,"
    "primaryPointerType=4,availablePointerTypes=4"
)
RULES = ["color-contrast", "empty-heading", "link-name", "scrollable-region-focusable"]


def complaints_of(page):
    """What is wrong with an open page, whatever its scheme."""
    yield from (("wide", text) for text in page.run(SCROLLED_SIDEWAYS))
    yield from (("missing", image) for image in page.run(MISSING))
    yield from (("asked for", url) for url in page.requests() if not url.startswith("file:"))
    levels = page.run(HEADINGS)
    yield from (("heading", b) for a, b in pairwise(levels) if b > a + 1)
    page.resize(400, 900)
    if page.run(WIDER_THAN_SCREEN):
        yield "phone", "wider than the screen"
    yield from (("console", message) for message in page.complaints())


@pytest.mark.slow
def test_every_page_fits_the_screen_and_is_legible_in_both_schemes(site, tmp_path):
    """No message on the console, nothing missing, nothing wider than 1440 px or than a phone."""
    kinds, problems = [], []
    with chromium(tmp_path, MOUSE) as page:
        for path in pages_of(site):
            page.resize(1440, 1000)
            page.open(path.as_uri())
            page.wait("return document.readyState === 'complete'")
            found = list(complaints_of(page))
            kinds = page.run(SAMPLES, kinds)
            for scheme in ("default", "slate"):
                page.run("document.body.setAttribute('data-md-color-scheme', arguments[0])", scheme)
                found += [(scheme, v) for v in page.violations(RULES, "window.samples")]
            problems += [(str(path.relative_to(site)), *problem) for problem in found]
    assert len(kinds) > 100
    assert problems == []


@pytest.mark.slow
def test_pages_that_are_read_as_files_can_be_searched(site, tmp_path):
    with chromium(tmp_path) as page:
        page.resize(1440, 1000)
        page.open((site / "index.html").as_uri())
        page.wait("return document.readyState === 'complete'")
        page.driver.find_element("css selector", ".md-search__input").send_keys("write-verify")
        found = page.wait(
            "return [...document.querySelectorAll('.md-search-result__link')].map((a) => a.href)"
        )
        assert all(link.startswith("file:") for link in found)
        assert page.complaints() == []


@pytest.mark.slow
def test_formulas_are_set(site, tmp_path):
    with chromium(tmp_path) as page:
        page.open((site / "concepts" / "physics.html").as_uri())
        assert page.run("return document.querySelectorAll('.arithmatex .katex').length") >= 3
        assert page.run("return document.querySelectorAll('.katex-error').length") == 0


@pytest.mark.slow
def test_figures_have_a_version_for_the_dark_scheme(site):
    text = (site / "gallery.html").read_text()
    assert 'src="images/gallery/voltage_map-dark.png#only-dark"' in text
    assert 'class="figure"' in text


@pytest.mark.slow
def test_scripts_of_the_gallery_and_their_notebooks_can_be_downloaded(site):
    gallery = (site / "gallery.html").read_text()
    for script in (ROOT / "examples" / "gallery").glob("*.py"):
        name = f"examples/gallery/{script.stem}"
        assert f'href="{name}.py"' in gallery
        assert f'href="{name}.ipynb"' in gallery
        assert (site / f"{name}.py").read_text() == script.read_text()
        book = nbformat.read(site / f"{name}.ipynb", as_version=4)
        words, code = book.cells
        assert words.source in script.read_text()
        assert code.source in script.read_text()


@pytest.mark.slow
def test_notebooks_of_the_tutorials_have_the_code_and_the_outputs_of_the_pages(site):
    sys.path.insert(0, str(ROOT / "tools"))
    from blocks import blocks

    for page in (ROOT / "docs" / "tutorials").glob("*.md"):
        book = nbformat.read(site / "tutorials" / f"{page.stem}.ipynb", as_version=4)
        nbformat.validate(book)
        code = [cell for cell in book.cells if cell.cell_type == "code"]
        assert len(code) == sum(not block.reason for block in blocks(page))
        shown = page.read_text(encoding="utf-8").count('title="output')
        assert sum(bool(cell.outputs) for cell in code) == shown > 0
        text = "".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
        assert not re.search(r"\]\((?!http|#)", text)  # links lead to the site


@pytest.mark.slow
def test_a_notebook_shows_the_figure_of_its_script(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    book = nbformat.read(site / "examples" / "gallery" / "iv_loops.ipynb", as_version=4)
    names = {}
    exec(book.cells[1].source, names)
    try:
        assert names["plt"].gcf().get_axes()[0].get_ylabel() == "current (uA)"
    finally:
        names["plt"].close("all")
