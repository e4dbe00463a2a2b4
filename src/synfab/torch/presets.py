"""Named options of layers on cells, such as ``"published-1T1R-4bit-ADC8"``.

``convert(network, seed=7, preset="ideal")`` uses one, and so does every other function that takes
options of layers. Options that are given as well have precedence. The presets are data, in
``presets.toml``; ``presets.table()`` lists them.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

from synfab.common import checks
from synfab.common.errors import InvalidValueError

PAIRS = ("tile", "g_window", "adc")  # options that are tuples, which TOML has not


def names() -> list[str]:
    """Return the names of all presets.

    Examples
    --------
    >>> sf.torch.presets.names()[:2]
    ['ideal', 'published-1T1R']
    """
    return list(_presets())


def load(name: str) -> dict[str, Any]:
    """Return the options of a preset, by their names as in ``LayerOptions``.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        There is no preset of this name.

    Examples
    --------
    >>> sf.torch.presets.load("published-1T1R-4bit-ADC8")
    {'tile': (128, 128), 'bits': 4, 'dac': 8, 'adc': 8}
    """
    wanted = checks.text("preset", name)
    if wanted not in _presets():
        raise InvalidValueError(
            f"preset: expected one of {', '.join(_presets())}, found {checks.shown(wanted)}"
        )
    options: dict[str, Any] = _presets()[wanted]["options"]
    return {
        key: tuple(value) if key in PAIRS and isinstance(value, list) else value
        for key, value in options.items()
    }


def table() -> pd.DataFrame:
    """Return a table of all presets: their description, and their options as text.

    Examples
    --------
    >>> sf.torch.presets.table().loc["ideal", "options"]
    'linear=True, noise=False'
    """
    rows = {
        name: {
            "description": preset["description"],
            "options": ", ".join(f"{key}={value!r}" for key, value in load(name).items()),
        }
        for name, preset in _presets().items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


@cache
def _presets() -> dict[str, dict[str, Any]]:
    text = resources.files("synfab.torch").joinpath("presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
