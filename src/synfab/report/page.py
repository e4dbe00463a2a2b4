"""Self-contained HTML page of a comparison: verdicts, interactive figures and provenance."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import html
import json
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError
from synfab.io.files import atomic_path, refuse_overwrite
from synfab.io.limits import one_line_errors
from synfab.learn.comparison.compare import Comparison
from synfab.learn.comparison.loops import MAX_DEVICES
from synfab.learn.readers.tables import Table
from synfab.learn.reading import source_files
from synfab.learn.sweeps import Sweeps
from synfab.learn.tables import as_sweeps
from synfab.learn.traps.data import Relaxation
from synfab.report.panels import GENERATED, MEASURED, Panel
from synfab.report.sample import MAX_BLOCKS, block_length
from synfab.report.verdict import WORDS, Level, Verdict, left_out, rare_sentences

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

# Text that spreadsheets evaluate as a formula: it starts with a sign, a full-width sign or a break,
# and is not a number.
FORMULA = re.compile(
    "(?![+-]?(\\d+\\.?\\d*|\\.\\d+)(e[+-]?\\d+)?\\Z)\\s*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]",
    re.IGNORECASE,
)

# Shapes that can be distinguished without colour: a disc with a tick, a triangle, a square, a line.
SHAPES: dict[Level, str] = {
    "good": '<circle cx="10" cy="10" r="9" fill="#00734f"/>'
    '<path d="M5.5 10.5l3 3 6-7" stroke="#fff" stroke-width="2.4" fill="none"/>',
    "near": '<path d="M10 1.5L19 18H1z" fill="#b26a00"/>'
    '<path d="M10 7v6M10 14.6v1.8" stroke="#fff" stroke-width="2.2"/>',
    "far": '<path d="M1 1h18v18H1z" fill="#b3260e"/>'
    '<path d="M5.5 5.5l9 9M14.5 5.5l-9 9" stroke="#fff" stroke-width="2.4"/>',
    "open": '<path d="M2 10h16" stroke="#57606a" stroke-width="3"/>',
}


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
    sections = _sections(found, one.loops, one.series)
    if relaxation is not None:
        sections.append(_over_time(found, relaxation))
    panels = [panel for section in sections for panel in section["panels"]]
    judged = found.verdicts()
    extra = [{"id": "learned", "title": "How it was fitted"}] if diagnostics else []
    summary = found.summary()
    folder = Path(__file__).parent / "templates"
    return environment.get_template("report.html.j2").render(
        model=found.model.name,
        devices=summary["devices"],
        cycles=f"{summary['cycles']:,}",
        colours={"measured": MEASURED, "generated": GENERATED},
        style=Markup((folder / "report.css").read_text("utf-8")),
        script=Markup((folder / "report.js").read_text("utf-8")),
        library=Markup(_library()),
        figures=_json([json_item(panel.figure, panel.name) for panel in panels]),
        offered=_json({"names": one.names, "shown": list(one.columns)}),
        columns=_json(one.columns),
        names=one.names,
        sections=[{"id": "summary", "title": "Summary"}, *sections, *extra,
                  {"id": "tables", "title": "Tables"},
                  {"id": "provenance", "title": "Provenance"}],
        headline=" ".join([found.headline(), *left_out(found)]),
        rare=rare_sentences(found),
        groups=_groups(judged),
        shape=lambda level: Markup(_shape(level)),
        number=lambda x: f"{x:.4g}" if np.isfinite(x) else "",
        learned=_learned(diagnostics or {}),
        tables=_tables(judged, sections),
        provenance=_provenance(found, files),
        origin=json.dumps(dict(found.model.provenance), indent=2, default=str),
        version=__version__,
    )  # fmt: skip


def _sections(found: Comparison, loops: list[Panel], series: list[Panel]) -> list[dict[str, Any]]:
    from synfab.report import panels

    shown = min(MAX_DEVICES, len(found.names))
    text = f"{shown} of {len(found.names)} devices can be selected. " + (
        "The generated cell is not a copy of the measured device: it is another device of the same "
        "population, swept with the same voltages. "
        if loops
        else "The measurement is a table of features, so there are no loops to show. "
    )
    length = block_length(found)
    if length > 1:
        text += f"Over the cycles: medians of {length} cycles each (at most {MAX_BLOCKS} blocks)"
        text += "; the bands contain 80 % of them."
    else:
        text += "Over the cycles: every cycle."
    return [
        {"id": "one", "title": "One device", "text": text, "picker": True,
         "panels": [*loops, *series]},
        {"id": "distributions", "title": "Distributions", "picker": False,
         "text": "All cycles of all devices.", "panels": panels.distributions(found)},
        {"id": "quantiles", "title": "Quantiles", "picker": False,
         "text": "The points of a model that fits lie on the dashed line, including the tails.",
         "panels": panels.quantiles(found)},
        {"id": "memory", "title": "Memory", "picker": False,
         "text": "Dependence of a cycle on earlier ones: correlations within devices; above lag 20 "
         "averages over bands of lags.",
         "aside": "Twelve cross-correlations between features",
         "panels": panels.memory(found)},
        {"id": "devices", "title": "Device to device", "picker": False,
         "text": "Mean and standard deviation over the cycles of each device.",
         "panels": panels.devices(found)},
    ]  # fmt: skip


def _over_time(found: Comparison, relaxation: Relaxation) -> dict[str, Any]:
    from synfab.report.time_panels import time_panels

    return {
        "id": "time", "title": "Over time", "picker": False,
        "text": "Generated cells are programmed to the measured conductances and wait for the "
        "measured times, without read noise.",
        "panels": time_panels(found.model, relaxation, found.seed),
    }  # fmt: skip


def _groups(judged: list[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Return the properties by verdict, with a title; those that differ first."""
    return [
        (title, [v for level in levels for v in judged if v.level == level])
        for title, levels in (
            ("Properties that differ", ("far", "near")),
            ("Properties that cannot be judged", ("open",)),
            ("Properties that agree", ("good",)),
        )
    ]


