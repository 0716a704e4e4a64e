"""The manifest of a plan: what it was built from, with what and for what, as JSON beside it.

A plan runs only under the very library and GPU that it was built for, and says so badly, or not at all. The manifest
is compared before a plan is handed to the library, so that a plan of another board, plugin or export is refused with
the command that builds the right one. It holds no date: the same build differs in nothing but the plan's digest.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from bevdeploy.errors import EngineError
from bevdeploy.paths import write_text

MANIFEST_FORMAT = "bevdeploy.manifest/1"

PlanBackend = Literal["tensorrt", "tensorrt_rtx"]
Pool = Literal["native", "plugin"]
LIBRARY_NAMES: dict[PlanBackend, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}


@dataclass(frozen=True)
class EngineManifest:
    """Everything that decides whether a plan may be run here."""

    plan: str
    """File name."""
    plan_sha256: str
    onnx: str
    """File name of the graph."""
    onnx_sha256: str
    contract_digest: str
    rig_digest: str | None
    """Digest of the rig that is baked in; None with runtime geometry."""
    target: str
    """Name of the target profile, or the path of its file as it was given."""
    backend: PlanBackend
    library_version: str
    cuda_version: str | None
    """Of the driver of the machine that built; None where there was none."""
    compute_capabilities: tuple[int, ...]
    """87 is 8.7; empty: every one that TensorRT-RTX serves."""
    pool: Pool
    plugin_sha256: str | None
    """Of the plugin library; None with the native pool."""
    precision: str
    flags: tuple[str, ...]
    """What was asked of the builder: `strongly_typed`, `tf32`, `workspace_mib=4096`."""
    bevdeploy_version: str

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"format": MANIFEST_FORMAT, **plain}

    def save(self, path: Path) -> None:
        """Write the JSON file.

        Raises:
            OutputError: the file cannot be written.
        """
        write_text(path, self.text())

    def text(self) -> str:
        """The JSON file's content."""
        return json.dumps(self.document(), indent=1) + "\n"

    def rebuild_command(self, plan: Path) -> str:
        """The command that builds the plan again, from the ONNX file beside it."""
        graph = plan.with_name(self.onnx)
        words = ["bevdeploy", "build", str(graph), "-t", self.target]
        if self.pool != "native":
            words += ["--pool", self.pool]
        if "tf32" in self.flags:
            words.append("--tf32")
        if plan != plan_path(graph, Path(self.target).stem, self.precision):
            words += ["-o", str(plan)]
        return shlex.join(words)


def plan_path(graph: Path, target: str, precision: str) -> Path:
    """`s.fp32.onnx` for the target rtx becomes `s.rtx.fp32.plan` beside it."""
    return graph.with_name(f"{graph.name.split('.')[0]}.{target}.{precision}.plan")


def manifest_path(plan: Path) -> Path:
    """`s.rtx.fp32.plan` has `s.rtx.fp32.plan.manifest.json` beside it."""
    return plan.with_name(f"{plan.name}.manifest.json")


