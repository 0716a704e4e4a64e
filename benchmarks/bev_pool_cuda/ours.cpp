// The plugin's kernels behind the benchmark's interface.
#include "contender.h"

#include <algorithm>
#include <string>

#include "kernels/bev_pool.h"
#include "kernels/pack_runs.h"

namespace {

bevdeploy::PoolCall call_of(const ContenderCall& c) {
  bevdeploy::PoolCall call;
  call.kernel = static_cast<bevdeploy::PoolKernel>(c.kernel);
  call.storage = c.half ? bevdeploy::PoolStorage::fp16 : bevdeploy::PoolStorage::fp32;
  call.sizes = {1, c.cameras, c.bins, c.height, c.width, c.channels, c.rows, c.columns};
  call.depth = c.depth, call.feat = c.feat, call.out = c.out;
  call.tables = {c.row_depth, c.row_feat, c.sum1, c.sum2, c.cell_row, c.row_count, c.sum1_count, c.sum2_count, false};
  call.runs = {c.words, c.slot_start, c.slot_info, c.groups, c.slots};
  call.out_vector = c.channels_last ? c.channels : 1;
  call.line_cells = c.line_cells;
  return call;
}

bevdeploy::PackedRuns g_packed;
std::string g_refused;

}  // namespace

CONTENDER int contender(const ContenderCall* call, CUstream_st* stream) {
  return bevdeploy::launch_bev_pool(call_of(*call), stream);
}

// Packs the tables (host pointers in `call`) and keeps them; nullptr, or why that cannot be done.
CONTENDER const char* pack(const ContenderCall* call, int32_t* groups, int32_t* slots) {
  const bevdeploy::PoolCall ours = call_of(*call);
  g_refused = bevdeploy::pack_runs(ours.sizes, ours.tables, &g_packed);
  *groups = static_cast<int32_t>(g_packed.words.size() / 4), *slots = static_cast<int32_t>(g_packed.slot_info.size());
  return g_refused.empty() ? nullptr : g_refused.c_str();
}

// Copies what was packed: words [groups, 4], slot_start [slots + 1], slot_info [slots].
CONTENDER void packed(uint32_t* words, uint32_t* slot_start, uint32_t* slot_info) {
  std::copy(g_packed.words.begin(), g_packed.words.end(), words);
  std::copy(g_packed.slot_start.begin(), g_packed.slot_start.end(), slot_start);
  std::copy(g_packed.slot_info.begin(), g_packed.slot_info.end(), slot_info);
}
