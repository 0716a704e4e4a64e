// What a call's sizes and pointers decide: pack width, types, launch shapes. Host code, shared by launch and emulation.
#pragma once

#include "bev_pool.h"
#include "gather.h"
#include "reference.h"
#include "runs.h"

namespace bevdeploy {

// Types of feat, depth and output, channels of a pack, order of depth.
template <class TF, class TD, class TO, int kW, bool kBinsInner>
struct Kind {
  using Feat = TF;
  using Depth = TD;
  using Out = TO;
  static constexpr int width = kW;
  static constexpr bool bins_inner = kBinsInner;
};

int pack_width(const PoolCall& call);    // channels that feat's alignment lets a lane load at once
bool wide_output(const PoolCall& call);  // the output takes stores of 16 bytes
GatherShape gather_shape(const PoolCall& call);
RunsShape runs_shape(const PoolCall& call);
TableView table_view(const PoolCall& call);
RunsView runs_view(const PoolCall& call);
uint32_t out_values(const PoolCall& call);  // of a sample, with the channels that the format adds

template <class TF, class TD, class TO>
Operands<TF, TD, TO> operands(const PoolCall& call) {
  const PoolSizes& n = call.sizes;
  const uint32_t plane = static_cast<uint32_t>(n.height) * n.width, pixels = plane * n.cameras;
  const uint32_t cells = static_cast<uint32_t>(n.rows) * n.columns;
  const OutLayout layout = OutLayout::of(n.channels, cells, call.out_vector);
  return {static_cast<const TD*>(call.depth),
          static_cast<const TF*>(call.feat),
          static_cast<TO*>(call.out),
          pixels * n.bins,
          pixels,
          static_cast<uint32_t>(n.channels),
          pixels * static_cast<uint32_t>(call.depth_pitch ? call.depth_pitch : n.bins),
          pixels * static_cast<uint32_t>(n.channels),
          layout.channels * cells,
          call.feat_scale,
          DepthLayout::of(n.bins, plane, call.depth_pitch),
          layout};
}

template <bool kBinsInner, class F>
int dispatch_storage(const PoolCall& call, F&& make) {
  const int width = call.kernel == PoolKernel::reference ? 1 : pack_width(call);
  switch (call.storage) {
    case PoolStorage::fp32:
      if (width == 4) return make(Kind<float, float, float, 4, kBinsInner>());
      return make(Kind<float, float, float, 1, kBinsInner>());
    case PoolStorage::fp16:
      if (width == 8) return make(Kind<Half, Half, Half, 8, kBinsInner>());
      if (width == 2) return make(Kind<Half, Half, Half, 2, kBinsInner>());
      return make(Kind<Half, Half, Half, 1, kBinsInner>());
    case PoolStorage::int8:
      if (width == 16) return make(Kind<int8_t, Half, Half, 16, kBinsInner>());
      return make(Kind<int8_t, Half, Half, 1, kBinsInner>());
  }
  return 1;
}

// Calls `make` with the Kind of a call that is not refused; what it returns.
template <class F>
int dispatch(const PoolCall& call, F&& make) {
  return call.depth_pitch > 0 ? dispatch_storage<true>(call, make) : dispatch_storage<false>(call, make);
}

}  // namespace bevdeploy
