#include "tensor_call.h"

namespace bevdeploy {

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

namespace {

enum Input { kDepth, kFeat, kRowDepth, kRowFeat, kSum1, kSum2, kCellRow };

// The vector axis is the third from the end in every format below.
int32_t vector_axis(const PluginTensorDesc& tensor) {
  return static_cast<int32_t>(tensor.dims.d[tensor.dims.nbDims - 3]);
}

int32_t up(int32_t value, int32_t to) { return (value + to - 1) / to * to; }

// Size of an axis counted from the end, 1 being the last; an int32 of what fits, 0 of what does not.
int32_t axis(const Dims& dims, int32_t from_end) {
  const int64_t size = dims.d[dims.nbDims - from_end];
  return size > 0 && size < int64_t(1) << 31 ? static_cast<int32_t>(size) : 0;
}

}  // namespace

int32_t vector_of(const PluginTensorDesc& tensor) {
  if (tensor.dims.nbDims < 3) return tensor.format == TensorFormat::kLINEAR ? 1 : 0;
  switch (tensor.format) {
    case TensorFormat::kLINEAR:
      return 1;
    case TensorFormat::kHWC:
      return vector_axis(tensor);
    case TensorFormat::kHWC8:
      return up(vector_axis(tensor), 8);
    case TensorFormat::kHWC16:
      return up(vector_axis(tensor), 16);
    case TensorFormat::kCHW16:
      return 16;
    case TensorFormat::kCHW32:
      return 32;
    default:
      return 0;
  }
}

const char* shape_refusal(const PluginTensorDesc* in, const PluginTensorDesc& out) {
  const Dims &depth = in[kDepth].dims, &feat = in[kFeat].dims, &cells = in[kCellRow].dims;
  if (depth.nbDims != 5 || feat.nbDims != 5 || out.dims.nbDims != 4) {
    return "BevPool: expected depth [B, N, D, H, W], feat [B, N, H, W, C] and an output [B, C, Y, X]";
  }
  const int32_t rank = cells.nbDims;
  if (rank != 2 && rank != 3) return "BevPool: expected cell_row [Y, X], or [B, Y, X] for tables of each sample";
  for (int32_t i = kRowDepth; i <= kCellRow; ++i) {
    if (in[i].dims.nbDims != rank) return "BevPool: the tables have unlike ranks";
    if (rank == 3 && in[i].dims.d[0] != depth.d[0]) return "BevPool: tables of each sample need the batch of depth";
  }
  if (axis(in[kRowDepth].dims, 1) != 16 || axis(in[kRowFeat].dims, 1) != 16) {
    return "BevPool: expected row_depth and row_feat [R, 16]";
  }
  if (axis(in[kSum1].dims, 1) != 8 || axis(in[kSum2].dims, 1) != 8)
    return "BevPool: expected sum1 [S1, 8] and sum2 [S2, 8]";
  if (axis(in[kRowDepth].dims, 2) != axis(in[kRowFeat].dims, 2))
    return "BevPool: row_depth and row_feat have unlike rows";
  if (depth.d[0] != feat.d[0] || depth.d[1] != feat.d[1] || depth.d[3] != feat.d[2] || depth.d[4] != feat.d[3]) {
    return "BevPool: depth [B, N, D, H, W] and feat [B, N, H, W, C] disagree";
  }
  if (out.dims.d[0] != depth.d[0] || out.dims.d[1] != feat.d[4] || axis(out.dims, 2) != axis(cells, 2) ||
      axis(out.dims, 1) != axis(cells, 1)) {
    return "BevPool: the output is not [B, C, Y, X]";
  }
  return nullptr;
}

PoolCall call_of(PoolKernel kernel, const PluginTensorDesc* in, const PluginTensorDesc& out) {
  PoolCall call;
  call.kernel = kernel;
  call.storage = in[kFeat].type == DataType::kHALF ? PoolStorage::fp16 : PoolStorage::fp32;
  call.sizes.batch = axis(in[kDepth].dims, 5), call.sizes.cameras = axis(in[kDepth].dims, 4);
  call.sizes.bins = axis(in[kDepth].dims, 3), call.sizes.height = axis(in[kDepth].dims, 2);
  call.sizes.width = axis(in[kDepth].dims, 1), call.sizes.channels = axis(in[kFeat].dims, 1);
  call.sizes.rows = axis(in[kCellRow].dims, 2), call.sizes.columns = axis(in[kCellRow].dims, 1);
  call.tables.row_count = axis(in[kRowDepth].dims, 2);
  call.tables.sum1_count = axis(in[kSum1].dims, 2), call.tables.sum2_count = axis(in[kSum2].dims, 2);
  call.tables.per_sample = in[kCellRow].dims.nbDims == 3;
  call.depth_pitch = in[kDepth].format == TensorFormat::kLINEAR ? 0 : vector_of(in[kDepth]);
  call.out_vector = vector_of(out);
  return call;
}

}  // namespace bevdeploy
