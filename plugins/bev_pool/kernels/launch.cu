// The kernels' entry points: each walks its header's functions with barriers between them.
#include <cuda_runtime_api.h>

#include "call_shape.h"

namespace bevdeploy {
namespace {

constexpr uint32_t kReferenceThreads = 256;

// Blocks that share a multiprocessor's 65,536 registers: what the kernel needs without spilling.
template <int kW>
constexpr uint32_t kResidentBlocks = kW == 16  ? 2
                                     : kW == 8 ? 3
                                               : 4;

template <bool kBinsInner, class TF, class TD, class TO>
__global__ void __launch_bounds__(kReferenceThreads)
    bev_pool_reference(Operands<TF, TD, TO> op, TableView tables, uint32_t values) {
  const uint32_t value = blockIdx.x * kReferenceThreads + threadIdx.x;
  if (value < values) reference_value<kBinsInner>(op, tables, blockIdx.y, value);
}

// grid (blocks, batch, chunks), block (lanes, slots)
template <bool kBinsInner, int kW, class TF, class TD, class TO>
__global__ void __launch_bounds__(kMaxThreads, kResidentBlocks<kW>)
    bev_pool_gather(Operands<TF, TD, TO> op, TableView tables, GatherShape shape, bool wide) {
  extern __shared__ uint4 memory[];
  GatherShared& s = *reinterpret_cast<GatherShared*>(memory);
  const uint32_t block = blockIdx.x, chunk = blockIdx.z, cells = op.out_layout.cells;
  const uint32_t thread = threadIdx.y * shape.lanes + threadIdx.x, threads = shape.lanes * shape.slots;
  op.advance(blockIdx.y);
  tables.advance(blockIdx.y, cells);

  for (uint32_t i = thread; i < kBlockCells; i += threads) {
    count_rows(s, tables, cells, cell_of_block(shape, block, i), i);
  }
  __syncthreads();
  for (uint32_t i = thread; i < kBlockCells; i += threads) {
    list_rows(s, shape, tables, cells, cell_of_block(shape, block, i), i);
  }
  __syncthreads();
  const uint32_t channel = chunk * shape.chunk + threadIdx.x * kW;
  GatherThread<kW> me(s, shape, threadIdx.x, threadIdx.y, channel < op.channels);
  const uint32_t share = GatherThread<kW>::share_of(s, shape);
  for (uint32_t step = 0; step * kStepRows < share; ++step) {
    if (step) __syncthreads();
    for (uint32_t quad = thread; quad < shape.slots * kStepRows * 4; quad += threads) {
      stage_quad<kBinsInner>(s, op, tables, share, step, quad);
    }
    __syncthreads();
    consume(s, shape, me, op.feat + channel, op.channels, step);
  }
  if (me.active) finish_cell(s, shape, me);
  __syncthreads();
  write_carry(s, shape, me);
  __syncthreads();
  constexpr int kV = 16 / sizeof(TO);
  const uint32_t stored = kBlockCells * stored_channels(shape, op.out_layout, chunk);
  if (wide) {
    for (uint32_t item = thread; item < stored / kV; item += threads) store_item<kV>(s, shape, op, block, chunk, item);
  } else {
    for (uint32_t item = thread; item < stored; item += threads) store_item<1>(s, shape, op, block, chunk, item);
  }
}

// grid (blocks, batch, chunks), block (lanes, slots)
template <bool kBinsInner, int kW, class TF, class TD, class TO>
__global__ void __launch_bounds__(kMaxThreads)
    bev_pool_runs(Operands<TF, TD, TO> op, RunsView view, RunsShape shape, bool wide) {
  extern __shared__ uint4 memory[];
  float* part_sum = reinterpret_cast<float*>(memory);  // [slots, chunk], where a block holds a divided cell
  op.advance(blockIdx.y);
  const uint32_t slot = blockIdx.x * shape.slots + threadIdx.y;
  const uint32_t channel = blockIdx.z * shape.chunk + threadIdx.x * kW;
  float sum[kW] = {};
  uint32_t info = kNoCell;
  if (slot < view.slots) {
    info = load_word(view.slot_info + slot);
    if (channel < op.channels) {
      add_groups<kBinsInner>(sum, op, view.words, op.feat + channel, load_word(view.slot_start + slot),
                             load_word(view.slot_start + slot + 1));
    }
  }
  const uint32_t parts = parts_of(info);
  if (__syncthreads_or(parts > 1)) {
    float* mine = part_sum + threadIdx.y * shape.chunk + threadIdx.x * kW;
    put_floats(mine, sum);
    __syncthreads();
    if (part_of(info) == 0) {
      for (uint32_t part = 1; part < parts; ++part) {
        BEVDEPLOY_UNROLL
        for (int c = 0; c < kW; ++c) sum[c] += mine[part * shape.chunk + c];
      }
    }
  }
  const uint32_t cell = info & kNoCell;
  if (part_of(info) == 0 && cell != kNoCell && channel < op.channels) store_lane<kW>(op, cell, channel, sum, wide);
}

template <class K>
int launch(const PoolCall& call, cudaStream_t stream) {
  const auto op = operands<typename K::Feat, typename K::Depth, typename K::Out>(call);
  const uint32_t batch = static_cast<uint32_t>(call.sizes.batch);
  switch (call.kernel) {
    case PoolKernel::reference: {
      const uint32_t values = out_values(call);
      const dim3 grid((values + kReferenceThreads - 1) / kReferenceThreads, batch);
      bev_pool_reference<K::bins_inner><<<grid, kReferenceThreads, 0, stream>>>(op, table_view(call), values);
      break;
    }
    case PoolKernel::gather: {
      const GatherShape shape = gather_shape(call);
      const dim3 grid(shape.blocks, batch, shape.chunks), block(shape.lanes, shape.slots);
      bev_pool_gather<K::bins_inner, K::width>
          <<<grid, block, GatherShared::bytes(shape), stream>>>(op, table_view(call), shape, wide_output(call));
      break;
    }
    case PoolKernel::runs: {
      const RunsShape shape = runs_shape(call);
      const dim3 grid(shape.blocks, batch, shape.chunks), block(shape.lanes, shape.slots);
      const uint32_t bytes = shape.slots * shape.chunk * sizeof(float);
      bev_pool_runs<K::bins_inner, K::width>
          <<<grid, block, bytes, stream>>>(op, runs_view(call), shape, wide_output(call));
      break;
    }
  }
  return cudaPeekAtLastError();
}

}  // namespace

int launch_bev_pool(const PoolCall& call, CUstream_st* stream) {
  if (refusal(call)) return cudaErrorInvalidValue;
  return dispatch(call, [&](auto kind) { return launch<decltype(kind)>(call, stream); });
}

}  // namespace bevdeploy
