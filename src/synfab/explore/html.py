"""The explorer's page as HTML text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from itertools import groupby
from typing import Any

from synfab.explore.answer import PANELS, described
from synfab.explore.figures import figures, ramps
from synfab.explore.measurement import UPLOAD_BYTES, Measured
from synfab.explore.settings import Control, Settings
from synfab.io.memory import size_text
from synfab.learn.readers.registry import readable_suffixes
from synfab.model.cell_model import CellModel

HEADINGS = {
    "loops": "I-V loops of the first devices",
    "features": "Features of all devices and cycles",
    "map": "Crossbar with every second cell RESET",
    "rows": "Read current of the rows",
    "time": "Conductance after programming",
}


def page_text(
    model: CellModel,
    known: Mapping[str, Control],
    now: Settings,
    notice: str,
    first: Measured | None,
) -> str:
    """Return the page with the given values of the controls; ``notice`` is shown above them."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("synfab.explore"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    side = [control for control in known.values() if control.group != "View"]
    values = {name: getattr(now, name) for name in known}
    return environment.get_template("explorer.html.j2").render(
        name=model.name,
        fingerprint=model.fingerprint[:12],
        groups=[(name, list(some)) for name, some in groupby(side, lambda control: control.group)],
        view=[control for control in known.values() if control.group == "View"],
        values={name: _text(value) for name, value in values.items()},
        text=_text,
        notice=notice,
        headings=HEADINGS,
        over_time=model.traps is not None,
        accepted=",".join(readable_suffixes(trusted=False)),
        limit=size_text(UPLOAD_BYTES),
        config=_embedded(
            {
                "defaults": {name: _text(control.default) for name, control in known.items()}
                | {"measurement": "" if first is None else first.key},
                "values": {name: _text(value) for name, value in values.items()}
                | {"measurement": now.measurement},
                "panels": {
                    panel: [name for name in names if name in known or name == "measurement"]
                    for panel, names in PANELS.items()
                    if panel != "time" or model.traps is not None
                },
                "first": None if first is None else described(first),
                "upload": UPLOAD_BYTES,
                "limit": size_text(UPLOAD_BYTES),
                "ramps": ramps(),
            }
        ),
        figures=_figures(model.traps is not None),
    )


@cache
def _figures(over_time: bool) -> Any:
    from bokeh.embed import json_item

    found = figures(over_time=over_time)
    return _embedded([json_item(one, f"plot-{name}") for name, one in found.items()])


def _embedded(value: object) -> Any:
    """Return JSON that cannot end the script element that contains it."""
    from markupsafe import Markup

    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


def _text(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
