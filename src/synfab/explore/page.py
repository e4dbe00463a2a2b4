"""Page and server of the explorer, built with Panel."""

from __future__ import annotations

import html
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError, SynfabError
from synfab.common.interrupts import pass_on
from synfab.explore.experiment import (
    COUNTS,
    LOG_TIMES,
    TEMPERATURES,
    WIRE_RESISTANCES,
    Program,
    age,
    read_crossbar,
    settings,
    sweep,
    voltage_limits,
)
from synfab.model.cell_model import CellModel

ADDRESS = "127.0.0.1"  # not reachable from other machines
MAX_MESSAGE = 2**20  # bytes of a message from the page; a control sends a few hundred

logger = logging.getLogger(__name__)

# With landmarks for screen readers; Panel inserts the parts.
TEMPLATE = """
{% extends base %}
{% block postamble %}<link rel="icon" href="data:,"><style>
body {font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1f2328; background: #fff;
  margin: 0 1.2rem 2rem}
h1 {font-size: 1.7rem; margin: .8rem 0 0} h2 {font-size: 1.1rem; margin: .8rem 0 .2rem}
.page {display: grid; grid-template-columns: 280px minmax(0, 1fr); gap: 1.5rem; align-items: start}
.figures {display: flex; flex-wrap: wrap; gap: 1rem}
@media (max-width: 860px) {.page {grid-template-columns: minmax(0, 1fr)}}
</style>{% endblock %}
{% block contents %}
<header><h1>Explorer: {{ name }}</h1></header>
<div class="page">
<aside aria-label="Controls"><h2>Change a control to update all figures</h2>
{{ embed(roots.controls) }}</aside>
<main>
<div role="status">{{ embed(roots.words) }}</div>
<div class="figures">
<section aria-label="I-V loops"><h2>I-V loops of the first devices</h2>
{{ embed(roots.loops) }}</section>
<section aria-label="Distributions"><h2>Features of all devices and cycles</h2>
{{ embed(roots.distributions) }}</section>
<section aria-label="Crossbar"><h2>Crossbar with every second cell RESET</h2>
{{ embed(roots.crossbar) }}</section>
<section aria-label="Rows"><h2>Rows of the crossbar read at 0.2 V</h2>
{{ embed(roots.rows) }}</section>
{% if has_traps %}<section aria-label="Time"><h2>Conductance after programming</h2>
{{ embed(roots.aging) }}</section>{% endif %}
</div></main></div>
<script>
// Sliders and spinners of the framework have no names for screen readers.
const named = (root) => root.querySelectorAll("*").forEach((e) => {
  const title = e.shadowRoot?.querySelector(".bk-slider-title, label")?.textContent;
  e.shadowRoot?.querySelectorAll("[role=slider], .bk-spin-btn").forEach((part) =>
    part.setAttribute("aria-label", (part.className.includes("up") ? "raise " :
      part.className.includes("down") ? "lower " : "") + title));
  if (e.shadowRoot) named(e.shadowRoot);
});
const waiting = setInterval(() => {
  if (!window.Bokeh?.documents[0]?.is_idle) return;
  clearInterval(waiting);
  named(document);
  document.documentElement.dataset.ready = "all";
}, 100);
</script>
{% endblock %}
"""


def require_panel() -> None:
    """Raise ``ToolError`` with the install command if Panel is missing."""
    extras.check("panel", "pandas", "pyarrow", "sklearn", extra="explore")


def controls(model: CellModel) -> dict[str, Any]:
    """Return the widgets of the controls by name."""
    import panel as pn

    low, top = model.conduction.voltage_range[0], model.conduction.u_max
    lowest, highest = voltage_limits(model)
    counts = {name: {"start": a, "end": b, "width": 260} for name, (a, b) in COUNTS.items()}
    width = {"width": 260}
    time = {} if model.traps is None else {
        "log_time": pn.widgets.FloatSlider(
            label="time before the read, log10 (s)", start=LOG_TIMES[0],
            end=LOG_TIMES[1], step=0.25, value=0.0, **width),
        "temperature": pn.widgets.FloatSlider(
            label="temperature (K)", start=TEMPERATURES[0], end=TEMPERATURES[1], step=5.0,
            value=300.0, **width),
    }  # fmt: skip
    return {
        "u_min": pn.widgets.FloatSlider(
            label="lowest voltage (V)", start=lowest, end=0.0, step=0.02,
            value=round(low, 2), **width),
        "u_max": pn.widgets.FloatSlider(
            label="highest voltage (V)", start=0.0, end=highest, step=0.02,
            value=round(top + 0.04, 2), **width),
        "cycles": pn.widgets.IntSlider(label="cycles", value=8, **counts["cycles"]),
        "cells": pn.widgets.IntSlider(label="devices", value=16, **counts["cells"]),
        "order": pn.widgets.Select(
            label="order of the history", options=list(model.orders), value=model.orders[-1],
            **width),
        "seed": pn.widgets.IntInput(label="seed", value=0, **counts["seed"]),
        "rows": pn.widgets.IntSlider(
            label="rows and columns of the crossbar", value=32, **counts["rows"]),
        "wire_resistance": pn.widgets.Select(
            label="wires (ohm per segment)", options=list(WIRE_RESISTANCES), value=1.0, **width),
        **time,
    }  # fmt: skip