def _library() -> str:
    from bokeh.resources import Resources

    inline = Resources(mode="inline", minified=True, components=["bokeh"], log_level="warn")
    return "\n".join(text.replace("</script", "<\\/script") for text in inline.js_raw)


def _json(value: object) -> Markup:
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _shape(level: Level) -> str:
    return (
        f'<svg width="20" height="20" viewBox="0 0 20 20" role="img" '
        f'aria-label="{html.escape(WORDS[level])}" data-shape="{level}">{SHAPES[level]}</svg>'
    )


def _learned(diagnostics: Mapping[str, object]) -> list[tuple[str, str]]:
    from synfab.learn.drift import drift_text

    def words(value: object) -> str:
        if isinstance(value, Mapping):
            return ", ".join(f"{k}: {words(v)}" for k, v in value.items()) or "none"
        if isinstance(value, (list, tuple)):
            return ", ".join(map(words, value)) or "none"
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    def text(key: str, value: object) -> str:
        if key == "drift" and isinstance(value, Mapping):
            return drift_text(value)
        return words(value)

    return [
        (key.replace("_", " "), text(key, value))
        for key, value in diagnostics.items()
        if not (isinstance(value, str) and value == "")
    ]


def _tables(judged: list[Verdict], sections: list[dict[str, Any]]) -> list[dict[str, str]]:
    import pandas as pd

    frames = {"verdicts": pd.DataFrame([vars(v) for v in judged])}
    texts = {"verdicts": "the summary"}
    for section in sections:
        parts = [pd.DataFrame(p.table).assign(panel=p.title) for p in section["panels"] if p.table]
        if parts:
            frames[section["id"]] = pd.concat(parts).set_index("panel").reset_index()
            texts[section["id"]] = section["title"].lower()
    return [
        {"name": name, "text": texts[name],
         "address": "data:text/csv;base64," + base64.b64encode(_csv(frame).encode()).decode()}
        for name, frame in frames.items()
    ]  # fmt: skip


def _csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV (RFC 4180) with text that spreadsheets cannot evaluate."""
    safe = frame.rename(columns=lambda name: no_formula(str(name)))
    for column in safe.columns[[kind.kind not in "biuf" for kind in safe.dtypes]]:
        safe[column] = safe[column].map(lambda v: no_formula(v) if isinstance(v, str) else v)
    return str(safe.to_csv(index=False, float_format="%.6g", lineterminator="\r\n"))


def no_formula(text: str) -> str:
    """Return text that spreadsheets do not evaluate; formulas get an apostrophe in front.

    Names of devices and columns come from measurement files, so they must not be executed (OWASP,
    "CSV injection").
    """
    return f"'{text}" if FORMULA.match(text) else text


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
