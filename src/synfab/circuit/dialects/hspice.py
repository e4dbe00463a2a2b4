"""Netlists of frozen cells for HSPICE."""

from __future__ import annotations

from synfab.circuit.dialects.spice import Spice


class HSPICE(Spice):
    """The dialect of HSPICE: expressions in quotes, switches as subcircuits."""

    name = "hspice"
    has_cells = False
    HEADER = "* {title}\n.option post=2 probe"
    SOURCE = "G{name} {a} {b} cur='{current}'"
    SELECTOR = "G{name} {a} {b} cur='{saturation}*sinh(V({a},{b})/{voltage})'"
    SWITCH = "X{name} {a} {b} {gate} {model}"
    # Its conductance changes linearly from 0.45 to 0.55 V.
    SWITCH_MODEL = (
        ".subckt {model} a b gate\n"
        "Gswitch a b cur='V(a,b)*(1/{off}+(1/{on}-1/{off})*min(max(10*V(gate)-4.5,0),1))'\n"
        ".ends {model}"
    )
    BREAK = " "  # a quoted expression stays on one line
    SAVE = (".probe {analysis}", "I(V{})")
    OPERATING_POINT = ".op\n.dc VR0 0 0 1"
    TRANSIENT = ".option delmax={longest}\n.tran {step} {stop}"
