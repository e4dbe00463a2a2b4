"""Links in HDF5 files, resolved step by step so that none leads out of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from synfab.common.errors import FileFormatError

if TYPE_CHECKING:
    import h5py

    Object: TypeAlias = h5py.Group | h5py.Dataset | h5py.Datatype
    Link: TypeAlias = h5py.HardLink | h5py.SoftLink | h5py.ExternalLink

MAX_NAMES = 1_000_000
MAX_LINKS = 16  # in one path; the limit of HDF5


def names_of(group: h5py.Group) -> list[str]:
    """Return the names in a group.

    Raises
    ------
    FileFormatError
        There are more than ``MAX_NAMES``.
    """
    if len(group) > MAX_NAMES:
        raise FileFormatError(f"expected up to {MAX_NAMES} names in a group, found {len(group)}")
    return list(group)


def split_names(group: h5py.Group) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the datasets in a group, of links to other datasets, and of groups.

    A link to a listed group is left out, because its device would be read twice. Links out of the
    file are listed; ``inside`` refuses them when they are used.
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
            seen.add(_address(group[name]))
        elif isinstance(group[name], h5py.Dataset):
            datasets.append(name)
    for name in linked:
        try:
            found = inside(group, name)
        except FileFormatError:
            found = None
        if not isinstance(found, h5py.Group):
            links.append(name)
        elif _address(found) not in seen:
            seen.add(_address(found))
            groups.append(name)
    return datasets, links, groups


def inside(group: h5py.Group, name: str) -> Object:
    """Return the object that a name in a group refers to, following soft links within the file.

    Raises
    ------
    FileFormatError
        The name refers to another file, or to nothing.
    """
    import h5py

    # Each step of the path of a soft link can be a link itself, even to another file.
    here, steps, links = group, [name], 0
    while steps:
        step = steps.pop()
        link = _link(here, step) if isinstance(here, h5py.Group) else None
        if isinstance(link, h5py.HardLink):
            here = here[step]
            continue
        links += 1
        if not isinstance(link, h5py.SoftLink) or links > MAX_LINKS:
            raise FileFormatError(f"{name}: links to another file or to nothing; expected data")
        if link.path.startswith("/"):
            here = here.file["/"]
        steps += [part for part in reversed(link.path.split("/")) if part not in ("", ".")]
    return here


def _link(group: h5py.Group, name: str) -> Link | None:
    """Return a link as h5py describes it; None for a missing one or an unknown kind."""
    if "/" in name:
        return None  # HDF5 would resolve it as a path
    try:
        return group.get(name, getlink=True)
    except TypeError:
        return None


def _address(found: Object) -> int:
    """Return the address of an object in its file, which identifies it."""
    import h5py

    return int(h5py.h5o.get_info(found.id).addr)
