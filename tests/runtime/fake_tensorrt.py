"""TensorRT without a GPU: the Python interface of 10.3.0 and of 11.1, computing with ONNX Runtime on the fake GPU.

A plan of this library is an ONNX file behind a magic word. What a name takes and gives is after `pyCore.cpp` of both
versions; `DOCUMENTED` are the names that both have. Arguments are as strict as the real binding's; so are TensorRT's
rules: addresses on 256 bytes in memory that is large enough, no default stream, no run without a current context.
"""

from __future__ import annotations

import enum
import json
import weakref
from types import ModuleType
from typing import Any

import numpy as np

MAGIC = b"ftrt"
COMPUTE_MS = 5.0

DOCUMENTED = {
    "ILogger": {"log"},
    "IProfiler": {"report_layer_time"},
    "Runtime": {"deserialize_cuda_engine", "logger", "max_threads", "error_recorder", "get_plugin_registry"},
    "ICudaEngine": {
        "create_engine_inspector",
        "create_execution_context",
        "device_memory_size_v2",
        "get_tensor_dtype",
        "get_tensor_format",
        "get_tensor_location",
        "get_tensor_mode",
        "get_tensor_name",
        "get_tensor_shape",
        "is_shape_inference_io",
        "name",
        "num_io_tensors",
        "num_layers",
        "num_optimization_profiles",
        "profiling_verbosity",
        "serialize",
    },
    "IExecutionContext": {
        "enqueue_emits_profile",
        "engine",
        "execute_async_v3",
        "execute_v2",
        "get_tensor_address",
        "get_tensor_shape",
        "infer_shapes",
        "name",
        "profiler",
        "report_to_profiler",
        "set_input_shape",
        "set_tensor_address",
    },
    "EngineInspector": {"execution_context", "get_engine_information", "get_layer_information"},
}
"""Of the names in both 10.3.0 and 11.1, those that have to do with running a plan."""
DTYPES = {
    "tensor(float)": "FLOAT",
    "tensor(float16)": "HALF",
    "tensor(int8)": "INT8",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(uint8)": "UINT8",
    "tensor(bool)": "BOOL",
}


def plan_of(graph: bytes) -> bytes:
    """What the fake library can load."""
    return MAGIC + graph


class Dims:
    """No tuple: it has a length and items, as the binding's."""

    def __init__(self, sizes: Any) -> None:
        self._sizes = tuple(sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, n: int) -> int:
        return self._sizes[n]


