// The kernels on the host: the device functions run for every thread of a block, barrier by barrier.
#include <limits>
#include <vector>

#include "call_shape.h"

namespace bevdeploy {
namespace {

struct alignas(16) SharedWords {
  float value[4];
};
constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

template <class K>
void emulate_reference(const PoolCall& call) {
  const auto op = operands<typename K::Feat, typename K::Depth, typename K::Out>(call);
  const TableView tables = table_view(call);
  for (int32_t sample = 0; sample < call.sizes.batch; ++sample) {
    for (uint32_t value = 0; value < out_values(call); ++value) {
      reference_value<K::bins_inner>(op, tables, sample, value);
    }
  }
}

template <class K, int kV>
void emulate_gather_block(const Operands<typename K::Feat, typename K::Depth, typename K::Out>& op, const TableView& t,
                          const GatherShape& shape, uint32_t block, uint32_t chunk, std::vector<SharedWords>& memory) {
  using Thread = GatherThread<K::width>;
  const uint32_t cells = op.out_layout.cells;
  memory.assign(memory.size(), {{kPoison, kPoison, kPoison, kPoison}});
  GatherShared& s = *reinterpret_cast<GatherShared*>(memory.data());
  for (uint32_t i = 0; i < kBlockCells; ++i) count_rows(s, t, cells, cell_of_block(shape, block, i), i);
  for (uint32_t i = 0; i < kBlockCells; ++i) list_rows(s, shape, t, cells, cell_of_block(shape, block, i), i);
  std::vector<Thread> threads;
  for (uint32_t slot = 0; slot < shape.slots; ++slot) {
    for (uint32_t lane = 0; lane < shape.lanes; ++lane) {
      threads.emplace_back(s, shape, lane, slot, chunk * shape.chunk + lane * K::width < op.channels);
    }
  }
  const uint32_t share = Thread::share_of(s, shape);
  for (uint32_t step = 0; step * kStepRows < share; ++step) {
    for (uint32_t quad = 0; quad < shape.slots * kStepRows * 4; ++quad) {
      stage_quad<K::bins_inner>(s, op, t, share, step, quad);
    }
    for (Thread& me : threads) {
      consume(s, shape, me, op.feat + chunk * shape.chunk + me.lane * K::width, op.channels, step);
    }
  }
  for (Thread& me : threads) {
    if (me.active) finish_cell(s, shape, me);
  }
  for (const Thread& me : threads) write_carry(s, shape, me);
  const uint32_t items = kBlockCells * stored_channels(shape, op.out_layout, chunk) / kV;
  for (uint32_t item = 0; item < items; ++item) store_item<kV>(s, shape, op, block, chunk, item);
}

template <class K>
void emulate_gather(const PoolCall& call) {
  using Out = typename K::Out;
  const GatherShape shape = gather_shape(call);
  std::vector<SharedWords> memory(GatherShared::bytes(shape) / sizeof(SharedWords));
  for (int32_t sample = 0; sample < call.sizes.batch; ++sample) {
    auto op = operands<typename K::Feat, typename K::Depth, Out>(call);
    TableView tables = table_view(call);
    op.advance(sample);
    tables.advance(sample, op.out_layout.cells);
    for (uint32_t chunk = 0; chunk < shape.chunks; ++chunk) {
      for (uint32_t block = 0; block < shape.blocks; ++block) {
        if (wide_output(call)) {
          emulate_gather_block<K, 16 / sizeof(Out)>(op, tables, shape, block, chunk, memory);
        } else {
          emulate_gather_block<K, 1>(op, tables, shape, block, chunk, memory);
        }
      }
    }
  }
}

template <class K>
void emulate_runs(const PoolCall& call) {
  using Out = typename K::Out;
  constexpr int kW = K::width;
  const RunsShape shape = runs_shape(call);
  const RunsView view = runs_view(call);
  for (int32_t sample = 0; sample < call.sizes.batch; ++sample) {
    auto op = operands<typename K::Feat, typename K::Depth, Out>(call);
    op.advance(sample);
    for (uint32_t channel = 0; channel < op.channels; channel += kW) {
      for (uint32_t block = 0; block < shape.blocks; ++block) {
        std::vector<float> sums(size_t(shape.slots) * kW, 0.f);
        std::vector<uint32_t> infos(shape.slots, kNoCell);
        for (uint32_t k = 0; k < shape.slots; ++k) {
          const uint32_t slot = block * shape.slots + k;
          if (slot >= view.slots) continue;
          infos[k] = view.slot_info[slot];
          float sum[kW] = {};
          add_groups<K::bins_inner>(sum, op, view.words, op.feat + channel, view.slot_start[slot],
                                    view.slot_start[slot + 1]);
          std::memcpy(&sums[size_t(k) * kW], sum, sizeof sum);
        }
        for (uint32_t k = 0; k < shape.slots; ++k) {
          const uint32_t cell = infos[k] & kNoCell;
          if (cell == kNoCell || part_of(infos[k]) != 0) continue;
          float sum[kW];
          std::memcpy(sum, &sums[size_t(k) * kW], sizeof sum);
          for (uint32_t part = 1; part < parts_of(infos[k]); ++part) {
            for (int c = 0; c < kW; ++c) sum[c] += sums.at(size_t(k + part) * kW + c);
          }
          store_lane<kW>(op, cell, channel, sum, wide_output(call));
        }
      }
    }
  }
}

}  // namespace

int emulate_bev_pool(const PoolCall& call, CUstream_st*) {
  if (refusal(call)) return 1;
  return dispatch(call, [&call](auto kind) {
    using K = decltype(kind);
    switch (call.kernel) {
      case PoolKernel::reference:
        emulate_reference<K>(call);
        break;
      case PoolKernel::gather:
        emulate_gather<K>(call);
        break;
      case PoolKernel::runs:
        emulate_runs<K>(call);
        break;
    }
    return 0;
  });
}

}  // namespace bevdeploy
