// What every kernel reads and writes, with types; one sample of the batch after `advance`.
#pragma once

#include "layouts.h"

namespace bevdeploy {

constexpr uint32_t kRowPoints = 16;  // points of a row
constexpr uint32_t kFanIn = 8;       // partials that one sum adds
constexpr uint32_t kNone = 0xFFFFFFFFu;

template <class TF, class TD, class TO>
struct Operands {
  const TD* depth;
  const TF* feat;
  TO* out;
  uint32_t depth_count;   // N*D*H*W, the indices that name a value
  uint32_t pixels;        // N*H*W
  uint32_t channels;      // C
  uint32_t depth_stride;  // values of a sample
  uint32_t feat_stride;
  uint32_t out_stride;
  float scale;
  DepthLayout depth_layout;
  OutLayout out_layout;

  BEVDEPLOY_HD void advance(uint32_t sample) {
    depth += size_t(sample) * depth_stride;
    feat += size_t(sample) * feat_stride;
    out += size_t(sample) * out_stride;
  }
};

struct TableView {
  const int32_t* row_depth;
  const int32_t* row_feat;
  const int32_t* sum1;
  const int32_t* sum2;
  const int32_t* cell_row;
  uint32_t rows;
  uint32_t sums1;
  uint32_t sums2;
  uint32_t per_sample;  // 0 or 1

  BEVDEPLOY_HD void advance(uint32_t sample, uint32_t cells) {
    const size_t n = size_t(sample) * per_sample;
    row_depth += n * rows * kRowPoints, row_feat += n * rows * kRowPoints;
    sum1 += n * sums1 * kFanIn, sum2 += n * sums2 * kFanIn;
    cell_row += n * cells;
  }
};

}  // namespace bevdeploy
