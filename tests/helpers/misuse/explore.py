"""Recipe of the explorer, whose server is not started."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from unittest import mock

from synfab.explore import page

from .core import model
from .harness import RECIPES


@RECIPES.add("synfab.explore.page.serve")
def _(folder: Path) -> Any:
    @functools.wraps(page.serve)
    def served(*given: Any, **options: Any) -> None:
        if callable(options["started"]):  # what it raises is no error of this package
            options["started"] = print
        with mock.patch("synfab.explore.server.serve_forever"):
            page.serve(*given, **options)

    table = folder / "features.csv"
    table.write_text("device,cycle,r_hrs,u_set,r_lrs,u_reset\n1,1,1e5,-0.7,5e3,0.7\n")
    return served, {
        "model": model(), "port": 0, "measurement": table, "columns": None, "source": None,
        "show": False, "started": None,
    }  # fmt: skip
