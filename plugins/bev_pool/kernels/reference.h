// Tier 0: the node's definition, one thread per (cell, channel).
#pragma once

#include "operands.h"

namespace bevdeploy {

template <bool kBinsInner, class TF, class TD, class TO>
BEVDEPLOY_HD float row_partial(const Operands<TF, TD, TO>& op, const TableView& t, uint32_t row, uint32_t channel) {
  float sum = 0.f;
  for (uint32_t i = 0; i < kRowPoints; ++i) {
    const uint32_t index = static_cast<uint32_t>(t.row_depth[row * kRowPoints + i]);
    const uint32_t pixel = static_cast<uint32_t>(t.row_feat[row * kRowPoints + i]);
    if (index >= op.depth_count || pixel >= op.pixels) continue;
    const float weight = load_value(op.depth + op.depth_layout.template offset<kBinsInner>(index));
    sum = multiply_add(weight, load_value(op.feat + pixel * op.channels + channel), sum);
  }
  return sum;
}

// Sum of sums of rows: a cell without second or first sums is a sum of one.
template <bool kBinsInner, class TF, class TD, class TO>
BEVDEPLOY_HD float cell_value(const Operands<TF, TD, TO>& op, const TableView& t, uint32_t cell, uint32_t channel) {
  const uint32_t whole = static_cast<uint32_t>(t.cell_row[cell]);
  const uint32_t first_sum1 = 1 + t.rows, first_sum2 = first_sum1 + t.sums1;
  const bool is_sum2 = whole >= first_sum2 && whole - first_sum2 < t.sums2;
  float sum2 = 0.f;
  for (uint32_t i = 0; i < (is_sum2 ? kFanIn : 1); ++i) {
    const uint32_t part = is_sum2 ? static_cast<uint32_t>(t.sum2[(whole - first_sum2) * kFanIn + i]) : whole;
    const bool is_sum1 = part >= first_sum1 && part < first_sum2;
    float sum1 = 0.f;
    for (uint32_t j = 0; j < (is_sum1 ? kFanIn : 1); ++j) {
      const uint32_t row = is_sum1 ? static_cast<uint32_t>(t.sum1[(part - first_sum1) * kFanIn + j]) : part;
      if (row >= 1 && row <= t.rows) sum1 += row_partial<kBinsInner>(op, t, row - 1, channel);
    }
    sum2 += sum1;
  }
  return sum2;
}

// One value of the output; channels beyond C are zero.
template <bool kBinsInner, class TF, class TD, class TO>
BEVDEPLOY_HD void reference_value(Operands<TF, TD, TO> op, TableView t, uint32_t sample, uint32_t value) {
  const uint32_t cells = op.out_layout.cells;
  op.advance(sample);
  t.advance(sample, cells);
  const uint32_t cell = value % cells, channel = value / cells;
  const float sum = channel < op.channels ? cell_value<kBinsInner>(op, t, cell, channel) * op.scale : 0.f;
  store_value(op.out + op.out_layout.offset(channel, cell), sum);
}

}  // namespace bevdeploy
