"""Mutations: of bytes, of numbers in text, of JSON, and of what lies inside containers."""

import gzip
import json
import re
import struct
import zipfile

from fuzz.archives import members, pack, resealed, seal

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
WORDS = (
    b"-1", b"0", b"1", b"2", b"7", b"255", b"65536", b"1000000", b"2147483647", b"4294967296",
    b"1000000000000", b"9223372036854775807", b"99999999999999999999999", b"1e308", b"-1e400",
    b"1e-320", b"nan", b"inf", b"NaN", b"Infinity", b"null", b"true", b'"x"', b"[]", b"{}", b"0.5",
    b"", b"1,1", b'"', b"\n", b"\r", b"\t", b";", b",", b"x 999999999", b"(", b")",
)  # fmt: skip
LEAVES = (
    None, True, False, 0, 1, -1, 2, 300, 10**6, 2**31, 2**63, 10**30, 0.5, -0.5, 1e300, -1e-300,
    "", "x", "numba", "torch", "array", "compact", "int16", "<f8", "|O", "float64", [], {}, [[]],
    [1, 1], [0], [10**12], [1.5], [[0.0] * 4] * 4, {"a": 1}, "pickle", [{"name": "gzip"}],
    [{"id": "pickle"}], {"id": "pickle"}, [[[0.01] * 4] * 4] * 120,
)  # fmt: skip
VALUES = (
    ("<f", float("nan")), ("<f", float("inf")), ("<f", float("-inf")), ("<f", 3e38), ("<f", -3e38),
    ("<f", 1e-45), ("<f", 0.0), ("<f", -1.0), ("<i", -1), ("<i", 2**31 - 1), ("<i", -(2**31)),
    ("<I", 3), ("<h", -(2**15)), ("<h", 2**15 - 1), ("<b", -128), ("<b", 127), ("<d", float("nan")),
    ("<d", 1e300), ("<d", -1e300), ("<d", 9.91e37),
)  # fmt: skip
WIDTHS = (1, 2, 4, 8)


def mutated(data, kind, pool, random):
    """A mutation of ``data``, as its kind of file allows; ``pool`` holds others to splice with."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = KINDS.get(kind, of_bytes)(data, pool, random)
    return data


def of_bytes(data, pool, random):
    """Change bytes without knowing what they mean."""
    data = bytearray(data)
    size = len(data)
    if not size:
        return bytes(random.choice(pool)) if pool else b"\0"
    at = random.randrange(size)
    length = min(random.choice((1, 2, 4, 8, 16, 64, 256, 1024)), size - at)
    choice = random.randrange(9)
    if choice == 0:
        data[at] ^= 1 << random.randrange(8)
    elif choice == 1:
        data[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
    elif choice == 2:
        del data[at : at + length]
    elif choice == 3:
        data[at:at] = data[at : at + length] * random.choice((1, 2, 50))
    elif choice == 4:
        width = random.choice(WIDTHS)
        bits = 8 * width
        value = random.choice((0, 1, (1 << (bits - 1)) - 1, 1 << (bits - 1), (1 << bits) - 1,
                               1 << (bits * 3 // 4), size))  # fmt: skip
        order = random.choice(("little", "big"))
        data[at : at + width] = (value % (1 << bits)).to_bytes(width, order)
    elif choice == 5:
        data[at : at + length] = random.randbytes(length)
    elif choice == 6:
        del data[at:]
    elif choice == 7 and pool:
        other = random.choice(pool)
        if other:
            begin = random.randrange(len(other))
            data[at:] = other[begin:]
    else:
        return of_text(bytes(data), pool, random)
    return bytes(data)


def of_text(data, pool, random):
    """Put another word in the place of a number, or anywhere."""
    found = list(NUMBER.finditer(data))
    word = random.choice(WORDS)
    if found and random.random() < 0.8:
        match = random.choice(found)
        return data[: match.start()] + word + data[match.end() :]
    lines = data.split(b"\n")
    if len(lines) > 1 and random.random() < 0.5:
        k = random.randrange(len(lines))
        lines[k:k] = [random.choice(lines)] * random.choice((1, 2, 20))
        return b"\n".join(lines)
    at = random.randrange(len(data) + 1)
    return data[:at] + word + data[at:]


def of_json(data, pool, random):
    """Change one place of a document, or its text."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, (dict, list)) or not document or random.random() < 0.2:
        return of_bytes(data, pool, random)
    node, key = document, None
    while isinstance(node, (dict, list)) and node:
        key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        parent, node = node, node[key]
        if random.random() < 0.3:
            break
    choice = random.randrange(4)
    if type(node) in (int, float) and choice:
        parent[key] = node * random.choice((0.5, 0.9, 1.1, 3, -1, 1e-6, 1e6)) + random.choice(
            (0, 1)
        )
    elif choice == 0:
        del parent[key]
    elif choice == 1 and isinstance(node, list):
        parent[key] = node * random.choice((0, 2, 30)) if len(node) < 200 else node[:1]
    else:
        parent[key] = random.choice(LEAVES)
    return json.dumps(document).encode()


