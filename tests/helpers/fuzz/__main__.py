"""``python -m fuzz FILE …`` replays kept inputs; without files it runs a campaign."""

import os
import secrets
import sys
import tempfile
from pathlib import Path

from fuzz.campaign import Child, campaign, report


def replay(path):
    with tempfile.TemporaryDirectory() as folder:
        child = Child(Path(folder))
        try:
            answer = child.read(path.parent.name, path.read_bytes())
        finally:
            child.stop()
    print(f"{path}: {answer['outcome']}\n{answer.get('text', '')}")  # noqa: T201
    return answer["outcome"] != "failed"


def main():
    paths = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    if paths:
        found = [replay(path) for path in paths]  # every one, whatever the first gives
        return all(found)
    seconds = float(os.environ.get("SYNFAB_FUZZ_SECONDS", "30"))
    seed = os.environ.get("SYNFAB_FUZZ_SEED") or secrets.token_hex(4)
    print(f"seed {seed}", flush=True)  # noqa: T201
    tallies, failures = campaign(seconds, seed, only=sys.argv[1:])
    print("\n".join(report(tallies, seconds)))  # noqa: T201
    for path, place, text in failures:
        print(f"\n{path}: {place}\n{text}")  # noqa: T201
    return not failures


if __name__ == "__main__":
    sys.exit(not main())
