"""Screenshots in Chromium in both schemes: report.png, explorer.png and their dark versions."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from browser import chromium

SYNFAB = [sys.executable, "-m", "synfab"]
READY = "return document.documentElement.dataset.ready === 'all'"


def main() -> None:
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as page:
        subprocess.run([*SYNFAB, "demo", "-o", "lab"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(
            [*SYNFAB, "fit", "lab/cycling.csv", "-o", "mine.json", "--report", "report.html"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for scheme, name in (("light", "report.png"), ("dark", "report-dark.png")):
            page.resize(1280, 1640)
            page.prefer(scheme)
            page.open(Path("report.html").absolute().as_uri())
            page.wait(READY)
            page.driver.save_screenshot(name)
        page.prefer("light")
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        server = subprocess.Popen(
            [*SYNFAB, "explore", "lab/cycling.csv", "--no-show"], stdout=subprocess.PIPE, text=True
        )
        try:
            address = server.stdout.readline().split()[0]
            for scheme, name in (("light", "explorer.png"), ("dark", "explorer-dark.png")):
                page.prefer(scheme)
                page.resize(1440, 1000)
                page.open(address)
                page.wait(READY)
                page.resize(1440, page.run("return document.documentElement.scrollHeight"))
                page.driver.save_screenshot(name)
        finally:
            server.terminate()
            server.wait(120)


if __name__ == "__main__":
    main()
