"""Self-contained HTML page of a comparison: verdicts, interactive figures and provenance."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError
from synfab.io.files import atomic_path, refuse_overwrite
from synfab.io.limits import one_line_errors
from synfab.learn.comparison.compare import Comparison
from synfab.learn.learned import learned_sentences
from synfab.learn.readers.tables import Table
from synfab.learn.reading import source_files
from synfab.learn.sweeps import Sweeps
from synfab.learn.tables import as_sweeps
from synfab.learn.traps.data import Relaxation
from synfab.report import downloads, rows
from synfab.report.bins import voltage_step
from synfab.report.panels import GENERATED, MEASURED
from synfab.report.sections import Section, over_time, sections
from synfab.report.verdict import left_out, rare_sentences

if TYPE_CHECKING:
    from markupsafe import Markup


def save_report(
    found: Comparison,
    path: str | os.PathLike[str],
    *,
    sweeps: Sweeps | Table | None = None,
    diagnostics: Mapping[str, object] | None = None,
    files: Mapping[str, str | os.PathLike[str]] | None = None,
    relaxation: Relaxation | None = None,
) -> None:
    """Write a comparison as a self-contained HTML page.

    Parameters
    ----------
    found
        Result of ``synfab.learn.compare``.
    path
        File to write, .html.
    sweeps
        Measured loops, or a table of them as in ``extract_features``; without them the page shows
        only features.
    diagnostics
        Diagnostics of the fit, from ``FitResult``.
    files
        Files whose SHA-256 the page states, by name, such as ``{"measurement": "cycling.csv"}``; of
        a folder only the path is stated.
    relaxation
        Measured conductances over time, from ``learn.read_relaxation``, to compare with a model
        that has traps.

    Raises
    ------
    ToolError
        Bokeh is not installed.
    InvalidValueError
        The page would overwrite an input, or cannot be written; or ``relaxation`` is given for a
        model without traps.
    """
    checks.instance("found", found, Comparison)
    sweeps = None if sweeps is None else as_sweeps("sweeps", sweeps)
    target = checks.path("path", path)
    facts = {} if diagnostics is None else checks.mapping("diagnostics", diagnostics)
    named = {} if files is None else checks.mapping("files", files)
    checks.optional("relaxation", relaxation, Relaxation)
    if relaxation is not None and found.model.traps is None:
        raise InvalidValueError("relaxation: expected none, because the model has no traps")
    sources = {
        checks.text("files", word): checks.path("files", file) for word, file in named.items()
    }
    if sweeps is not None:
        refuse_overwrite("path", target, sweeps=list(sweeps.files))
    for name, file in sources.items():
        refuse_overwrite("path", target, **{name: source_files(file)})
    text = render(
        found,
        sweeps,
        {checks.text("diagnostics", name): value for name, value in facts.items()},
        sources,
        relaxation,
    )
    with atomic_path(target) as temporary:
        # File names need not be valid UTF-8.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def render(
    found: Comparison,
    sweeps: Sweeps | None,
    diagnostics: Mapping[str, object] | None,
    files: Mapping[str, str | os.PathLike[str]],
    relaxation: Relaxation | None = None,
) -> str:
    """Return the page as text; see ``save_report``."""
    extras.check("bokeh")
    from bokeh.embed import json_item
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from synfab import __version__
    from synfab.report.picked import picked

    environment = Environment(
        loader=PackageLoader("synfab.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    one = picked(found, sweeps)
    drawn = sections(found, one, voltage_step(sweeps))
    if relaxation is not None:
        drawn.append(over_time(found, relaxation))
    panels = [panel for section in drawn for panel in section.panels]
    judged = found.worst_first()
    learned = learned_sentences(diagnostics or {})
    extra = [Section("learned", "How it was learned")] if learned else []
    summary = found.summary()
    folder = Path(__file__).parent / "templates"
    return environment.get_template("report.html.j2").render(
        model=found.model.name,
        devices=summary["devices"],
        cycles=f"{summary['cycles']:,}",
        colours={"measured": MEASURED, "generated": GENERATED},
        style=Markup((folder / "report.css").read_text("utf-8")),
        scheme=Markup((folder / "scheme.js").read_text("utf-8")),
        script=Markup((folder / "report.js").read_text("utf-8")),
        library=Markup(_library()),
        figures=_json([json_item(panel.figure, panel.name) for panel in panels]),
        offered=_json({"names": one.names, "shown": list(one.columns)}),
        columns=_json(one.columns),
        names=one.names,
        sections=[Section("summary", "Summary"), *drawn, *extra,
                  Section("provenance", "Provenance")],
        headline=found.headline(),
        notes=[*left_out(found), *rare_sentences(found)],
        counts=rows.counted(judged),
        groups=rows.groups(judged),
        shape=lambda level: Markup(rows.shape(level)),
        gauge=lambda verdict: Markup(rows.gauge(verdict)),
        number=lambda x: f"{x:.3g}" if np.isfinite(x) else "n/a",
        learned=learned,
        tables=downloads.tables(judged, drawn),
        provenance=_provenance(found, files),
        origin=json.dumps(dict(found.model.provenance), indent=2, default=str),
        version=__version__,
    )  # fmt: skip


def _library() -> str:
    from bokeh.resources import Resources

    inline = Resources(mode="inline", minified=True, components=["bokeh"], log_level="warn")
    return "\n".join(text.replace("</script", "<\\/script") for text in inline.js_raw)


def _json(value: object) -> Markup:
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _provenance(
    found: Comparison, files: Mapping[str, str | os.PathLike[str]]
) -> list[tuple[str, str]]:
    from synfab import __version__

    rows = [
        ("model", found.model.name),
        ("fingerprint of the model", found.model.fingerprint),
        ("SHA-256 of the measured features", found.data_sha256),
    ]
    for word, path in files.items():
        if Path(path).is_dir():
            rows.append((word, f"files in {path}"))
            continue
        with one_line_errors(f"files: {path}: cannot be read"), Path(path).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        rows.append((word, f"{path}, SHA-256 {digest}"))
    versions = f"synfab {__version__}, NumPy {np.__version__}, Python {platform.python_version()}"
    return [
        *rows,
        ("seed of the generated cells", str(found.seed)),
        ("order of the history", str(found.model.orders[-1])),
        ("versions", versions),
        ("written", dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]  # fmt: skip