def page(model: CellModel) -> Any:
    """Return the page of one session: controls, and figures that depend on them."""
    import panel as pn

    from synfab.explore.views import (
        CrossbarView,
        DistributionView,
        LoopView,
        TimeView,
        words,
    )

    knobs = controls(model)
    time_view = None if model.traps is None else TimeView()
    loop_view, distribution_view, crossbar_view = LoopView(), DistributionView(), CrossbarView()
    text = pn.pane.HTML("", sizing_mode="stretch_width")

    def update(*_: object) -> None:
        values = {name: knob.value for name, knob in knobs.items()}
        if values["seed"] is None:  # the field is empty during input
            return
        try:
            now = settings(model, values)
        except SynfabError as error:
            logger.warning("%s", error)
            text.object = f"<p>Nothing was computed: {html.escape(str(error))}</p>"
            return
        program = Program(now.u_min, now.u_max, now.cycles)
        loops = sweep(model, program, now.cells, now.order, now.seed)
        readout = read_crossbar(
            model, now.rows, now.order, now.seed, now.u_max, now.wire_resistance,
            (now.seconds, now.temperature),
        )  # fmt: skip
        if time_view is not None:
            time_view.show(age(model, now.seed, now.temperature), now.seconds)
        loop_view.show(loops)
        distribution_view.show(loops)
        crossbar_view.show(readout)
        text.object = _sentence(words(loops, readout))

    for knob in knobs.values():
        # Sliders report only their final value.
        name = "value_throttled" if hasattr(knob, "value_throttled") else "value"
        knob.param.watch(update, name)
    update()
    made = pn.Template(TEMPLATE)
    made.add_variable("name", html.escape(model.name))
    made.add_panel("controls", pn.Column(*knobs.values()))
    made.add_panel("words", text)
    made.add_panel("loops", loop_view.figure)
    upper, lower = distribution_view.figures[:2], distribution_view.figures[2:]
    made.add_panel("distributions", pn.Column(pn.Row(*upper), pn.Row(*lower)))
    made.add_panel("crossbar", crossbar_view.map)
    made.add_panel("rows", crossbar_view.figure)
    made.add_variable("has_traps", time_view is not None)
    if time_view is not None:
        made.add_panel("aging", time_view.figure)
    return made


def _sentence(found: Mapping[str, float]) -> str:
    return (
        f"<p>{found['cells']} devices, {found['cycles']} cycles: R_HRS {found['r_hrs'] / 1e3:.1f} "
        f"kohm, U_SET {found['u_set']:.2f} V, R_LRS {found['r_lrs'] / 1e3:.2f} kohm, U_RESET "
        f"{found['u_reset']:.2f} V (medians). The wires change the current of a row by up to "
        f"{found['error']:.1%}.</p>"
    )


def serve(
    model: CellModel,
    port: int = 0,
    *,
    show: bool = True,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve the explorer on this machine until it is interrupted.

    Requests to other host names than 127.0.0.1 and localhost, and websockets of other pages, are
    refused with status 403.

    Parameters
    ----------
    model
        Model to explore.
    port
        Port on 127.0.0.1; 0: any free one.
    show
        Open the page in a browser.
    started
        Called with the address of the page.

    Raises
    ------
    InvalidValueError
        The port is in use or not valid.
    ToolError
        Panel is not installed.
    """
    checks.instance("model", model, CellModel)
    show = checks.flag("show", show)
    if started is not None:
        checks.function("started", started)
    checks.integer("--port", port, 0, 65535)
    require_panel()
    import panel as pn

    from synfab.explore.guard import guard, hosts

    logging.getLogger("bokeh").setLevel(logging.WARNING)
    port = _port(port)
    page(model)  # compiles the kernels before the first request
    server = pn.io.server.get_server(
        lambda: page(model),
        port=port,
        address=ADDRESS,
        websocket_origin=list(hosts(port)),
        websocket_max_message_size=MAX_MESSAGE,
        title=f"{model.name}: explorer",
        show=show,
    )
    guard(server._tornado, port, lambda: len(server.get_sessions()))
    if started is not None:
        started(f"http://{ADDRESS}:{port}/")
    server.start()
    server.io_loop.start()


def _port(port: int) -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            pass_on(error)
            raise InvalidValueError(
                f"--port: {port} is not free on {ADDRESS}: {error.strerror}; use 0 for a free one"
            ) from None
        return int(probe.getsockname()[1])
