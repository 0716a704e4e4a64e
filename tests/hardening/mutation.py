"""Damage to files, by a seeded generator: each function returns what it did in words, and the damaged bytes."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from typing import Any

Mutant = tuple[str, bytes]

NASTY_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    -0.0,
    10**9,
    2**31,
    2**63,
    2**64,
    10**400,
    -(10**400),
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    " ",
    "NaN",
    "\ud800",
    "車\u202e\u0000\x1b[31m",
    "../../../etc/passwd",
    "a\nb\n\nc",
    "x" * 100_000,
    "%s%n{0}",
    [],
    {},
    [[]],
    [None],
    [1e999, -1e999],
    {"a": {"b": {"c": 1}}},
)
NASTY_KEYS = ("", " ", "format", "__class__", "__init__", "车", "\ud800", "a\nb", "\x1b[2J", "self", "x" * 5000, "0")
NASTY_TOML = (
    "nan", "inf", "-inf", "-0.0", "1e999", "1e-999", "0", "-1", "9" * 400, "-" + "9" * 400, "9" * 5000, "1" + "0" * 308,
    "0x" + "f" * 6000, "0b" + "1" * 20_000, "true", '""', '" "', "''", '"\\u0000\\u001b[31m"', '"\\n\\n"', "[]", "{}",
    "[[[[]]]]", "{a = {b = 1}}", "1979-05-27T07:32:00Z", "07:32:00", "1979-05-27", '"' + "x" * 100_000 + '"', "'../..'",
    '"\\ud800"', '"車"', "[" * 300 + "]" * 300, "[" * 5000 + "]" * 5000, "[" * 5000, "1_000_000_000_000_000_000_000",
)  # fmt: skip


def damaged_bytes(rng: random.Random, content: bytes) -> Mutant:
    """One to three faults of a disk or a transfer; half of them near the ends, where formats keep their structure."""
    said = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        words, content = rng.choice((_flipped, _cut, _inserted, _deleted, _swapped, _overwritten))(rng, content)
        said.append(words)
    return "; ".join(said), content


def damaged_json(rng: random.Random, content: bytes) -> Mutant:
    """A document with one to three wrong places that is mostly still JSON, or damaged bytes of it."""
    if rng.random() < 0.25:
        return damaged_bytes(rng, content)
    document = json.loads(content)
    said = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        document, words = _changed(rng, document)
        said.append(words)
        if words.startswith("deep"):  # deeper than the next copy could recurse
            break
    text = json.dumps(document, ensure_ascii=rng.random() < 0.8)  # NaN and Infinity as Python writes them
    if rng.random() < 0.1:
        said.append("1e999 for a number")
        text = text.replace("1", "1e999", 1)
    if rng.random() < 0.1:
        twice = rng.choice(("format", "cameras", "inputs", "io", "plan", "backend", "flags"))
        said.append(f"{twice!r} twice")
        text = text.replace("{", f'{{"{twice}": {json.dumps(rng.choice(NASTY_VALUES[:20]))}, ', 1)
    if rng.random() < 0.05:
        said.append("a number of 5000 digits")
        text = text.replace("0", "9" * 5000, 1)
    return "; ".join(said), text.encode("utf-8", "surrogatepass")


def damaged_toml(rng: random.Random, content: bytes) -> Mutant:
    """Values, keys and tables of a TOML file replaced line by line, or damaged bytes of it."""
    if rng.random() < 0.25:
        return damaged_bytes(rng, content)
    lines = content.decode().splitlines()
    said = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        row = rng.choice([k for k, line in enumerate(lines) if line.strip()] or [0])
        key, equals, value = lines[row].partition("=")
        how = rng.choice(("value", "value", "value", "value", "key", "twice", "gone", "table", "moved"))
        if how == "value" and equals:
            new = rng.choice(NASTY_TOML)
            lines[row] = f"{key}= {new}"
        elif how == "key" and equals:
            lines[row] = f"{json.dumps(rng.choice(NASTY_KEYS[:10]), ensure_ascii=True)} ={value}"
        elif how == "twice":
            lines.insert(row, lines[row])
        elif how == "gone":
            del lines[row]
        elif how == "table":
            lines.insert(row, rng.choice(("[x]", "[[gates]]", "[budget]", "[a.b.c]", "[" + "a." * 2000 + "a]", "[]")))
        else:
            lines.insert(rng.randrange(len(lines) + 1), lines.pop(row))
        said.append(f"{how} of line {row}: {lines[row][:60] if row < len(lines) else ''!r}")
        lines = lines or [""]
    return "; ".join(said), "\n".join(lines).encode("utf-8", "surrogatepass")


def damaged_zip(rng: random.Random, content: bytes) -> Mutant:
    """An archive with right checksums of wrong records: what the reader behind the checksums must stand."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = [(info.filename, archive.read(info)) for info in archive.infolist()]
    said, method = [], zipfile.ZIP_STORED
    pickle = next(k for k, (name, _) in enumerate(records) if name.endswith("data.pkl"))
    for _ in range(rng.choice((1, 1, 2))):
        how = rng.choice(
            ("pickle", "pickle", "pickle", "record", "gone", "name", "empty", "longer", "deflated", "both")
        )
        row = pickle if how == "pickle" else rng.randrange(len(records))
        name, data = records[row]
        if how in ("pickle", "record"):
            words, data = damaged_bytes(rng, data)
            records[row] = name, data
            how = f"{how}: {words}"
        elif how == "gone" and len(records) > 1 and row != pickle:
            del records[row]
            pickle = next(k for k, (other, _) in enumerate(records) if other.endswith("data.pkl"))
        elif how == "name":
            records[row] = name + rng.choice(("x", "/../../x", "\x00", "ü")), data
            pickle = 0 if row == pickle else pickle
        elif how == "empty":
            records[row] = name, b""
        elif how == "longer":
            records[row] = name, data + rng.randbytes(rng.randrange(1, 5000))
        elif how == "deflated":
            method = zipfile.ZIP_DEFLATED
        elif how == "both":
            records.append((f"{name}.twin", data))
        said.append(f"{how} of {name}")
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, data in records:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return "; ".join(said), written.getvalue()


