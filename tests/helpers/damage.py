"""Damage to files as disks and people cause it."""

import shutil

PAGE = 4096


def flip(data, choose):
    """Change one bit."""
    found = bytearray(data)
    found[choose.randrange(len(found))] ^= 1 << choose.randrange(8)
    return bytes(found)


def cut(data, choose):
    """Lose the end."""
    return data[: choose.randrange(len(data))]


def zero_page(data, choose):
    """Lose one page of the disk."""
    start = choose.randrange(len(data)) // PAGE * PAGE
    return data[:start] + bytes(len(data[start : start + PAGE])) + data[start + PAGE :]


def damaged_files(folder):
    """Files that hold something, in order."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)


def damages(folder, choose, flips):
    """Damage copies of a folder, one at a time: bits, ends, pages, and files in others' places.

    Yields
    ------
    tuple
        What was done, and the damaged copy.
    """
    files = [path.relative_to(folder) for path in damaged_files(folder)]
    for number in range(flips):
        for how in (flip, cut, zero_page) if number % 4 == 0 else (flip,):
            name = files[(number + choose.randrange(2)) % len(files)]
            data = (folder / name).read_bytes()
            changed = how(data, choose)
            if changed != data:
                copy = _copied(folder)
                (copy / name).write_bytes(changed)
                yield f"{how.__name__} {name}", copy
        if len(files) > 1 and number % 4 == 0:
            one, other = choose.sample(files, 2)
            copy = _copied(folder)
            (copy / one).write_bytes((folder / other).read_bytes())
            (copy / other).write_bytes((folder / one).read_bytes())
            yield f"exchanged {one} {other}", copy


def _copied(folder):
    copy = folder.with_name(f"{folder.name}-damaged")
    shutil.rmtree(copy, ignore_errors=True)
    return shutil.copytree(folder, copy)
