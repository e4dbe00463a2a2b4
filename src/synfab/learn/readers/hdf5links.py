"""Names in HDF5 files: followed a step at a time, so that none leads out of the file."""

from __future__ import annotations

from typing import Any

from synfab.common.errors import FileFormatError

MOST_NAMES = 1_000_000
MOST_LINKS = 16  # one after the other, as in HDF5 itself


def names_of(group: Any) -> list[str]:
    """Return the names in a group.

    Raises
    ------
    FileFormatError
        There are more than in any measurement.
    """
    if len(group) > MOST_NAMES:
        raise FileFormatError(f"expected up to {MOST_NAMES} names in a group, found {len(group)}")
    return list(group)


def split_names(group: Any) -> tuple[list[str], list[str], list[str]]:
    """Return the names of a group's own datasets, of links to others, and of groups.

    A link to a group that stands there by itself is left out: its device would be there twice.
    What leads out of the file is among the links; it matters only where it is used.
    """
    import h5py

    datasets: list[str] = []
    links: list[str] = []
    groups: list[str] = []
    linked: list[str] = []
    seen: set[int] = set()
    for name in names_of(group):
        if not isinstance(_link(group, name), h5py.HardLink):
            linked.append(name)
        elif isinstance(group[name], h5py.Group):
            groups.append(name)
            seen.add(_place(group[name]))
        elif isinstance(group[name], h5py.Dataset):
            datasets.append(name)
    for name in linked:
        try:
            found = inside(group, name)
        except FileFormatError:
            found = None
        if not isinstance(found, h5py.Group):
            links.append(name)
        elif _place(found) not in seen:
            seen.add(_place(found))
            groups.append(name)
    return datasets, links, groups


def inside(group: Any, name: str) -> Any:
    """Return what a name in a group stands for; soft links may lead to another place in the file.

    Raises
    ------
    FileFormatError
        It leads out of the file, or nowhere.
    """
    import h5py

    # A step of a soft link's path may be a link itself, also one to another file.
    here, steps, links = group, [name], 0
    while steps:
        step = steps.pop()
        link = _link(here, step) if isinstance(here, h5py.Group) else None
        if isinstance(link, h5py.HardLink):
            here = here[step]
            continue
        links += 1
        if not isinstance(link, h5py.SoftLink) or links > MOST_LINKS:
            raise FileFormatError(f"{name}: a link to elsewhere; expected the data itself")
        if link.path.startswith("/"):
            here = here.file["/"]
        steps += [part for part in reversed(link.path.split("/")) if part not in ("", ".")]
    return here


def _link(group: Any, name: str) -> Any:
    """Return the kind of a link; None: there is none, or one that h5py does not know."""
    if "/" in name:
        return None  # HDF5 would take it for a path
    try:
        return group.get(name, getlink=True)
    except TypeError:
        return None


def _place(found: Any) -> int:
    """Return where in its file an object begins."""
    import h5py

    return int(h5py.h5o.get_info(found.id).addr)
