// Tier 1 on packed runs: a run is a pixel and one or two neighbouring bins of one cell. A slot is a cell, or one of 2,
// 4 or 8 parts of a long one; its runs come in groups of four. A lane owns a pack of 16 bytes of the channels of a
// slot.
#pragma once

#include "operands.h"

namespace bevdeploy {

constexpr uint32_t kNoCell = 0xFFFFFFu;
constexpr uint32_t kMostParts = 8;

struct RunsShape {
  uint32_t lanes;
  uint32_t slots;  // of a block; a multiple of kMostParts, and parts of a cell are neighbours, so they share a block
  uint32_t chunk;
  uint32_t chunks;
  uint32_t blocks;
};

struct RunsView {
  const uint32_t* words;
  const uint32_t* slot_start;
  const uint32_t* slot_info;
  uint32_t slots;
};

BEVDEPLOY_HD uint32_t load_word(const uint32_t* from) {
  return load_pack<float, 1>(reinterpret_cast<const float*>(from)).word[0];
}
BEVDEPLOY_HD uint32_t part_of(uint32_t info) { return (info >> 24) & 31u; }
BEVDEPLOY_HD uint32_t parts_of(uint32_t info) { return 1u << (info >> 29); }

// Adds groups [begin, end) to `sum`. `feat` points at the lane's pack of pixel 0.
template <bool kBinsInner, int kW, class TF, class TD, class TO>
BEVDEPLOY_HD void add_groups(float (&sum)[kW], const Operands<TF, TD, TO>& op, const uint32_t* words, const TF* feat,
                             uint32_t begin, uint32_t end) {
  if (begin >= end) return;
  Quad next = load_quad(words, begin);
  for (uint32_t g = begin; g < end; ++g) {
    const Quad run = next;
    Pack<TF, kW> pack[4];
    float first[4], second[4];
    BEVDEPLOY_UNROLL
    for (int i = 0; i < 4; ++i) {
      const uint32_t pixel = run.v[i] >> 12, bin = (run.v[i] >> 2) & 0x3FFu;
      const uint32_t step = op.depth_layout.template bin_step<kBinsInner>();
      const TD* weight = op.depth + op.depth_layout.template pixel_offset<kBinsInner>(pixel) + bin * step;
      pack[i] = load_pack<TF, kW>(feat + size_t(pixel) * op.channels);
      first[i] = load_value(weight);  // a padding word names a point of the cell, so it may be read
      second[i] = run.v[i] & 2u ? load_value(weight + step) : 0.f;
    }
    next = load_quad(words, g + 1 < end ? g + 1 : g);  // the next words travel while these four are added
    BEVDEPLOY_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float weight = run.v[i] & 3u ? first[i] + second[i] : 0.f;
      BEVDEPLOY_UNROLL
      for (int c = 0; c < kW; ++c) sum[c] = multiply_add(weight, value_of(pack[i], c), sum[c]);
    }
  }
}

// A lane's channels of a cell; the lane of the last channel also writes those that the format adds, as zero.
template <int kW, class TF, class TD, class TO>
BEVDEPLOY_HD void store_lane(const Operands<TF, TD, TO>& op, uint32_t cell, uint32_t channel, const float (&sum)[kW],
                             bool wide) {
  constexpr int kV = 16 / sizeof(TO);
  if (kW % kV == 0 && wide) {
    if constexpr (kW % kV == 0) {
      BEVDEPLOY_UNROLL
      for (int c = 0; c < kW; c += kV) {
        float value[kV];
        BEVDEPLOY_UNROLL
        for (int k = 0; k < kV; ++k) value[k] = sum[c + k] * op.scale;
        store_16_bytes(op.out + op.out_layout.offset(channel + c, cell), value);
      }
    }
  } else {
    BEVDEPLOY_UNROLL
    for (int c = 0; c < kW; ++c) store_value(op.out + op.out_layout.offset(channel + c, cell), sum[c] * op.scale);
  }
  if (channel + kW == op.channels) {
    for (uint32_t c = op.channels; c < op.out_layout.channels; ++c) {
      store_value(op.out + op.out_layout.offset(c, cell), 0.f);
    }
  }
}

}  // namespace bevdeploy
