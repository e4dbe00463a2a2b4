"""Every reader of files, given hostile ones: it returns or refuses, soon and in bounded memory."""

import os
import random
import secrets
import sys

import pytest
from fuzz import campaign, mutate
from fuzz.targets import TARGETS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc")

# Broken readers, by what the fuzzer must say of them.
BROKEN = """
import os, time
from fuzz.targets import Target
import synfab as sf

def silent(path): raise sf.FileFormatError("")
def defect(path): raise KeyError("x")
def crash(path): os.abort()
def hang(path):
    while True: pass
def memory(path): bytearray(2**40)
def refuses(path): raise sf.FileFormatError("no")

TARGETS = {f.__name__: Target("", "bytes", f, None)
           for f in (silent, defect, crash, hang, memory, refuses)}
"""


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    made = campaign.Child(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.stop()


def named(kept):
    return f"{kept[0]}/{kept[1].name}"


@pytest.mark.parametrize("kept", campaign.corpus(), ids=named)
def test_kept_inputs_are_read_or_refused(kept, child):
    name, path = kept
    answer = child.read(name, path.read_bytes())
    assert answer["outcome"] in ("read", "refused"), answer


@pytest.mark.slow
def test_a_campaign_finds_nothing(capsys):
    """30 seconds of the same inputs each time; ``make soak`` does 600 seconds of other ones."""
    seconds = float(os.environ.get("SYNFAB_FUZZ_SECONDS", "30"))
    seed = os.environ.get("SYNFAB_FUZZ_SEED", "0")
    seed = secrets.token_hex(4) if seed == "random" else seed
    tallies, failures = campaign.campaign(seconds, seed)
    with capsys.disabled():
        print("", f"seed {seed}", *campaign.report(tallies, seconds), sep="\n")  # noqa: T201
    assert not failures, "\n".join(f"{path}: {place}\n{text}" for path, place, text in failures)
    assert all(sum(tally.outcomes.values()) > 10 for tally in tallies.values())


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("silent", "message"), ("defect", "KeyError"), ("crash", "crash -6"), ("hang", "hang"),
        ("memory", "MemoryError"), ("refuses", None),
    ],
)  # fmt: skip
def test_the_fuzzer_sees_what_a_broken_reader_does(tmp_path, monkeypatch, name, place):
    (tmp_path / "broken.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(campaign, "CPU_SECONDS", 1.0)
    child = campaign.Child(tmp_path, "broken")
    try:
        answer = child.read(name, b"input")
    finally:
        child.stop()
    assert answer["outcome"] == ("failed" if place else "refused")
    assert answer.get("place", "").startswith(place or "")


def test_what_failed_is_written_where_it_is_replayed(tmp_path):
    path = campaign.write("csv", ("KeyError readers.py:7", "text", b"input"), tmp_path)
    assert path.parent.name == "csv"
    assert path.name.startswith("keyerror-")
    assert path.read_bytes() == b"input"


def test_equal_seeds_give_equal_mutations():
    for name, valid in campaign.valid_inputs().items():
        made = []
        for _ in range(2):
            choose = random.Random(name)
            made.append([mutate.mutated(valid[0], TARGETS[name].kind, valid, choose)
                         for _ in range(20)])  # fmt: skip
        assert made[0] == made[1]
        assert len(set(made[0])) > 10


def test_the_corpus_is_small_and_of_known_targets():
    kept = campaign.corpus()
    assert {name for name, _ in kept} <= set(TARGETS)
    assert sum(path.stat().st_size for _, path in kept) < 300_000
