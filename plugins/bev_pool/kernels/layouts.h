// Where a value lies: depth in either order, the output in any of TensorRT's formats.
#pragma once

#include "numbers.h"

namespace bevdeploy {

BEVDEPLOY_HD uint32_t high_product(uint32_t a, uint32_t b) {
#ifdef __CUDA_ARCH__
  return __umulhi(a, b);
#else
  return static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32);
#endif
}

// Exact division of x < 2^31 by a constant 1 <= d < 2^31 (Granlund and Montgomery, 1994): with 2^(s-1) < d <= 2^s and
// m = ceil(2^(31+s) / d), the quotient is floor(x * m / 2^(31+s)).
struct Divider {
  uint32_t multiplier;
  uint32_t shift;

  static Divider by(uint32_t d) {
    uint32_t s = 0;
    while ((uint64_t(1) << s) < d) ++s;
    return {static_cast<uint32_t>(((uint64_t(1) << (31 + s)) + d - 1) / d), s};
  }
  BEVDEPLOY_HD uint32_t quotient(uint32_t x) const { return high_product(2u * x, multiplier) >> shift; }
};

// Indices of depth are those of [N, D, H, W]; `offset` is where that value lies.
struct DepthLayout {
  uint32_t plane;       // H*W
  uint32_t bins_plane;  // D*H*W
  uint32_t pitch;       // values of a pixel where bins are innermost
  Divider by_plane;
  Divider by_bins_plane;

  static DepthLayout of(uint32_t bins, uint32_t plane, uint32_t pitch) {
    return {plane, bins * plane, pitch, Divider::by(plane), Divider::by(bins * plane)};
  }
  template <bool kBinsInner>
  BEVDEPLOY_HD uint32_t offset(uint32_t index) const {
    if constexpr (!kBinsInner) return index;
    const uint32_t camera = by_bins_plane.quotient(index);
    const uint32_t in_camera = index - camera * bins_plane;
    const uint32_t bin = by_plane.quotient(in_camera);
    return (camera * plane + in_camera - bin * plane) * pitch + bin;
  }
  // Of bin 0 of a pixel [N*H*W]; bins are `bin_step` apart.
  template <bool kBinsInner>
  BEVDEPLOY_HD uint32_t pixel_offset(uint32_t pixel) const {
    if constexpr (kBinsInner) return pixel * pitch;
    return pixel + by_plane.quotient(pixel) * (bins_plane - plane);
  }
  template <bool kBinsInner>
  BEVDEPLOY_HD uint32_t bin_step() const {
    return kBinsInner ? 1u : plane;
  }
};

// [ceil(C / vector), cells, vector]
struct OutLayout {
  uint32_t vector;
  uint32_t cells;
  uint32_t channels;  // C rounded up to a whole vector

  static OutLayout of(uint32_t channels, uint32_t cells, uint32_t vector) {
    return {vector, cells, (channels + vector - 1) / vector * vector};
  }
  BEVDEPLOY_HD uint32_t offset(uint32_t channel, uint32_t cell) const {
    if (vector == 1) return channel * cells + cell;
    if (vector == channels) return cell * vector + channel;
    const uint32_t plane = channel / vector;
    return (plane * cells + cell) * vector + channel - plane * vector;
  }
};

}  // namespace bevdeploy
