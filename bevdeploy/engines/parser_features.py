"""What the ONNX parser of a TensorRT version can do, and what that means for an exported student.

Versions from NVIDIA's release notes and parser documents; none was run on a device here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class ParserFeature:
    """One feature, for one version of TensorRT."""

    name: str
    since: str | None
    """First version; None: in none so far."""
    holds: bool | None
    """None: no TensorRT was found."""
    consequence: str
    """What export and build make of it."""


_NO_NEED = "not used"
_FEATURES: tuple[tuple[str, str | None, str, str], ...] = (
    (
        "model-local functions",
        "9.0",
        "--pool native keeps the pool node's body of standard operators",
        "--pool native cannot work; bevdeploy needs TensorRT 10.3",
    ),
    (
        "a plugin goes before a local function of its name",
        "10.7",
        "--pool plugin leaves the body out all the same: one file for every version",
        "a file with both would run the body: --pool plugin leaves the body out",
    ),
    (
        "the node's domain is the plugin's namespace",
        "10.10",
        "the plugin is found as bevdeploy::BevPool",
        "the plugin is looked for in the empty namespace, so it has to be registered there",
    ),
    (
        "parsing from a proto in memory",
        "10.13",
        "not used: build hands over serialised bytes, which every version takes",
        "not needed: build hands over serialised bytes, which every version takes",
    ),
    ("plugins that override built-in operators", "10.15", _NO_NEED, _NO_NEED),
    ("DLA capability report", "10.15", "not used: the GPU runs the whole graph", "not used: the GPU runs all of it"),
    (
        "ScatterElements with a reduction",
        "10.0",
        "not used: the pool's body adds rows by gathers and sums",
        "not used: the pool's body adds rows by gathers and sums",
    ),
    ("GridSample in three dimensions", "11.2.1", "not used: heads sample in two", "not used: heads sample in two"),
    ("ScatterND with a reduction", None, "", "not used: the pool's body adds rows by gathers and sums"),
    ("Unique", None, "", "not used: index tables are computed on the host"),
    ("TopK of more than 3840", None, "", "students keep K, the boxes of a frame, far below"),
)


def parser_features(tensorrt: str | None) -> tuple[ParserFeature, ...]:
    """The features of a TensorRT version such as 10.3.0; None where there is no TensorRT."""
    have = None if tensorrt is None else version_numbers(tensorrt)
    found = []
    for name, since, with_it, without_it in _FEATURES:
        holds = None if have is None else since is not None and have >= version_numbers(since)
        found.append(ParserFeature(name, since, holds, with_it if holds else without_it))
    return tuple(found)


def version_numbers(text: str) -> tuple[int, ...]:
    """10.3.0.30 as (10, 3, 0, 30); what follows the numbers is left out."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
