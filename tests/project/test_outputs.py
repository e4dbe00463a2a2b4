"""Outputs of code blocks on the pages are what the blocks print."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from blocks import blocks, run_page
from outputs import agrees

PAGE = """# Page

```python
print("x is", 2 / 3)
```
{shown}
Text.

1. An item:

    ```bash
    seq 8
    ```

```python
y = 1
```
"""
OUTPUT = '\n```text title="output"\nx is 0.6666666666666666\n```\n'


def page_with(folder, shown):
    page = folder / "page.md"
    page.write_text(PAGE.format(shown=shown))
    return page


def test_outputs_are_written_below_their_blocks(tmp_path):
    page = page_with(tmp_path, "")
    assert run_page(page, tmp_path, write=True) == ""
    text = page.read_text()
    assert f"```{OUTPUT}\nText." in text.replace("```\n\n```text", "```\n```text")
    assert '    ```text title="output"\n    1\n    2\n' in text
    assert text.count('title="output"') == 2  # a block that prints nothing shows nothing
    assert run_page(page, tmp_path) == ""
    assert run_page(page, tmp_path, write=True) == ""
    assert page.read_text() == text


def test_an_output_that_is_not_printed_any_more_is_reported(tmp_path):
    page = page_with(tmp_path, OUTPUT.replace("0.66", "0.77"))
    problem = run_page(page, tmp_path)
    assert "line 4" in problem
    assert "-x is 0.7766666666666666" in problem
    assert "+x is 0.6666666666666666" in problem


def test_an_output_of_a_block_that_prints_nothing_is_removed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('```python\ny = 1\n```\n\n```text title="output"\n1\n```\n\nText.\n')
    assert "printed" in run_page(page, tmp_path)
    assert run_page(page, tmp_path, write=True) == ""
    assert page.read_text() == "```python\ny = 1\n```\n\nText.\n"


def test_a_new_output_is_elided_like_the_old_one(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\nseq 8\n```\n\n"
        '```text title="output"\n1\n2\n...\n9\n```\n'
    )  # fmt: skip
    assert run_page(page, tmp_path, write=True) == ""
    assert page.read_text().endswith('title="output"\n1\n2\n...\n8\n```\n')


def test_the_output_of_an_earlier_command_is_not_shown(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- first: echo before -->\n```bash\necho after\n```\n")
    assert run_page(page, tmp_path, write=True) == ""
    assert page.read_text().endswith('```text title="output"\nafter\n```\n')


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a  1.000 b", "a 1.004 b\n"),
        ("[-0.2 3]\nx", "[-0.2    3]\nx"),
        ("first\n...\nlast", "first\n1\n2\nlast"),
        ("at ...: ok", "at /tmp/x: ok"),
        ("nan 1e+13 1024x1024", "nan 1e+13 1024x1024"),
        ("├────┤", "├──────┤"),
        ("108e583d036f", "108e583d036f"),
    ],
)
def test_outputs_agree_up_to_rounding_spaces_and_what_is_left_out(shown, printed):
    assert agrees(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("", "a"),
        ("a", ""),
        ("a 1.0", "a 1.02"),
        ("a 1", "a -1"),
        ("55 of 60", "54 of 60"),
        ("first\n...\nlast", "first\n1\n2\nlost"),
        ("nan", "0.1"),
    ],
)
def test_other_outputs_differ(shown, printed):
    assert not agrees(shown, printed)


def test_numbers_that_vary_are_not_compared_but_words_are():
    assert agrees("12.5 ms, 1 core", "0.7 ms, 64 core", vary=True)
    assert not agrees("12.5 ms", "12.5 us", vary=True)


def test_a_long_output_that_differs_at_its_end_is_refused_at_once():
    rows = "".join(f"| {k} | {k / 7:.4f} |\n" for k in range(2000))
    assert not agrees(rows, rows[:-1] + "x")


def test_most_pages_show_outputs():
    docs = Path(__file__).parents[2] / "docs"
    shown = [page for page in docs.rglob("*.md") if 'text title="output' in page.read_text()]
    assert len(shown) >= 20
    assert all(blocks(page) for page in shown)
