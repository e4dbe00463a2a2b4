"""Containers that mutations look into: ZIP archives, folders as bundles, sealed array files."""

import hashlib
import io
import zipfile
from pathlib import Path, PurePosixPath

MOST = 2**22  # bytes of a member; a mutated directory may claim more


def members(data):
    """Members of a ZIP archive by name, None if it is none."""
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                with archive.open(info) as member:
                    found[info.filename] = member.read(MOST)
    except Exception:  # a damaged archive is mutated as bytes
        return None
    return found


def pack(content, packing=zipfile.ZIP_STORED, comment=b""):
    """A ZIP archive of members, equal for equal members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = packing
            archive.writestr(info, data)
        archive.comment = comment
    return file.getvalue()


def seal(content):
    """An array file of members, its checksum made right again."""
    data = pack(content, comment=b"sha256:%064x" % 0)
    return resealed(data)


def resealed(data):
    """The same bytes with the checksum at their end made right."""
    size = len(b"sha256:%064x" % 0)
    body = data[:-size]
    return body + b"sha256:" + hashlib.sha256(body).hexdigest().encode()


def bundle(folder):
    """The files of a folder as one ZIP archive."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return pack({str(path.relative_to(folder)): path.read_bytes() for path in files})


def unbundle(data, folder):
    """Write the files of a bundle into a folder; names that lead elsewhere are left out."""
    folder.mkdir(parents=True)
    for name, content in (members(data) or {}).items():
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or "\0" in name:
            continue
        path = folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:
            continue