def of_archive(data, pool, random):
    """Change a member, and pack it again; or the archive's own bytes."""
    content = members(data)
    if not content or random.random() < 0.15:
        return of_bytes(data, pool, random)
    packing = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    return pack(_changed(content, random), packing)


def of_bundle(data, pool, random):
    """Change a file of a folder."""
    content = members(data)
    return pack(_changed(content, random)) if content else of_bytes(data, pool, random)


def of_sealed(data, pool, random):
    """Change what lies behind the checksum, and make that right again."""
    if random.random() < 0.05:
        return of_bytes(data, pool, random)
    content = members(data)
    if not content or random.random() < 0.2:
        return resealed(of_bytes(data, pool, random))
    return seal(_changed(content, random))


def of_gzip(data, pool, random):
    """Change what is packed."""
    try:
        plain = gzip.decompress(data)
    except Exception:  # a damaged stream is mutated as bytes
        plain = None
    if plain is None or random.random() < 0.3:
        return of_bytes(data, pool, random)
    return gzip.compress(of_bytes(plain, [], random), mtime=0)


def _changed(content, random):
    content = dict(content)
    name = random.choice(list(content))
    choice = random.randrange(12)
    if choice == 0:
        del content[name]
    elif choice == 1:
        content[name] = content[random.choice(list(content))]
    elif name == "manifest.npy":
        content[name] = _manifest(content[name], random)
    elif name.endswith(".npy") and choice % 2:
        content[name] = of_values(content[name], random)
    else:
        inner = of_json if content[name][:1] in (b"{", b"[") else of_bytes
        # Most of what decides is said at the beginning: shapes, types.
        head = random.choice((128, len(content[name]), len(content[name])))
        content[name] = inner(content[name][:head], [], random) + content[name][head:]
    return content


def of_values(data, random):
    """Put other numbers into an array, in their places."""
    data = bytearray(data)
    begin = data.find(b"\n") + 1
    for _ in range(random.choice((1, 3, 40))):
        value = struct.pack(*random.choice(VALUES))
        at = begin + 4 * random.randrange(max(1, (len(data) - begin) // 4))
        data[at : at + len(value)] = value[: max(0, len(data) - at)]
    return bytes(data)


def _manifest(data, random):
    """Change the JSON in an array of bytes, and let its header say the new length."""
    begin = data.find(b"{", data.find(b"\n"))
    text = of_json(data[begin:], [], random)
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % len(text)
    header += b" " * (118 - len(header) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + text


KINDS = {
    "text": of_text, "json": of_json, "archive": of_archive, "bundle": of_bundle,
    "sealed": of_sealed, "gzip": of_gzip,
}  # fmt: skip