def load_manifest(path: Path) -> EngineManifest:
    """The manifest of a file.

    Raises:
        EngineError: the file is missing, is not a manifest, or contradicts itself.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EngineError(
            f"{path}: missing; a plan runs only beside its manifest. Keep the two together, "
            "or write them again: bevdeploy build ONNX -t TARGET"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise EngineError(f"{path}: cannot be read as a manifest ({error})") from error
    if not isinstance(document, dict) or document.get("format") != MANIFEST_FORMAT:
        raise EngineError(f'{path}: not a manifest: "format" must be "{MANIFEST_FORMAT}"')
    try:
        return _manifest_from_document(document)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"missing key {error}" if isinstance(error, KeyError) else error
        raise EngineError(
            f"{path}: damaged manifest ({reason}); write it again: bevdeploy build ONNX -t TARGET"
        ) from error


def check_manifest(
    manifest: EngineManifest,
    plan: Path,
    content: bytes,
    *,
    backend: PlanBackend,
    library_version: str,
    sm: int | None,
    contract_digest: str | None = None,
    plugin_sha256: str | None = None,
    rig_digest: str | None = None,
) -> None:
    """Refuse a plan that was not built for this machine, this contract or this rig.

    Args:
        manifest: what `load_manifest` read.
        plan: the plan's path, for the message.
        content: the plan's bytes.
        backend: the library that is to run it.
        library_version: that library's.
        sm: compute capability of the GPU, 87 for 8.7; None is not compared.
        contract_digest: of the contract that the caller goes by; None is not compared.
        plugin_sha256: of the plugin library that is loaded.
        rig_digest: of the caller's rig, compared where one is baked in; None is not compared.

    Raises:
        EngineError: everything that differs, one per line, and the command that builds the plan again.
    """
    differing: list[str] = []

    def same(what: str, built: object, here: object) -> None:
        if built != here:
            differing.append(f"{what}: built with {built}, here {here}")

    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.plan_sha256:
        differing.append(f"plan: SHA-256 {digest[:12]}, the manifest is of a plan {manifest.plan_sha256[:12]}")
    if backend != manifest.backend:
        same("library", LIBRARY_NAMES[manifest.backend], LIBRARY_NAMES[backend])
    else:
        same(f"{LIBRARY_NAMES[backend]} version", manifest.library_version, library_version)
    if sm is not None and manifest.compute_capabilities and sm not in manifest.compute_capabilities:
        same("compute capability", ", ".join(map(str, manifest.compute_capabilities)), sm)
    if contract_digest is not None:
        same("contract", manifest.contract_digest[:12], contract_digest[:12])
    if manifest.pool == "plugin":
        same("plugin library", _short(manifest.plugin_sha256), _short(plugin_sha256))
    if rig_digest is not None and manifest.rig_digest is not None:
        same("baked rig", manifest.rig_digest[:12], rig_digest[:12])
    if differing:
        listed = "".join(f"\n  {difference}" for difference in differing)
        raise EngineError(
            f"{plan}: not built for this machine and export:{listed}\nBuild it here: {manifest.rebuild_command(plan)}"
        )


def _manifest_from_document(document: Mapping[str, Any]) -> EngineManifest:
    names = {field.name for field in fields(EngineManifest)}
    unknown = set(document) - names - {"format"}
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    backend: PlanBackend = _one_of(document, "backend", get_args(PlanBackend))
    pool: Pool = _one_of(document, "pool", get_args(Pool))
    plugin = _sha256(document, "plugin_sha256") if document["plugin_sha256"] is not None else None
    if (pool == "plugin") != (plugin is not None):
        raise ValueError(f"pool {pool} and plugin_sha256 {plugin} contradict each other")
    capabilities = document["compute_capabilities"]
    if not isinstance(capabilities, list) or not all(type(sm) is int and sm > 0 for sm in capabilities):
        raise ValueError(f"compute_capabilities: expected a list such as [87], got {capabilities!r}")
    flags = document["flags"]
    if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
        raise ValueError(f"flags: expected a list of texts, got {flags!r}")
    return EngineManifest(
        plan=_file_name(document, "plan"),
        plan_sha256=_sha256(document, "plan_sha256"),
        onnx=_file_name(document, "onnx"),
        onnx_sha256=_sha256(document, "onnx_sha256"),
        contract_digest=_sha256(document, "contract_digest"),
        rig_digest=_text(document, "rig_digest") if document["rig_digest"] is not None else None,
        target=_text(document, "target"),
        backend=backend,
        library_version=_text(document, "library_version"),
        cuda_version=_text(document, "cuda_version") if document["cuda_version"] is not None else None,
        compute_capabilities=tuple(capabilities),
        pool=pool,
        plugin_sha256=plugin,
        precision=_text(document, "precision"),
        flags=tuple(flags),
        bevdeploy_version=_text(document, "bevdeploy_version"),
    )


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document[key]
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{key}: expected a text, got {value!r}")
    return value


def _sha256(document: Mapping[str, Any], key: str) -> str:
    value = _text(document, key)
    if re.fullmatch(r"[0-9a-f]{64}", value) is None:
        raise ValueError(f"{key}: expected 64 hexadecimal digits, got {value!r}")
    return value


def _file_name(document: Mapping[str, Any], key: str) -> str:
    value = _text(document, key)
    if value in (".", "..") or Path(value).name != value:
        raise ValueError(f"{key}: expected a file name without folders, got {value!r}")
    return value


def _one_of(document: Mapping[str, Any], key: str, values: tuple[Any, ...]) -> Any:
    value = document[key]
    if value not in values:
        raise ValueError(f"{key}: expected {' or '.join(values)}, got {value!r}")
    return value


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:12]
