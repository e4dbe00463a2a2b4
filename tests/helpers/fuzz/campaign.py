"""Campaigns: mutate, let a child read, keep what reaches new lines, write down what fails."""

import hashlib
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.mutate import mutated
from fuzz.targets import TARGETS

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
# A call may take so much time of the processor, and so much on the clock of a busy machine.
CPU_SECONDS, CLOCK_SECONDS = 10.0, 90.0
FEWEST = 12  # inputs of a target
LARGEST = 2**18  # bytes of an input
SLOW = 0.5  # s; what takes longer is read once, and not mutated further


class Child:
    """A process that reads inputs, started again when it has died."""

    def __init__(self, folder, module="fuzz.targets"):
        self.folder, self.module, self.process = folder, module, None

    def start(self):
        """Begin a process, and let it import and compile before its memory is limited."""
        paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths), "SYNFAB_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.child", str(self.folder), self.module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment, text=True, bufsize=1,
        )  # fmt: skip
        if self.module == "fuzz.targets":
            self.warm()
        assert self.ask({"limit": True})["outcome"] == "ready"

    def read(self, target, data):
        """Let the child read an input; a dict with at least ``outcome``."""
        if self.process is None:
            self.start()
        path = self.folder / "order"
        path.write_bytes(data)
        return self.ask({"target": target, "path": str(path)})

    def warm(self):
        """Let every reader read its valid inputs."""
        for name, valid in valid_inputs().items():
            for data in valid:
                path = self.folder / "order"
                path.write_bytes(data)
                answer = self.ask({"target": name, "path": str(path), "warm": True}, 20.0)
                assert answer["outcome"] == "read", (name, answer)

    def ask(self, order, patience=1.0):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        begin, used = time.monotonic(), self.cpu()
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], 0.5)
            if ready:
                line = self.process.stdout.readline()
                if line:
                    return json.loads(line)
                code = self.process.wait()
                self.stop()
                return {"outcome": "failed", "place": f"crash {code}", "text": f"died with {code}"}
            late = time.monotonic() - begin > CLOCK_SECONDS * patience
            if late or self.cpu() - used > CPU_SECONDS * patience:
                self.stop()
                return {"outcome": "failed", "place": "hang", "text": "did not come to an end"}

    def cpu(self):
        """Seconds of the processor that the child has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.process is not None:
            with self.process as ended:  # closes the pipes and waits
                ended.kill()
            self.process = None


_valid = {}


def valid_inputs():
    """Small valid inputs of every target, made once."""
    if not _valid:
        for name, target in TARGETS.items():
            with tempfile.TemporaryDirectory() as folder:
                _valid[name] = target.seeds(Path(folder))
    return _valid


def corpus():
    """Kept inputs: (target, path), from corpus/<target>/<what it shows>."""
    found = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
    return [(path.parent.name, path) for path in found]


@dataclass
class Tally:
    """What a target was given, how long that took, and what came of it."""

    pool: list
    random: random.Random
    seconds: float = 0.0
    outcomes: Counter = field(default_factory=Counter)
    kept: int = 0
    grown: int = 0

    @property
    def inputs(self):
        return sum(self.outcomes.values())


def campaign(seconds, seed, only=(), save=CORPUS):
    """Fuzz all targets, or those named, in turn; the tallies, and what failed.

    Each target draws from numbers of its own, so its inputs do not depend on the others' speed.
    """
    tallies = {
        name: Tally(list(valid), random.Random(f"{seed} {name}"))
        for name, valid in valid_inputs().items() if not only or name in only
    }  # fmt: skip
    for name, path in corpus():
        if name in tallies:
            tallies[name].pool.append(path.read_bytes())
    failures, places = [], set()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        child = Child(Path(folder))
        try:
            child.read(next(iter(tallies)), b"")  # starts it, outside the time
            begin = time.monotonic()
            while True:
                name = min(tallies, key=lambda one: tallies[one].seconds)
                if time.monotonic() - begin >= seconds:  # on a slow machine some have had few
                    name = min(tallies, key=lambda one: tallies[one].inputs)
                    if tallies[name].inputs >= FEWEST:
                        break
                failure = step(name, tallies[name], child)
                if failure and (name, failure[0]) not in places:
                    places.add((name, failure[0]))
                    failures.append((write(name, failure, save), *failure[:2]))
        finally:
            child.stop()
    return tallies, failures


def step(name, tally, child):
    """One input of a target; (place, text, input) if it failed."""
    data = mutated(tally.random.choice(tally.pool), TARGETS[name].kind, tally.pool, tally.random)
    data = data[:LARGEST]
    if child.process is None:
        child.start()
    begin = time.monotonic()
    answer = child.read(name, data)
    tally.seconds += time.monotonic() - begin
    tally.outcomes[answer["outcome"]] += 1
    tally.grown = max(tally.grown, answer.get("grown", 0))
    if answer["outcome"] == "failed":
        return answer["place"], answer["text"], data
    if answer["new"] and len(data) < 2**16 and answer["seconds"] < SLOW:
        tally.pool.append(data)
        tally.kept += 1
    return None


def write(name, failure, save):
    """Write an input that failed to a file of its own; its path."""
    place, _, data = failure
    word = "".join(c if c.isalnum() else "-" for c in place.split(" ")[0].lower())
    path = Path(save) / name / f"{word}-{hashlib.sha256(data).hexdigest()[:8]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def report(tallies, seconds):
    """A line for each target: how often, how fast, what came of it."""
    for name, tally in tallies.items():
        runs = sum(tally.outcomes.values())
        rate = runs / tally.seconds if tally.seconds else 0.0
        yield (
            f"{name:16} {runs:7} inputs {rate:7.0f}/s  read {tally.outcomes['read']:6}  "
            f"refused {tally.outcomes['refused']:6}  failed {tally.outcomes['failed']:3}  "
            f"new lines {tally.kept:4}  memory {tally.grown / 2**20:5.0f} MiB"
        )
    total = sum(sum(tally.outcomes.values()) for tally in tallies.values())
    yield f"{total} inputs in {seconds:.0f} s"
