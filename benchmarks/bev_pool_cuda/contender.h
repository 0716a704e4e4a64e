// What a contender gets: device pointers, sizes and a stream. One function in each library:
//   extern "C" int contender(const ContenderCall* call, cudaStream_t stream)    returns a cudaError_t
#pragma once

#include <cstdint>

struct ContenderCall {
  int32_t half;  // 0: float32, 1: float16
  int32_t cameras, bins, height, width, channels, rows, columns;
  const void* depth;  // [N, D, H, W]
  const void* feat;   // [N, H, W, C]
  void* out;          // [Y, X, C] or [C, Y, X], as the contender writes it
  // points sorted by cell, and the intervals of one cell each
  const int32_t* ranks_depth;       // [P]
  const int32_t* ranks_feat;        // [P]
  const int32_t* ranks_bev;         // [P]
  const int32_t* interval_starts;   // [M]
  const int32_t* interval_lengths;  // [M]
  const int32_t* interval_triples;  // [M, 3] first point, end, cell
  int32_t points, intervals;
  // ours: kernel as bevdeploy::PoolKernel; tables or runs
  int32_t kernel, channels_last, line_cells;
  const int32_t *row_depth, *row_feat, *sum1, *sum2, *cell_row;
  int32_t row_count, sum1_count, sum2_count;
  const uint32_t *words, *slot_start, *slot_info;
  int32_t groups, slots;
};

#define CONTENDER extern "C" __attribute__((visibility("default")))
