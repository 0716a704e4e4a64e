#include "call_shape.h"

#include <algorithm>

namespace bevdeploy {
namespace {

uint32_t cells_of(const PoolCall& call) {
  return static_cast<uint32_t>(call.sizes.rows) * static_cast<uint32_t>(call.sizes.columns);
}

uint32_t up(uint32_t value, uint32_t to) { return (value + to - 1) / to * to; }

bool aligned(const void* pointer, uintptr_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

uint32_t feat_bytes(PoolStorage storage) {
  return storage == PoolStorage::fp32 ? 4 : storage == PoolStorage::fp16 ? 2 : 1;
}

uint32_t out_bytes(PoolStorage storage) { return storage == PoolStorage::fp32 ? 4 : 2; }

const char* table_refusal(const PoolTables& t) {
  if (!t.row_depth || !t.row_feat || !t.sum1 || !t.sum2 || !t.cell_row) return "a table is missing";
  if (t.row_count < 1 || t.sum1_count < 1 || t.sum2_count < 1) return "row_depth, sum1 and sum2 need a row at least";
  if (t.row_count >= 1 << 26 || t.sum1_count >= 1 << 26 || t.sum2_count >= 1 << 26)
    return "a table has 2^26 rows or more";
  for (const int32_t* table : {t.row_depth, t.row_feat, t.sum1, t.sum2}) {
    if (!aligned(table, 16)) return "a table is not aligned to 16 bytes";
  }
  return nullptr;
}

const char* runs_refusal(const PoolRuns& runs, uint64_t pixels, uint64_t cells, int32_t bins) {
  if (!runs.words || !runs.slot_start || !runs.slot_info) return "an array of the runs is missing";
  if (runs.slots < 1 || runs.groups < 0) return "the runs have no slot";
  if (!aligned(runs.words, 16)) return "the runs are not aligned to 16 bytes";
  if (pixels > 1u << 20 || bins > 1024 || cells >= kNoCell)
    return "packed runs hold 2^20 pixels, 1,024 bins, 2^24-2 cells";
  return nullptr;
}

}  // namespace

const char* refusal(const PoolCall& call) {
  const PoolSizes& n = call.sizes;
  for (int32_t size : {n.batch, n.cameras, n.bins, n.height, n.width, n.channels, n.rows, n.columns}) {
    if (size < 1) return "a size is not positive";
    if (size > 1 << 24) return "a size is above 2^24";
  }
  if (n.batch > 65535) return "the batch is above 65,535";
  const auto below = [](uint64_t a, uint64_t b, uint64_t limit) { return a == 0 || b < (limit + a - 1) / a; };
  const uint64_t limit = uint64_t(1) << 31, plane = uint64_t(n.height) * n.width, cells = uint64_t(n.rows) * n.columns;
  if (!below(plane, n.cameras, limit) || !below(plane * n.cameras, n.bins, limit)) {
    return "depth has 2^31 values or more in a sample";
  }
  const uint64_t pixels = plane * n.cameras;
  if (call.depth_pitch < 0 || (call.depth_pitch > 0 && call.depth_pitch < n.bins))
    return "depth_pitch is below the bins";
  if (!below(pixels, call.depth_pitch, limit)) return "depth has 2^31 values or more in a sample";
  if (!below(pixels, n.channels, limit)) return "feat has 2^31 values or more in a sample";
  if (call.out_vector < 1 || call.out_vector > 1 << 24) return "out_vector is not positive";
  if (!below(cells, up(n.channels, call.out_vector), limit)) return "the output has 2^31 values or more in a sample";
  if (!call.depth || !call.feat || !call.out) return "depth, feat or the output is missing";
  const uintptr_t value = out_bytes(call.storage);
  if (!aligned(call.depth, value) || !aligned(call.out, value) || !aligned(call.feat, feat_bytes(call.storage))) {
    return "a pointer is not aligned to its values";
  }
  if (call.storage != PoolStorage::fp32 && call.storage != PoolStorage::fp16 && call.storage != PoolStorage::int8) {
    return "an unknown storage";
  }
  const int32_t line = call.line_cells;
  if (line < 0 || line > static_cast<int32_t>(kBlockCells) || (line & (line - 1)) != 0) {
    return "line_cells is not 0 or a power of two up to 32";
  }
  switch (call.kernel) {
    case PoolKernel::reference:
    case PoolKernel::gather:
      return table_refusal(call.tables);
    case PoolKernel::runs:
      return runs_refusal(call.runs, pixels, cells, n.bins);
  }
  return "an unknown kernel";
}

int pack_width(const PoolCall& call) {
  const uint32_t bytes = feat_bytes(call.storage);
  const uint32_t widest = 16 / bytes;
  for (uint32_t width : {widest, 4 / bytes}) {
    const bool has_kernel = width == widest || call.storage == PoolStorage::fp16;
    if (has_kernel && call.sizes.channels % width == 0 && aligned(call.feat, width * bytes))
      return static_cast<int>(width);
  }
  return 1;
}

bool wide_output(const PoolCall& call) {
  return call.out_vector % (16 / out_bytes(call.storage)) == 0 && aligned(call.out, 16);
}

GatherShape gather_shape(const PoolCall& call) {
  const uint32_t channels = call.sizes.channels, width = pack_width(call);
  GatherShape shape;
  shape.chunks = (channels + kMaxChunk - 1) / kMaxChunk;
  shape.chunk = up((channels + shape.chunks - 1) / shape.chunks, 16);
  shape.chunks = (channels + shape.chunk - 1) / shape.chunk;
  shape.lanes = (std::min(channels, shape.chunk) + width - 1) / width;
  shape.slots = std::min(kBlockCells, kMaxThreads / shape.lanes);
  // consecutive threads store consecutive cells where the output is linear: 4 floats more keep rows aligned and spread
  // the cells over the banks
  shape.tile_pitch = shape.chunk + 4;
  const uint32_t sector = 32 / out_bytes(call.storage);
  shape.line_cells = call.line_cells ? call.line_cells : call.out_vector == 1 ? sector : 8;
  const uint32_t lines = (cells_of(call) + shape.line_cells - 1) / shape.line_cells;
  const uint32_t lines_of_block = kBlockCells / shape.line_cells;
  shape.blocks = (lines + lines_of_block - 1) / lines_of_block;
  return shape;
}

RunsShape runs_shape(const PoolCall& call) {
  const uint32_t channels = call.sizes.channels, width = pack_width(call);
  RunsShape shape;
  shape.chunk = std::min(up(channels, width), std::min(kMaxChunk, 32 * width));
  shape.chunks = (channels + shape.chunk - 1) / shape.chunk;
  shape.lanes = shape.chunk / width;
  shape.slots = shape.lanes <= 10 ? 32 : shape.lanes <= 20 ? 16 : kMostParts;
  shape.blocks = (static_cast<uint32_t>(call.runs.slots) + shape.slots - 1) / shape.slots;
  return shape;
}

TableView table_view(const PoolCall& call) {
  const PoolTables& t = call.tables;
  return {t.row_depth,
          t.row_feat,
          t.sum1,
          t.sum2,
          t.cell_row,
          static_cast<uint32_t>(t.row_count),
          static_cast<uint32_t>(t.sum1_count),
          static_cast<uint32_t>(t.sum2_count),
          t.per_sample ? 1u : 0u};
}

RunsView runs_view(const PoolCall& call) {
  return {call.runs.words, call.runs.slot_start, call.runs.slot_info, static_cast<uint32_t>(call.runs.slots)};
}

uint32_t out_values(const PoolCall& call) {
  return OutLayout::of(call.sizes.channels, cells_of(call), call.out_vector).channels * cells_of(call);
}

}  // namespace bevdeploy
