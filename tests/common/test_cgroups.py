"""Limits of containers and batch jobs: memory and processors of Linux control groups."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import synfab as sf
from synfab.common import cgroups, processors
from synfab.io import memory as capacity

MIB = 2**20
UNLIMITED_V1 = 9223372036854771712
V2 = "31 23 0:28 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
V1 = "35 31 0:32 {root} /sys/fs/cgroup/{name} rw,relatime - cgroup cgroup rw,{name}"


def system(tmp_path, membership, mounts, files):
    """Write a tree with ``proc`` and ``sys`` as a process in a control group would see them."""
    process = tmp_path / "proc/self"
    process.mkdir(parents=True)
    (process / "cgroup").write_text("\n".join(membership) + "\n")
    (process / "mountinfo").write_text("\n".join(mounts) + "\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    for name, content in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return tmp_path


# ---- memory ------------------------------------------------------------------


def test_memory_of_a_group_is_its_limit_less_its_usage(tmp_path):
    tree = system(tmp_path, ["0::/job"], [V2.format(root="/")], {
        "job/memory.max": 700 * MIB, "job/memory.current": 100 * MIB,
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 600 * MIB


def test_inactive_pages_of_files_count_as_free(tmp_path):
    tree = system(tmp_path, ["0::/job"], [V2.format(root="/")], {
        "job/memory.max": 700 * MIB, "job/memory.current": 690 * MIB,
        "job/memory.stat": f"anon 1\nfile 2\ninactive_file {500 * MIB}\nactive_file 3",
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 510 * MIB


def test_the_tightest_limit_of_the_ancestors_applies(tmp_path):
    tree = system(tmp_path, ["0::/user/session/job"], [V2.format(root="/")], {
        "user/memory.max": 300 * MIB, "user/memory.current": 250 * MIB,
        "user/session/memory.max": "max", "user/session/memory.current": 200 * MIB,
        "user/session/job/memory.max": 700 * MIB, "user/session/job/memory.current": 10 * MIB,
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 50 * MIB


def test_a_throttling_limit_counts_as_a_limit(tmp_path):
    tree = system(tmp_path, ["0::/job"], [V2.format(root="/")], {
        "job/memory.max": 700 * MIB, "job/memory.high": 200 * MIB,
        "job/memory.current": 50 * MIB,
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 150 * MIB


@pytest.mark.parametrize(
    ("membership", "mounts", "files"),
    [
        (["0::/job"], [V2.format(root="/")], {"job/memory.max": "max", "job/memory.current": 1}),
        (["0::/"], [V2.format(root="/")], {"cgroup.controllers": "memory"}),
        (["4:memory:/job"], [V1.format(root="/", name="memory")],
         {"memory/job/memory.limit_in_bytes": UNLIMITED_V1,
          "memory/job/memory.usage_in_bytes": 5,
          "memory/job/memory.stat": f"hierarchical_memory_limit {UNLIMITED_V1}"}),
        (["4:memory:/job"], [], {}),
        ([], [V2.format(root="/")], {"memory.max": "5"}),
        (["", "nonsense", "0::"], ["short", " - cgroup2", "a b c - cgroup2 x y"], {}),
    ],
    ids=["max", "the root of all", "v1", "not mounted", "in no group", "nonsense"],
)  # fmt: skip
def test_without_a_limit_there_is_none(tmp_path, membership, mounts, files):
    tree = system(tmp_path, membership, mounts, files)
    assert cgroups.available_memory(tree) is None
    assert cgroups.processor_quota(tree) is None


def test_a_container_sees_its_own_group_as_the_root(tmp_path):
    tree = system(tmp_path, ["0::/"], [V2.format(root="/")], {
        "memory.max": 700 * MIB, "memory.current": 100 * MIB, "cpu.max": "150000 100000",
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 600 * MIB
    assert cgroups.processor_quota(tree) == 1.5


@pytest.mark.parametrize("root", ["/docker/abc", "/"])
def test_a_container_without_a_namespace_sees_its_group_as_the_mount(tmp_path, root):
    tree = system(tmp_path, ["4:memory:/docker/abc"], [V1.format(root=root, name="memory")], {
        "memory/memory.limit_in_bytes": 700 * MIB, "memory/memory.usage_in_bytes": 100 * MIB,
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 600 * MIB


def test_a_group_outside_of_the_namespace_is_read_at_the_mount(tmp_path):
    tree = system(tmp_path, ["0::/../other"], [V2.format(root="/")], {
        "memory.max": 100 * MIB, "memory.current": 0,
    })  # fmt: skip
    (tmp_path / "sys/fs/other").mkdir()
    assert cgroups.available_memory(tree) == 100 * MIB


def test_version_1_nested_with_pages_of_files_and_swap(tmp_path):
    mounts = [V1.format(root="/", name="memory"), V1.format(root="/", name="cpu,cpuacct")]
    tree = system(tmp_path, ["4:memory:/batch/job", "3:cpu,cpuacct:/batch"], mounts, {
        "memory/batch/memory.limit_in_bytes": 400 * MIB,
        "memory/batch/memory.usage_in_bytes": 390 * MIB,
        "memory/batch/memory.stat": f"inactive_file 1\ntotal_inactive_file {200 * MIB}",
        "memory/batch/job/memory.limit_in_bytes": UNLIMITED_V1,
        "memory/batch/job/memory.usage_in_bytes": 100 * MIB,
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 210 * MIB
    swap = tmp_path / "sys/fs/cgroup/memory/batch/job"
    (swap / "memory.memsw.limit_in_bytes").write_text(str(150 * MIB))
    (swap / "memory.memsw.usage_in_bytes").write_text(str(100 * MIB))
    assert cgroups.available_memory(tree) == 50 * MIB


def test_limits_of_hidden_ancestors_are_in_the_statistics_of_version_1(tmp_path):
    tree = system(tmp_path, ["4:memory:/pod/abc"], [V1.format(root="/pod/abc", name="memory")], {
        "memory/memory.limit_in_bytes": UNLIMITED_V1,
        "memory/memory.usage_in_bytes": 100 * MIB,
        "memory/memory.stat": f"hierarchical_memory_limit {256 * MIB}",
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 156 * MIB


def test_both_versions_at_the_same_time(tmp_path):
    mounts = [
        V1.format(root="/", name="memory"),
        "41 31 0:38 / /sys/fs/cgroup/my\\040unified rw - cgroup2 cgroup2 rw",
    ]
    tree = system(tmp_path, ["4:memory:/a", "0::/b"], mounts, {
        "memory/a/memory.limit_in_bytes": 700 * MIB, "memory/a/memory.usage_in_bytes": 0,
        "my unified/b/cpu.max": "50000 100000",
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 700 * MIB
    assert cgroups.processor_quota(tree) == 0.5


def test_a_group_above_its_limit_has_no_memory_left(tmp_path):
    tree = system(tmp_path, ["0::/job"], [V2.format(root="/")], {
        "job/memory.max": 100 * MIB, "job/memory.current": 120 * MIB,
    })  # fmt: skip
    assert cgroups.available_memory(tree) == 0


def test_available_memory_is_never_more_than_the_group_leaves(monkeypatch):
    monkeypatch.setattr(cgroups, "available_memory", lambda: 700 * MIB)
    assert capacity.available_memory() <= 700 * MIB
    with pytest.raises(sf.CapacityError, match=r"5000000 cells need .* are available"):
        sf.CellArray("published", 5_000_000, seed=1)


def test_no_memory_left_is_not_the_same_as_unknown(monkeypatch):
    monkeypatch.setattr(cgroups, "available_memory", lambda: 0)
    with pytest.raises(sf.CapacityError, match=r"needs 1\.0 MiB"):
        capacity.require_memory(2**20, "file")


def test_many_small_requests_are_refused_once_they_are_much_together(monkeypatch):
    """As of a file of very many small arrays."""
    monkeypatch.setattr(capacity, "available_memory", lambda: 1)

    def many():
        for _ in range(33):
            capacity.require_memory(2**15, "file")

    with pytest.raises(sf.CapacityError, match=r"needs 32\.0 KiB"):
        many()


# ---- processors --------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        ({"job/cpu.max": "200000 100000"}, 2.0),
        ({"job/cpu.max": "max 100000"}, None),
        ({"job/cpu.max": "max 100000", "cpu.max": "25000 50000"}, 0.5),
        ({"job/cpu.max": ""}, None),
    ],
)
def test_the_processor_quota_of_version_2(tmp_path, limits, quota):
    assert cgroups.processor_quota(system(
        tmp_path, ["0::/job"], [V2.format(root="/")], {"job/memory.max": "max", **limits}
    )) == quota  # fmt: skip


@pytest.mark.parametrize(("quota", "expected"), [(150000, 1.5), (-1, None)])
def test_the_processor_quota_of_version_1(tmp_path, quota, expected):
    tree = system(tmp_path, ["3:cpu,cpuacct:/job"], [V1.format(root="/", name="cpu,cpuacct")], {
        "cpu,cpuacct/job/cpu.cfs_quota_us": quota, "cpu,cpuacct/job/cpu.cfs_period_us": 100000,
    })  # fmt: skip
    assert cgroups.processor_quota(tree) == expected


@pytest.mark.parametrize(("quota", "threads"), [(None, 6), (0.2, 1), (1.5, 2), (4.0, 4), (99.0, 6)])
def test_threads_are_those_of_the_affinity_within_the_quota(monkeypatch, quota, threads):
    monkeypatch.delenv("SYNFAB_NUM_THREADS", raising=False)
    monkeypatch.setattr(processors, "quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert processors.default_threads() == threads


def test_threads_without_an_affinity_are_all_processors(monkeypatch):
    monkeypatch.delenv("SYNFAB_NUM_THREADS", raising=False)
    monkeypatch.setattr(processors, "quota", lambda: None)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert processors.default_threads() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors.default_threads() == 1


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", " 2", "²", "4097", "9" * 5000, "2\n"])
def test_a_wrong_number_of_threads_is_always_refused(monkeypatch, text):
    array = sf.CellArray("published", 4, seed=1)
    monkeypatch.setenv("SYNFAB_NUM_THREADS", text)
    message = "SYNFAB_NUM_THREADS: expected a whole number from 1 to 4096"
    with pytest.raises(sf.InvalidValueError, match=message):
        processors.default_threads()
    with pytest.raises(sf.InvalidValueError, match=message):
        array.apply_voltage(-2.0)
    with pytest.raises(sf.InvalidValueError, match=message):
        array.read(0.2)
    for history in ("float32", "compact"):
        with pytest.raises(sf.InvalidValueError, match=message):
            sf.CellArray("published", 4, seed=1, history=history)
    with pytest.raises(sf.InvalidValueError, match=message):
        sf.CellArray("published", 4, seed=1, engine="array")


def test_an_empty_number_of_threads_means_the_default(monkeypatch):
    monkeypatch.setenv("SYNFAB_NUM_THREADS", "")
    assert processors.default_threads() == processors.available_processors()


# ---- a real group ------------------------------------------------------------

FIVE_MILLION = """
import sys
import synfab as sf
from synfab.io.memory import available_memory
print(available_memory())
array = sf.CellArray("published", 5_000_000, seed=1)
"""
AS_MANY_AS_ALLOWED = """
import synfab as sf
from synfab.engines.capacity import KERNEL_BYTES, READ_BYTES, bytes_per_cell
from synfab.io.memory import available_memory
warm = sf.CellArray("published", 1000, seed=1)
warm.apply_voltage(-2.0)
warm.read(0.2)
each = bytes_per_cell(10, "float32") + READ_BYTES
array = sf.CellArray("published", int((available_memory() - KERNEL_BYTES) / each * 0.97), seed=1)
array.apply_voltage(-2.0)
print(array.read(0.2).shape)
"""


@pytest.fixture
def group():
    """Make a control group with a limit of 700 MiB below that of this process."""
    for version, groups in cgroups.hierarchies("memory", Path("/")):
        folder = groups[0] / f"synfab-test-{os.getpid()}"
        limit = folder / ("memory.max" if version == 2 else "memory.limit_in_bytes")
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if limit.exists():
                limit.write_text(str(700 * MIB))
                yield folder
                return
        except OSError:
            pass
        finally:
            folder.rmdir()
    pytest.skip("control groups cannot be made here")


def run_in(group, source):
    def enter():
        (group / "cgroup.procs").write_text(str(os.getpid()))

    command = [sys.executable, "-c", source]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=enter)


@pytest.mark.slow
def test_five_million_cells_in_700_mib_are_refused_and_not_killed(group):
    done = run_in(group, FIVE_MILLION)
    assert done.returncode == 1, done.stderr
    assert "CapacityError: shape: 5000000 cells need" in done.stderr
    assert 0 < int(done.stdout) < 700 * MIB


@pytest.mark.slow
def test_as_many_cells_as_are_allowed_can_be_switched_and_read(group):
    done = run_in(group, AS_MANY_AS_ALLOWED)
    assert done.returncode == 0, done.stderr
    cells = int(done.stdout.strip("(),\n"))
    assert math.isclose(cells, 2.2e6, rel_tol=0.2)
