"""What a release needs: one version, one address, a page that stands alone, valid workflows."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import synfab as sf

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
URLS = PROJECT["urls"]
README = (ROOT / "README.md").read_text()
RAW = URLS["Source"].replace("github.com", "raw.githubusercontent.com") + "/main/"

spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
release = importlib.util.module_from_spec(spec)
spec.loader.exec_module(release)


def test_every_file_names_the_version_of_the_package():
    assert set(release.named_versions().values()) == {sf.__version__}
    assert re.search(rf"^## \[{sf.__version__}\] - \d{{4}}-\d\d-\d\d$", changelog(), re.MULTILINE)
    released = re.search(r'date-released: "(.*)"', (ROOT / "CITATION.cff").read_text())[1]
    assert f"## [{sf.__version__}] - {released}" in changelog()
    assert f"[{sf.__version__}]: {URLS['Source']}/releases/tag/v{sf.__version__}" in changelog()


def changelog():
    return (ROOT / "CHANGELOG.md").read_text()


def test_the_notes_of_a_release_are_its_section_of_the_changelog(tmp_path):
    notes = tmp_path / "notes.md"
    command = [sys.executable, ROOT / "tools" / "release.py", f"v{sf.__version__}"]
    subprocess.run([*command, "--notes", notes], check=True)
    text = notes.read_text()
    assert "### Added" in text
    assert "\n## " not in text
    assert text.strip() in changelog()
    done = subprocess.run([*command[:-1], "v9.9.9"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "CITATION.cff: " in done.stderr


def links(text):
    """Addresses of links and pictures outside blocks of code."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_the_readme_can_be_read_outside_the_repository():
    assert [link for link in links(README) if not link.startswith(("https://", "#"))] == []


def test_addresses_of_the_project_lead_to_files():
    blob = f"{URLS['Source']}/blob/main/"
    own = [link for link in links(README) if "synfab/synfab" in link or "synfab.github.io" in link]
    assert len(own) > 20
    for link in own:
        if link.startswith(URLS["Documentation"]):
            page = link.removeprefix(URLS["Documentation"]).split("#")[0]
            path = ROOT / "docs" / page.replace(".html", ".md")
        else:
            assert link.startswith((RAW, blob)), link
            path = ROOT / link.removeprefix(RAW).removeprefix(blob).split("#")[0]
        assert path.is_file(), link


TEXTS = [
    path
    for pattern in ("*.md", "*.cff", "mkdocs.yml", "recipe/*", ".github/**/*.yml", "docs/**/*.md")
    for path in ROOT.glob(pattern)
]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_address_of_the_project_is_named(path):
    known = (URLS["Source"], URLS["Documentation"].rstrip("/"), RAW.rstrip("/"))
    for address in re.findall(r"https?://[^\s)>\"'`]*synfab[^\s)>\"'`]*", path.read_text()):
        assert address.startswith(known), address


def test_the_readme_installs_first_and_clones_later():
    install, clone = README.index("pip install"), README.index(f"git clone {URLS['Source']}.git")
    assert README.index("make demo") > clone > install
    assert "synaptogen" in README
    assert "offline" in README


SCHEMAS = {
    "vendor.github-workflows": ".github/workflows/*.yml",
    "vendor.github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
    "vendor.github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "vendor.citation-file-format": "CITATION.cff",
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_for_other_services_follow_their_schema(schema):
    pytest.importorskip("check_jsonschema")
    files = sorted(ROOT.glob(SCHEMAS[schema]))
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_tests_every_supported_python_with_make():
    yaml = pytest.importorskip("yaml")
    flow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    job = flow["jobs"]["test"]
    named = {c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert set(job["strategy"]["matrix"]["python"]) == named
    assert any(step.get("run", "").startswith("make test ") for step in job["steps"])


def test_no_workflow_holds_a_password():
    for path in ROOT.glob(".github/workflows/*.yml"):
        assert "secrets." not in path.read_text(), path
    assert "id-token: write" in (ROOT / ".github/workflows/release.yml").read_text()


def test_the_recipe_needs_what_the_package_needs():
    pytest.importorskip("rattler_build")
    from rattler_build.stage0 import Stage0Recipe
    from rattler_build.variant_config import VariantConfig

    recipe = Stage0Recipe.from_file(str(ROOT / "recipe" / "recipe.yaml"))
    (variant,) = recipe.render(VariantConfig())
    found = variant.recipe.to_dict()
    assert found["package"] == {"name": "synfab", "version": sf.__version__}
    needed = {text.replace(" ", "") for text in found["requirements"]["run"]}
    wanted = {*PROJECT["dependencies"], f"python{PROJECT['requires-python']}"}
    assert needed == wanted
    assert found["about"]["license"] == PROJECT["license"]
    scripts = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert found["build"]["python"]["entry_points"] == scripts


def test_the_licence_of_the_published_parameters_is_the_one_that_is_stated():
    from importlib import metadata

    package = metadata.metadata("synaptogen")
    assert "License :: OSI Approved :: MIT License" in package.get_all("Classifier")
    assert "(MIT licence" in README