def of_type(value: Any, kind: type) -> Any:
    """pybind11 takes an argument of its declared type, or raises TypeError."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"incompatible function arguments: expected {kind.__name__}, got {value!r}")
    return value


def tensorrt_module(gpu: Any, version: str, *, detailed: bool = False, name: str = "tensorrt") -> ModuleType:
    """`tensorrt` or `tensorrt_rtx` for `sys.modules`.

    `module.refuse_enqueue` and `module.no_memory` make it fail; `module.alive` holds its engines and contexts.
    """
    module = ModuleType(name)
    module.__version__ = version
    module.refuse_enqueue = module.no_memory = False
    module.alive = weakref.WeakSet()

    class Severity(enum.IntEnum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class ILogger:
        Severity: Any

        def __init__(self) -> None:
            self._is_native = True

    ILogger.Severity = Severity
    for severity in Severity:
        setattr(ILogger, severity.name, severity)

    class IProfiler:
        def __init__(self) -> None:
            self._is_native = True

    class DataType(enum.Enum):
        FLOAT, HALF, INT8, INT32, INT64, UINT8, BOOL, BF16 = range(8)

    class TensorIOMode(enum.Enum):
        NONE, INPUT, OUTPUT = range(3)

    class TensorLocation(enum.Enum):
        DEVICE, HOST = range(2)

    class LayerInformationFormat(enum.Enum):
        ONELINE, JSON = range(2)

    numpy_types = {
        DataType.FLOAT: np.float32,
        DataType.HALF: np.float16,
        DataType.INT8: np.int8,
        DataType.INT32: np.int32,
        DataType.INT64: np.int64,
        DataType.UINT8: np.uint8,
        DataType.BOOL: np.bool_,
    }

    def nptype(trt_type: DataType) -> type:
        if trt_type in numpy_types:
            return numpy_types[trt_type]
        raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            of_type(logger, ILogger)
            assert getattr(logger, "_is_native", False), "a logger must call ILogger.__init__ itself"
            self._logger = logger
            gpu.calls.append("Runtime")

        def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine | None:
            gpu.calls.append("deserialize")
            assert gpu.contexts, "TensorRT would load the engine on a device of its own choice"
            content = bytes(memoryview(serialized_engine))
            self._logger.log(Severity.INFO, f"Loaded engine size: {len(content) >> 20} MiB")
            if not content.startswith(MAGIC):
                self._logger.log(Severity.ERROR, "Error Code 1: Serialization (magicTag\n failed)")
                return None
            return ICudaEngine(content.removeprefix(MAGIC), self._logger)

    class ICudaEngine:
        def __init__(self, graph: bytes, logger: ILogger) -> None:
            import onnx
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            self._inputs, self._outputs = self._session.get_inputs(), self._session.get_outputs()
            self._nodes = [(node.name, node.op_type) for node in onnx.load_from_string(graph).graph.node]
            self._logger = logger
            module.alive.add(self)

        @property
        def num_io_tensors(self) -> int:
            return len(self._inputs) + len(self._outputs)

        def get_tensor_name(self, index: int) -> str:
            return [*self._inputs, *self._outputs][of_type(index, int)].name

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            self._tensor(name)
            return TensorIOMode.INPUT if name in {each.name for each in self._inputs} else TensorIOMode.OUTPUT

        def get_tensor_shape(self, name: str) -> Dims:
            return Dims(size if isinstance(size, int) else -1 for size in self._tensor(name).shape)

        def get_tensor_dtype(self, name: str) -> DataType:
            return DataType[DTYPES[self._tensor(name).type]]

        def get_tensor_location(self, name: str) -> TensorLocation:
            self._tensor(name)
            return TensorLocation.DEVICE

        def create_execution_context(self) -> IExecutionContext | None:
            assert gpu.contexts, "an execution context allocates memory in the current context"
            if module.no_memory:
                self._logger.log(Severity.ERROR, "Error Code 2: OutOfMemory (Requested size was 1 bytes.)")
                return None
            return IExecutionContext(self)

        def create_engine_inspector(self) -> EngineInspector:
            return EngineInspector(self)

        def _tensor(self, name: str) -> Any:
            (tensor,) = [each for each in (*self._inputs, *self._outputs) if each.name == of_type(name, str)]
            return tensor

    class IExecutionContext:
        def __init__(self, engine: ICudaEngine) -> None:
            self._engine = engine
            self._addresses: dict[str, int] = {}
            self._profiler: IProfiler | None = None
            module.alive.add(self)

        @property
        def profiler(self) -> IProfiler | None:
            return self._profiler

        @profiler.setter
        def profiler(self, profiler: IProfiler | None) -> None:
            assert profiler is None or of_type(profiler, IProfiler)._is_native, "IProfiler.__init__ was not called"
            self._profiler = profiler

        def set_tensor_address(self, name: str, memory: int) -> bool:
            of_type(name, str), of_type(memory, int)
            tensors = {each.name: each for each in (*self._engine._inputs, *self._engine._outputs)}
            if name not in tensors:
                self._engine._logger.log(Severity.ERROR, f"Error Code 3: API Usage Error (no tensor {name})")
                return False
            dtype = numpy_types[DataType[DTYPES[tensors[name].type]]]
            size = int(np.prod(tensors[name].shape)) * np.dtype(dtype).itemsize
            assert memory % 256 == 0 and len(gpu.memory[memory]) >= size, f"{name}: {size} bytes at {memory:#x}"
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert gpu.contexts, "no current context"
            assert of_type(stream_handle, int) != 0, "on the default stream TensorRT waits for the device"
            gpu.calls.append("execute")
            engine = self._engine
            missing = {each.name for each in (*engine._inputs, *engine._outputs)} - set(self._addresses)
            if module.refuse_enqueue or missing:
                engine._logger.log(Severity.ERROR, f"Error Code 3: API Usage Error (no address of {sorted(missing)})")
                return False
            gpu.streams[stream_handle].queue.append(self._compute)
            if self._profiler is not None:  # enqueue_emits_profile is True by default: it waits
                gpu.streams[stream_handle].synchronize()
                for n, (node, _) in enumerate(engine._nodes):
                    self._profiler.report_layer_time(node, 0.25 * (n + 1))
            return True

        def _compute(self) -> None:
            engine = self._engine
            feeds = {}
            for tensor in engine._inputs:
                dtype = np.dtype(numpy_types[DataType[DTYPES[tensor.type]]])
                memory = gpu.memory[self._addresses[tensor.name]]
                size = int(np.prod(tensor.shape)) * dtype.itemsize
                feeds[tensor.name] = memory[:size].view(dtype).reshape(tensor.shape)
            for tensor, array in zip(engine._outputs, engine._session.run(None, feeds), strict=True):
                found = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
                gpu.memory[self._addresses[tensor.name]][: len(found)] = found
            gpu.clock_ms += COMPUTE_MS

    class EngineInspector:
        def __init__(self, engine: ICudaEngine) -> None:
            self._engine = engine

        def get_engine_information(self, format: LayerInformationFormat) -> str:
            assert of_type(format, LayerInformationFormat) is LayerInformationFormat.JSON
            nodes = self._engine._nodes
            layers: list[Any] = [name for name, _ in nodes]
            if detailed:
                layers = [{"Name": name, "LayerType": kind} for name, kind in nodes]
            return json.dumps({"Layers": layers, "Bindings": []})

    kinds = (ILogger, IProfiler, DataType, TensorIOMode, TensorLocation, LayerInformationFormat, nptype)
    for each in (*kinds, Runtime, ICudaEngine, IExecutionContext, EngineInspector):
        setattr(module, each.__name__, each)
    return module
