"""Limits of Linux control groups on the memory (bytes) and processors of this process.

Containers, batch jobs and services run in control groups. The kernel kills a process that exceeds
the memory limit of its group, however much memory the machine has free. Groups are nested, and the
limits of all ancestors apply. Both versions of the interface are read:
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html and
https://docs.kernel.org/admin-guide/cgroup-v2.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from synfab.common.interrupts import pass_on

SYSTEM = Path("/")
# Version 1 states "no limit" as the largest multiple of the page size below 2**63.
NO_LIMIT = 2**60


class Hierarchy(NamedTuple):
    """Folders of a controller that apply to this process, its own group first."""

    version: int
    groups: list[Path]


def available_memory(system: Path = SYSTEM) -> int | None:
    """Return the bytes that this process can allocate within its control groups; None: no limit.

    The file cache that the kernel drops first (``inactive_file``) counts as free: reading a large
    file fills a group up to its limit, and an allocation replaces this cache.

    Parameters
    ----------
    system
        Folder that contains ``proc`` and ``sys``.
    """
    available = [
        count
        for version, groups in hierarchies("memory", system)
        for group in groups
        for count in (_free_v2(group) if version == 2 else _free_v1(group, len(groups) == 1))
    ]
    return max(0, min(available)) if available else None


def processor_quota(system: Path = SYSTEM) -> float | None:
    """Return the number of processors this process may use, such as 1.5; None: no limit.

    Parameters
    ----------
    system
        Folder that contains ``proc`` and ``sys``.
    """
    quotas = []
    for version, groups in hierarchies("cpu", system):
        for group in groups:
            if version == 2:
                words = _text(group / "cpu.max").split()
            else:
                words = [_text(group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
            quota, period = (_whole(word) for word in (*words, "", "")[:2])
            if quota is not None and quota > 0 and period:
                quotas.append(quota / period)
    return min(quotas, default=None)


def _free_v2(group: Path) -> list[int]:
    limits = [_whole(_text(group / name)) for name in ("memory.max", "memory.high")]
    known = [limit for limit in limits if limit is not None]
    if not known:  # reading the statistics takes milliseconds
        return []
    free = _statistics(group).get("inactive_file", 0)
    return [min(known) - max(0, _usage(group / "memory.current") - free)]


def _free_v1(group: Path, alone: bool) -> list[int]:
    limits = {
        kind: _whole(_text(group / f"{kind}.limit_in_bytes")) or NO_LIMIT
        for kind in ("memory", "memory.memsw")
    }
    numbers = _statistics(group) if alone or min(limits.values()) < NO_LIMIT else {}
    # In a container the folders of ancestors may be hidden; this is the minimum of their limits.
    limits["memory"] = min(limits["memory"], numbers.get("hierarchical_memory_limit", NO_LIMIT))
    free = numbers.get("total_inactive_file", numbers.get("inactive_file", 0))
    return [
        limit - max(0, _usage(group / f"{kind}.usage_in_bytes") - free)
        for kind, limit in limits.items()
        if limit < NO_LIMIT
    ]


def _usage(file: Path) -> int:
    return _whole(_text(file)) or 0


def _statistics(group: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(group / "memory.stat").splitlines())
    return {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdecimal()}


def hierarchies(controller: str, system: Path) -> Iterator[Hierarchy]:
    """Yield the folders of a controller; both versions may be mounted at the same time."""
    mine = _memberships(system)
    for line in _text(system / "proc/self/mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = (*rest.split(" ", 2), "", "", "")[:3]
        version = {"cgroup": 1, "cgroup2": 2}.get(kind)
        if version is None or (version == 1 and controller not in options.strip().split(",")):
            continue
        path, places = mine.get(controller if version == 1 else ""), fields.split(" ")[3:5]
        if path is not None and len(places) == 2:
            root, mount = map(_unescaped, places)
            yield Hierarchy(version, _groups(path, root, system / mount.lstrip("/")))


def _memberships(system: Path) -> dict[str, str]:
    """Return the path of the group of each version 1 controller; version 2 has the key ""."""
    found = {}
    for line in _text(system / "proc/self/cgroup").splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        for controller in controllers.split(",") if number != "0" else [""]:
            found[controller] = path
    return found


def _groups(path: str, root: str, mount: Path) -> list[Path]:
    """Return the folders of a group and its ancestors in a mount of the hierarchy below ``root``.

    In a container the mount can be the group itself, whatever ``path`` states.
    """
    try:
        below = PurePosixPath(path).relative_to(root)
    except ValueError:
        below = PurePosixPath()
    group = mount / below
    if ".." in below.parts or not group.is_dir():
        return [mount]
    return [group, *(mount / parent for parent in below.parents)]


def _unescaped(field: str) -> str:
    r"""Return a name from ``mountinfo``, where a space is written as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError as error:
        pass_on(error)
        return ""


def _whole(text: str) -> int | None:
    """Return an integer; None for "max" and for missing text."""
    return int(text) if text.removeprefix("-").isdecimal() else None
