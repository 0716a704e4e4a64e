// BEV pool: one call on pointers, sizes and a stream. No framework, no TensorRT, no CUDA header.
#pragma once

#include <cstdint>

struct CUstream_st;  // cudaStream_t is a pointer to it

namespace bevdeploy {

enum class PoolKernel : int32_t {
  reference = 0,  // tier 0: a thread per (cell, channel), on the node's tables
  gather = 1,     // tier 1 on the node's tables
  runs = 2,       // tier 1 on packed runs (pack_runs.h)
};

// Types of feat and depth; the output has that of depth. Sums are float32 in all of them.
enum class PoolStorage : int32_t {
  fp32 = 0,
  fp16 = 1,
  int8 = 2,  // feat int8, depth and output fp16; sums are multiplied by feat_scale
};

struct PoolSizes {
  int32_t batch = 1;
  int32_t cameras = 0;   // N
  int32_t bins = 0;      // D
  int32_t height = 0;    // H of the feature map
  int32_t width = 0;     // W of the feature map
  int32_t channels = 0;  // C
  int32_t rows = 0;      // Y; Z*Y for a tall grid
  int32_t columns = 0;   // X
};

// The pool node's tables, as bevdeploy.geometry.pool_tables makes them.
struct PoolTables {
  const int32_t* row_depth = nullptr;  // [R, 16] index into depth [N*D*H*W]; N*D*H*W or more: empty slot
  const int32_t* row_feat = nullptr;   // [R, 16] index of a pixel [N*H*W]
  const int32_t* sum1 = nullptr;       // [S1, 8] partials 0 .. R
  const int32_t* sum2 = nullptr;       // [S2, 8] partials 0 .. R + S1
  const int32_t* cell_row = nullptr;   // [Y, X] partials 0 .. R + S1 + S2
  int32_t row_count = 0;               // R
  int32_t sum1_count = 0;              // S1
  int32_t sum2_count = 0;              // S2
  bool per_sample = false;             // true: every table has a leading batch dimension; false: one for the batch
};

// Packed runs; the same for every sample of a batch.
struct PoolRuns {
  const uint32_t* words = nullptr;       // [groups, 4] bits 0-1 bins (0: padding), 2-11 first bin, 12-31 pixel
  const uint32_t* slot_start = nullptr;  // [slots + 1] first group of a slot
  const uint32_t* slot_info = nullptr;   // [slots] bits 0-23 cell (all ones: none), 24-28 part, 29-31 log2(parts)
  int32_t groups = 0;
  int32_t slots = 0;
};

struct PoolCall {
  PoolKernel kernel = PoolKernel::gather;
  PoolStorage storage = PoolStorage::fp32;
  PoolSizes sizes;
  const void* depth = nullptr;  // [B, N, D, H, W], or [B, N, H, W, depth_pitch] where depth_pitch > 0
  const void* feat = nullptr;   // [B, N, H, W, C]
  void* out = nullptr;  // [B, ceil(C / v), Y, X, v], v = out_vector; every value is written, channels from C on as 0
  PoolTables tables;    // of kernels reference and gather
  PoolRuns runs;        // of kernel runs
  int32_t depth_pitch = 0;  // bins innermost: D rounded up; 0: NCHW
  int32_t out_vector = 1;   // 1: NCHW; C or C rounded up: channels innermost; 16: TensorRT's kCHW16; ...
  int32_t line_cells = 0;   // neighbouring cells that a block of gather takes at a time: 1 ... 32; 0: the default
  float feat_scale = 1.f;
};

// Why a call cannot be made; nullptr where it can. Reads no array.
const char* refusal(const PoolCall& call);

// Launches one kernel on `stream`: no allocation, no copy, no synchronisation, so a CUDA graph can capture it.
// Returns a cudaError_t; 1 (cudaErrorInvalidValue) for a call that is refused.
int launch_bev_pool(const PoolCall& call, CUstream_st* stream);

// The same arithmetic on host pointers, lane by lane. Returns 0, or 1 for a call that is refused.
int emulate_bev_pool(const PoolCall& call, CUstream_st* ignored);

}  // namespace bevdeploy
