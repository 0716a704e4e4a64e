// The emulation for other languages: plain C, host pointers.
#include "../kernels/bev_pool.h"
#include "../kernels/numbers.h"
#include "../kernels/pack_runs.h"

#include <string>

#define BEVDEPLOY_EXPORT extern "C" __attribute__((visibility("default")))

// sizes: batch, cameras, bins, height, width, channels, rows, columns; tables: row_depth, row_feat, sum1, sum2,
// cell_row; counts: R, S1, S2; layouts: depth_pitch, out_vector, line_cells. Returns nullptr, or why the call was
// refused.
BEVDEPLOY_EXPORT const char* bevdeploy_emulate(int32_t kernel, int32_t storage, const int32_t* sizes, const void* depth,
                                               const void* feat, void* out, const int32_t* const* tables,
                                               const int32_t* counts, const int32_t* layouts) {
  static thread_local std::string refused;
  bevdeploy::PoolCall call;
  call.kernel = static_cast<bevdeploy::PoolKernel>(kernel);
  call.storage = static_cast<bevdeploy::PoolStorage>(storage);
  call.sizes = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7]};
  call.depth = depth, call.feat = feat, call.out = out;
  call.tables = {tables[0], tables[1], tables[2], tables[3], tables[4], counts[0], counts[1], counts[2], false};
  call.depth_pitch = layouts[0], call.out_vector = layouts[1], call.line_cells = layouts[2];
  bevdeploy::PackedRuns packed;
  if (call.kernel == bevdeploy::PoolKernel::runs) {
    refused = bevdeploy::pack_runs(call.sizes, call.tables, &packed);
    if (!refused.empty()) return refused.c_str();
    call.runs = bevdeploy::runs_of(packed);
  }
  const char* why = bevdeploy::refusal(call);
  if (!why) bevdeploy::emulate_bev_pool(call, nullptr);
  return why;
}

BEVDEPLOY_EXPORT void bevdeploy_half_from_float(const float* values, uint16_t* halves, int64_t count) {
  for (int64_t i = 0; i < count; ++i) halves[i] = static_cast<uint16_t>(bevdeploy::half_from_float(values[i]));
}

BEVDEPLOY_EXPORT void bevdeploy_float_from_half(const uint16_t* halves, float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = bevdeploy::float_from_half(halves[i]);
}
