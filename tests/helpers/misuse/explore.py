"""Recipe of the explorer, whose server is not started."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from unittest import mock

import panel as pn

from synfab.explore import page

from .core import model
from .harness import RECIPES


@RECIPES.add("synfab.explore.page.serve")
def _(_folder: Path) -> Any:
    @functools.wraps(page.serve)
    def served(*given: Any, **options: Any) -> None:
        if callable(options["started"]):  # what it raises is no error of this package
            options["started"] = print
        with (
            mock.patch.object(pn.io.server, "get_server"),
            mock.patch("synfab.explore.guard.guard"),
            mock.patch.object(page, "page"),
        ):
            page.serve(*given, **options)

    return served, {
        "model": model(), "port": 0, "show": False, "started": None,
    }  # fmt: skip
