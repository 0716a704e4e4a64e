"""Checkpoint to ONNX: the traced graph, its contract and the proof that it equals PyTorch."""

from bevdeploy.export.onnx_export import ParityCase as ParityCase
from bevdeploy.export.onnx_export import StudentGraph as StudentGraph
from bevdeploy.export.onnx_export import graph_of_student as graph_of_student
from bevdeploy.export.onnx_export import parity_of_graph as parity_of_graph
from bevdeploy.export.onnx_export import write_export as write_export
from bevdeploy.export.recipe import ExportRecipe as ExportRecipe
from bevdeploy.export.recipe import load_recipe as load_recipe
from bevdeploy.export.torch_runner import TorchRunner as TorchRunner

__all__ = [
    "ExportRecipe",
    "ParityCase",
    "StudentGraph",
    "TorchRunner",
    "graph_of_student",
    "load_recipe",
    "parity_of_graph",
    "write_export",
]
