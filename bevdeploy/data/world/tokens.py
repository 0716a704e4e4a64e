"""Tokens of table rows: 32 hexadecimal digits that follow from the row's name alone."""

from __future__ import annotations

import hashlib
import json


def token_of(*names: object) -> str:
    """Token of what these names lead to: `token_of(seed, "sample", "scene-0061", 3)`."""
    path = json.dumps([str(name) for name in names])
    return hashlib.blake2b(path.encode(), digest_size=16).hexdigest()