def _place(rng: random.Random, size: int) -> int:
    near = rng.random()
    if near < 0.3:
        return rng.randrange(min(size, 4096))
    return size - 1 - rng.randrange(min(size, 20_000)) if near < 0.6 else rng.randrange(size)


def _flipped(rng: random.Random, content: bytes) -> Mutant:
    damaged = bytearray(content or b"\0")
    places = [_place(rng, len(damaged)) for _ in range(rng.choice((1, 1, 2, 16)))]
    for place in places:
        damaged[place] ^= 1 << rng.randrange(8)
    return f"bits flipped at {places}", bytes(damaged)


def _cut(rng: random.Random, content: bytes) -> Mutant:
    length = _place(rng, len(content) or 1)
    return f"cut to {length} bytes", content[:length]


def _inserted(rng: random.Random, content: bytes) -> Mutant:
    place, noise = _place(rng, len(content) or 1), rng.randbytes(rng.choice((1, 2, 7, 300)))
    return f"{len(noise)} bytes inserted at {place}", content[:place] + noise + content[place:]


def _deleted(rng: random.Random, content: bytes) -> Mutant:
    place, count = _place(rng, len(content) or 1), rng.choice((1, 2, 7, 300))
    return f"{count} bytes deleted at {place}", content[:place] + content[place + count :]


def _swapped(rng: random.Random, content: bytes) -> Mutant:
    block = rng.choice((1, 16, 512))
    first, second = sorted((_place(rng, len(content) or 1), _place(rng, len(content) or 1)))
    a, b = content[first : first + block], content[second : second + block]
    if first + block <= second:
        content = content[:first] + b + content[first + block : second] + a + content[second + block :]
    return f"blocks of {block} swapped at {first} and {second}", content


def _overwritten(rng: random.Random, content: bytes) -> Mutant:
    place, filler = (
        _place(rng, len(content) or 1),
        rng.choice((b"\0", b"\xff", b"\x80", b"[", b"{")) * rng.choice((1, 4, 64)),
    )
    return f"{len(filler)} times {filler[:1]!r} at {place}", content[:place] + filler + content[place + len(filler) :]


def _changed(rng: random.Random, document: Any) -> tuple[Any, str]:
    document = copy.deepcopy(document)
    holders = _places(document)
    if rng.random() < 0.6:  # a file is mostly numbers in lists; its keys would hardly ever be hit
        holders = [(owner, key) for owner, key in holders if isinstance(owner, dict)] or holders
    if not holders:
        return document, "nothing"
    owner, key = rng.choice(holders)
    how = rng.choice(("value", "value", "value", "type", "deep", "renamed", "gone", "more", "again"))
    if how == "value":
        owner[key] = copy.deepcopy(rng.choice(NASTY_VALUES))
    elif how == "type":
        value = owner[key]
        owner[key] = rng.choice((str(value), [value], {"value": value}, bool(value)))
    elif how == "deep":
        depth = rng.choice((3, 150, 400, 700))
        for _ in range(depth):
            owner[key] = [owner[key]]
        how = f"deep {depth}"
    elif how == "renamed" and isinstance(owner, dict):
        owner[rng.choice(NASTY_KEYS)] = owner.pop(key)
    elif how == "more" and isinstance(owner, dict):
        owner[rng.choice(NASTY_KEYS)] = copy.deepcopy(rng.choice(NASTY_VALUES))
    elif how == "again" and isinstance(owner, list):
        owner.append(copy.deepcopy(owner[key]))
    else:
        del owner[key]
    return document, f"{how} at {str(key)[:30]!r}"


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every owner and key below a document; not deeper than Python recurses."""
    found, left = [], [document]
    while left:
        owner = left.pop()
        for key, value in owner.items() if isinstance(owner, dict) else enumerate(owner):
            found.append((owner, key))
            if isinstance(value, dict | list):
                left.append(value)
    return found
