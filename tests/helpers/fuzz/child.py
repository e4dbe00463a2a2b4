"""The process that reads hostile inputs: one line in, one line out, until it is told no more.

It may die, hang or ask for too much; whoever started it sees that. Its address space is limited,
so that a reader that believes a bomb is refused by the system.
"""

import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from fuzz.archives import unbundle

ROOM = 3 * 2**30  # bytes beyond what is there when everything is imported
SOURCE = f"{os.sep}synfab{os.sep}"


class Lines:
    """The lines of this package that were reached: what a mutation was good for."""

    def __init__(self):
        self.seen, self.now = set(), set()

    def trace(self, frame, event, _):
        if SOURCE not in frame.f_code.co_filename or "engines" in frame.f_code.co_filename:
            return None
        self.now.add((frame.f_code.co_filename, frame.f_lineno))
        return self.trace

    def new(self):
        """Number of lines since the last call that no input had reached."""
        fresh = len(self.now - self.seen)
        self.seen |= self.now
        self.now = set()
        return fresh


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-child-", dir=sys.argv[1]))
    targets = importlib.import_module(sys.argv[2]).TARGETS
    lines = Lines()
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("limit"):
            limit_memory()
            answer = {"outcome": "ready"}
        else:
            name, data = order["target"], Path(order["path"]).read_bytes()
            if order.get("warm"):  # importing and compiling takes far longer while it is traced
                one(name, targets[name], data, folder)
            answer = one(name, targets[name], data, folder, lines)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def limit_memory():
    """Allow ``ROOM`` more than is there now, and no core files."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def one(name, target, data, folder, lines=None):
    """Let a reader read one input, and say what came of it; ``lines`` notes the lines reached."""
    path = folder / f"{name}{target.suffix}"
    if target.kind == "bundle":
        shutil.rmtree(path, ignore_errors=True)
        unbundle(data, path)
    else:
        path.write_bytes(data)
    before, begin = peak(reset=True), time.process_time()
    if lines:
        sys.settrace(lines.trace)
    try:
        answer = judged(target, path)
    finally:
        sys.settrace(None)
    used = time.process_time() - begin
    return {**answer, "new": lines.new() if lines else 0, "grown": peak() - before, "seconds": used}


def judged(target, path):
    import synfab as sf

    try:
        target.read(path)
    except sf.SynfabError as error:
        text = str(error)
        if len(text.splitlines()) == 1:
            return {"outcome": "refused", "text": text}
        return {"outcome": "failed", "place": "message", "text": f"not one line: {text!r}"}
    except BaseException as error:
        return {"outcome": "failed", "place": place(error), "text": traceback.format_exc()}
    return {"outcome": "read"}


def place(error):
    """Type of an error and the last line of this package on its way, to tell defects apart."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if SOURCE in f.filename]
    return f"{type(error).__name__} {ours[-1] if ours else ''}"


def peak(reset=False):
    """Largest memory of this process so far in bytes; ``reset`` restarts from the present size."""
    if reset:
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
