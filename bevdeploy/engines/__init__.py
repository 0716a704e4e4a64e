"""Targets, budgets and benchmarks. A runner is handed in; nothing here knows a model."""

from bevdeploy.engines.bench import BenchSettings as BenchSettings
from bevdeploy.engines.bench import bench as bench
from bevdeploy.engines.bench_report import BenchReport as BenchReport
from bevdeploy.engines.budget import Verdict as Verdict
from bevdeploy.engines.budget import verdict as verdict
from bevdeploy.engines.target import Budget as Budget
from bevdeploy.engines.target import EngineTarget as EngineTarget
from bevdeploy.engines.target import load_target as load_target

__all__ = [
    "BenchReport",
    "BenchSettings",
    "Budget",
    "EngineTarget",
    "Verdict",
    "bench",
    "load_target",
    "verdict",
]
