"""`bevdeploy build`: an exported ONNX file to a plan for a target, with its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bevdeploy import __version__
from bevdeploy.engines.gpu import Gpu, gpu
from bevdeploy.engines.onnx_variant import onnx_metadata, without_pool_body
from bevdeploy.engines.target import EngineTarget, load_target, target_names
from bevdeploy.engines.tensorrt_build import BuiltPlan, build_plan, check_builder
from bevdeploy.errors import ContractError, EngineError, MissingDependencyError
from bevdeploy.jobs.plan_parity import parity_of_plan
from bevdeploy.paths import check_writable, replacing
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY, Contract, contract_path, load_contract
from bevdeploy.runtime.manifest import EngineManifest, PlanBackend, Pool, manifest_path, plan_path
from bevdeploy.runtime.onnx_runner import PRECISION_KEY
from bevdeploy.runtime.parity import ParityReport
from bevdeploy.runtime.tensorrt_library import TensorRTLibrary, tensorrt_library

BACKENDS: dict[str, PlanBackend] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt_rtx"}


@dataclass(frozen=True)
class BuildOptions:
    """What the command line may change."""

    pool: Pool = "native"
    tf32: bool = False


@dataclass(frozen=True)
class BuildReport:
    """What was written, and what it was built with."""

    plan: Path
    manifest_file: Path
    library: str
    """TensorRT or TensorRT-RTX."""
    plan_bytes: int
    layers: int
    """Of the parsed network, before fusion."""
    seconds: float
    manifest: EngineManifest
    parity: ParityReport | None
    """Plan against ONNX file; None where it could not be run, and a note says why."""
    notes: tuple[str, ...]
    """What the reader of the report should know."""

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "plan": str(self.plan),
            "manifest_file": str(self.manifest_file),
            "library": self.library,
            "plan_bytes": self.plan_bytes,
            "layers": self.layers,
            "seconds": round(self.seconds, 3),
            "manifest": self.manifest.document(),
            "parity": None if self.parity is None else self.parity.document(),
            "notes": list(self.notes),
        }


def build_engine(
    graph: Path,
    target_name: str,
    output: Path | None = None,
    options: BuildOptions = BuildOptions(),
    advance: Callable[[str], None] = lambda stage: None,
) -> BuildReport:
    """Build a plan; plan, manifest and contract appear when all are complete.

    Args:
        graph: the ONNX file, its contract beside it.
        target_name: name or file of a target profile with a TensorRT backend.
        output: the plan; `NAME.TARGET.PRECISION.plan` beside the graph without.
        options: pool and flags.
        advance: told each stage.

    Raises:
        RecipeError: the target profile cannot be used.
        EngineError: the target is none of TensorRT's, the file is no ONNX file, or library, machine and target do not
            fit together, or parser or builder refused the graph.
        ContractError: the contract is missing, damaged or of another export.
        MissingDependencyError: the library is not installed.
        OutputError: a file cannot be written.
    """
    target = load_target(target_name)
    backend = BACKENDS.get(target.backend)
    if backend is None:
        raise EngineError(
            f"target {target.name} runs {target.backend}, which needs no plan: bevdeploy bench --engine {graph} "
            f"-t {target_name}; targets with a plan are {', '.join(_plan_targets())}"
        )
    advance("reading the graph")
    model = _read(graph)
    metadata = _metadata(graph, model)
    contract = _contract_of(graph, metadata)
    variant = model if options.pool == "native" else _plugin_variant(graph, model)
    plan = output or plan_path(graph, target.name, metadata.get(PRECISION_KEY, "fp32"))
    _check_output(plan, graph, contract)
    device = gpu()
    library = _library_for(target, backend, device)
    check_builder(target, library, device)
    cache = plan.with_suffix(".timing")
    advance(f"starting {library.name} {library.version}")
    built = build_plan(
        variant,
        contract,
        target,
        library,
        device,
        tf32=options.tf32,
        timing_cache=cache.read_bytes() if library.backend == "tensorrt" and cache.is_file() else b"",
        advance=advance,
    )
    manifest = EngineManifest(
        plan=plan.name,
        plan_sha256=hashlib.sha256(built.content).hexdigest(),
        onnx=graph.name,
        onnx_sha256=hashlib.sha256(model).hexdigest(),
        contract_digest=contract.digest(),
        rig_digest=contract.rig_digest,
        target=target.name if target_name in target_names() else target_name,
        backend=backend,
        library_version=library.version,
        cuda_version=None if device is None else device.cuda_version,
        compute_capabilities=built.compute_capabilities,
        pool=options.pool,
        plugin_sha256=None,
        precision=metadata.get(PRECISION_KEY, "fp32"),
        flags=built.flags,
        bevdeploy_version=__version__,
    )
    advance("writing")
    _write(plan, built, manifest, contract, cache)
    notes = []
    parity = None
    if device is None:
        notes.append("parity not run: this machine has no NVIDIA driver, and a plan runs on its GPU only")
    else:
        outcome = parity_of_plan(plan, graph, contract, manifest.precision, advance)
        if isinstance(outcome, ParityReport):
            parity = outcome
        else:
            notes.append(outcome)
    if manifest.precision != target.precision:
        notes.append(f"the graph is {manifest.precision}, target {target.name} is meant to run {target.precision}")
    return BuildReport(
        plan,
        manifest_path(plan),
        library.name,
        len(built.content),
        built.layers,
        built.seconds,
        manifest,
        parity,
        tuple(notes),
    )


def _library_for(target: EngineTarget, backend: PlanBackend, device: Gpu | None) -> TensorRTLibrary:
    try:
        return tensorrt_library(backend)
    except MissingDependencyError as error:
        if backend == "tensorrt_rtx" or target.sm is None or (device is not None and device.sm == target.sm):
            raise
        raise MissingDependencyError(
            f"{error}\nIt would not serve {target.name}, though: a plan for compute capability {target.sm} is built on "
            "the device. Copy the ONNX file and its contract there, and run this command; what can be tried here is "
            "-t rtx"
        ) from error


def _plan_targets() -> list[str]:
    return [name for name in target_names() if load_target(name).backend in BACKENDS]


def _read(graph: Path) -> bytes:
    try:
        return graph.read_bytes()
    except FileNotFoundError as error:
        raise EngineError(f"{graph}: no such ONNX file; write one: bevdeploy export CHECKPOINT") from error
    except OSError as error:
        raise EngineError(f"{graph}: cannot be read ({error.strerror or error})") from error


def _metadata(graph: Path, model: bytes) -> dict[str, str]:
    try:
        return onnx_metadata(model)
    except EngineError as error:
        raise EngineError(f"{graph}: {error}; write it again: bevdeploy export CHECKPOINT") from error


def _contract_of(graph: Path, metadata: dict[str, str]) -> Contract:
    digest = metadata.get(CONTRACT_DIGEST_KEY)
    if digest is None:
        raise EngineError(
            f"{graph}: not exported by bevdeploy (no {CONTRACT_DIGEST_KEY!r} in its metadata); "
            "write it again: bevdeploy export CHECKPOINT"
        )
    beside = contract_path(graph)
    contract = load_contract(beside)
    if digest != contract.digest():
        raise ContractError(
            f"{graph} and {beside.name} are of different exports (digests {digest[:12]} and "
            f"{contract.digest()[:12]}); keep the files of one export together, or export again"
        )
    return contract


def _plugin_variant(graph: Path, model: bytes) -> bytes:
    try:
        without_pool_body(model)
    except EngineError as error:
        raise EngineError(f"{graph}: {error}") from error
    raise EngineError(
        "--pool plugin needs the BEV-pool plugin library, and this version of bevdeploy has none yet; it will come "
        "with a later version. Build with the graph's own pool: --pool native"
    )


def _check_output(plan: Path, graph: Path, contract: Contract) -> None:
    """The contract goes where the plan goes, and replaces no other export's; nor does the plan replace its source."""
    check_writable(plan)
    if plan.resolve() == graph.resolve():
        raise EngineError(f"{plan}: the plan would replace the ONNX file; name another file: -o NAME.plan")
    if plan.suffix != ".plan":
        raise EngineError(f"{plan}: the name of a plan ends in .plan; give another with -o")
    beside = contract_path(plan)
    if beside.exists() and load_contract(beside).digest() != contract.digest():
        raise ContractError(
            f"{beside} is of another export than {graph}; write the plan elsewhere, or under another name (-o)"
        )


def _write(plan: Path, built: BuiltPlan, manifest: EngineManifest, contract: Contract, cache: Path) -> None:
    with ExitStack() as renamed_last:  # all are on disk before the first takes its name
        renamed_last.enter_context(replacing(plan)).write_bytes(built.content)
        renamed_last.enter_context(replacing(manifest_path(plan))).write_text(manifest.text(), encoding="utf-8")
        if not contract_path(plan).exists():
            text = json.dumps(contract.document(), indent=1) + "\n"
            renamed_last.enter_context(replacing(contract_path(plan))).write_text(text, encoding="utf-8")
        if built.timing_cache:
            renamed_last.enter_context(replacing(cache)).write_bytes(built.timing_cache)
