"""Tokens: 32 hexadecimal digits, the same for the same names, others for others."""

from __future__ import annotations

import hashlib
import itertools
import re

from bevdeploy.data.world.tokens import token_of


def test_a_token_never_changes() -> None:
    content = b'["7", "sample", "scene-0061", "3"]'
    assert token_of(7, "sample", "scene-0061", 3) == hashlib.blake2b(content, digest_size=16).hexdigest()


def test_different_names_have_different_tokens() -> None:
    names = ["", "a", "b", "/", "a/b", "//", "a/", "/b", "1", 1.5]
    paths = [path for length in (1, 2, 3) for path in itertools.product(names, repeat=length)]
    tokens = {token_of(*path): path for path in paths}
    assert len(tokens) == len(paths)
    assert all(re.fullmatch("[0-9a-f]{32}", token) for token in tokens)
