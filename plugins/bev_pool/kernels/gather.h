// Tier 1 on the node's tables: one launch, no workspace, every cell written, additions in an order that tables fix.
//
// A block owns 32 cells. It lists their rows, deals the list out to `slots` in equal contiguous shares, and a slot adds
// its rows for all channels, a pack of 16 bytes per lane. So a crowded cell is spread over the slots and blocks take
// alike long; the shares of a cell that spans slots meet in shared memory.
//   list     one thread a cell: cell_row -> sum2 -> sum1 -> rows
//   stage    one thread four points: table entries -> (weight, pixel) in shared memory, two rows a slot at a time
//   consume  (lane, slot): feature packs times weights into registers; whole cells go to the tile, the end of a cell
//   that
//            began in an earlier slot becomes the slot's carry
//   store    tile plus carries -> output, empty cells as zero
// A slot's threads read nothing that depends on another block, so nothing but barriers inside a block is needed.
#pragma once

#include "operands.h"

namespace bevdeploy {

constexpr uint32_t kBlockCells = 32;
constexpr uint32_t kCellRows = kFanIn * kFanIn;  // rows of a cell at most
constexpr uint32_t kStepRows = 2;                // rows of a slot that are staged at a time
constexpr uint32_t kMaxThreads = 320;
constexpr uint32_t kMaxChunk = 128;  // channels of a block at most

struct GatherShape {
  uint32_t lanes;       // packs of a chunk
  uint32_t slots;       // 1 ... 32
  uint32_t chunk;       // channels of a block, a multiple of 16
  uint32_t chunks;      // blocks along the channels
  uint32_t tile_pitch;  // floats of a cell in the tile
  uint32_t line_cells;  // neighbouring cells that a block takes at a time; its lines are spread over the grid
  uint32_t blocks;      // along the cells
};

// The block's shared memory; the tile [kBlockCells, tile_pitch] follows it. Sizes are those of the most slots, so that
// every address but the tile's is a constant.
struct alignas(16) GatherShared {
  uint32_t list[kBlockCells * kCellRows];                // [n] row << 5 | cell of the block
  float weight[kBlockCells * kStepRows * kRowPoints];    // [slots, kStepRows, 16]
  uint32_t pixel[kBlockCells * kStepRows * kRowPoints];  // [slots, kStepRows, 16]
  uint32_t start[kBlockCells + 4];                       // first entry of a cell in the list; [32]: all entries
  uint32_t count[kBlockCells];                           // rows of a cell
  uint32_t owners[kBlockCells];                          // first slot of a cell, last slot << 16

  BEVDEPLOY_HD float* tile() { return reinterpret_cast<float*>(this + 1); }
  // [slots, chunk] over list and stage, which nobody reads any more when carries are written
  BEVDEPLOY_HD float* carry() { return reinterpret_cast<float*>(list); }
  static uint32_t bytes(const GatherShape& shape) {
    return static_cast<uint32_t>(sizeof(GatherShared)) + kBlockCells * shape.tile_pitch * 4;
  }
};
constexpr uint32_t kCarryFloats = kBlockCells * (kCellRows + 2 * kStepRows * kRowPoints);
static_assert(kBlockCells * kMaxChunk <= kCarryFloats, "carries of the most slots and channels fit");

BEVDEPLOY_HD uint32_t cell_of_block(const GatherShape& shape, uint32_t block, uint32_t i) {
  return (i / shape.line_cells * shape.blocks + block) * shape.line_cells + i % shape.line_cells;
}

// Rows of up to eight: entries of one line of sum1, written to `list` where there is one.
BEVDEPLOY_HD uint32_t list_sum1(const TableView& t, uint32_t line, uint32_t tag, uint32_t* list) {
  uint32_t n = 0;
  BEVDEPLOY_UNROLL
  for (uint32_t half = 0; half < 2; ++half) {
    const Quad entries = load_quad(t.sum1, line * 2 + half);
    BEVDEPLOY_UNROLL
    for (uint32_t k = 0; k < 4; ++k) {
      const uint32_t partial = entries.v[k];
      if (partial == 0 || partial > t.rows) continue;
      if (list) list[n] = (partial - 1) << 5 | tag;
      ++n;
    }
  }
  return n;
}

BEVDEPLOY_HD uint32_t list_row_or_sum1(const TableView& t, uint32_t partial, uint32_t tag, uint32_t* list) {
  if (partial == 0 || partial > t.rows + t.sums1) return 0;
  if (partial > t.rows) return list_sum1(t, partial - 1 - t.rows, tag, list);
  if (list) list[0] = (partial - 1) << 5 | tag;
  return 1;
}

// Rows of a cell, at most kCellRows, in the tables' order.
BEVDEPLOY_HD uint32_t list_cell(const TableView& t, uint32_t partial, uint32_t tag, uint32_t* list) {
  if (partial <= t.rows + t.sums1) return list_row_or_sum1(t, partial, tag, list);
  const uint32_t line = partial - 1 - t.rows - t.sums1;
  if (line >= t.sums2) return 0;
  uint32_t n = 0;
  for (uint32_t half = 0; half < 2; ++half) {
    const Quad entries = load_quad(t.sum2, line * 2 + half);
    for (uint32_t k = 0; k < 4; ++k) n += list_row_or_sum1(t, entries.v[k], tag, list ? list + n : nullptr);
  }
  return n;
}

BEVDEPLOY_HD uint32_t partial_of(const TableView& t, uint32_t cell, uint32_t cells) {
  return cell < cells ? bits_from_float(load_value(reinterpret_cast<const float*>(t.cell_row) + cell)) : 0u;
}

// Threads 0 ... 31, before and after a barrier.
BEVDEPLOY_HD void count_rows(GatherShared& s, const TableView& t, uint32_t cells, uint32_t cell, uint32_t i) {
  s.count[i] = list_cell(t, partial_of(t, cell, cells), i, nullptr);
}

BEVDEPLOY_HD void list_rows(GatherShared& s, const GatherShape& shape, const TableView& t, uint32_t cells,
                            uint32_t cell, uint32_t i) {
  uint32_t before = 0, all = 0;
  BEVDEPLOY_UNROLL
  for (uint32_t k = 0; k < kBlockCells; ++k) {
    before += k < i ? s.count[k] : 0u;
    all += s.count[k];
  }
  const uint32_t share = (all + shape.slots - 1) / shape.slots, n = s.count[i];
  s.start[i] = before;
  if (i == kBlockCells - 1) s.start[kBlockCells] = all;
  s.owners[i] = n ? before / share | (before + n - 1) / share << 16 : 0u;
  list_cell(t, partial_of(t, cell, cells), i, s.list + before);
}

// What a (lane, slot) keeps in registers.
template <int kW>
struct GatherThread {
  float sum[kW];
  float carry[kW];
  uint32_t begin, end;  // the slot's share of the list
  uint32_t cell;        // of `sum`; kNone: none yet
  bool carried;
  bool active;  // the lane has channels
  uint32_t lane, slot;

  BEVDEPLOY_HD GatherThread(GatherShared& s, const GatherShape& shape, uint32_t lane_, uint32_t slot_, bool active_)
      : cell(kNone), carried(false), active(active_), lane(lane_), slot(slot_) {
    const uint32_t n = s.start[kBlockCells], share = share_of(s, shape);
    begin = slot * share < n ? slot * share : n;
    end = begin + share < n ? begin + share : n;
    BEVDEPLOY_UNROLL
    for (int c = 0; c < kW; ++c) sum[c] = carry[c] = 0.f;
  }
  BEVDEPLOY_HD static uint32_t share_of(GatherShared& s, const GatherShape& shape) {
    return (s.start[kBlockCells] + shape.slots - 1) / shape.slots;
  }
};

template <int kW>
BEVDEPLOY_HD void put_floats(float* to, const float (&v)[kW]) {
  if constexpr (kW % 4 == 0) {
    BEVDEPLOY_UNROLL
    for (int c = 0; c < kW; c += 4) {
      const float four[4] = {v[c], v[c + 1], v[c + 2], v[c + 3]};
      store_16_bytes(to + c, four);
    }
  } else {
    BEVDEPLOY_UNROLL
    for (int c = 0; c < kW; ++c) to[c] = v[c];
  }
}

// Four points of a row: `quad` counts through [slots, kStepRows, 4]. An empty slot repeats a pixel of its four with
// weight 0, so nothing is read that the cell does not see; four empty ones are marked by pixel kNone.
template <bool kBinsInner, class TF, class TD, class TO>
BEVDEPLOY_HD void stage_quad(GatherShared& s, const Operands<TF, TD, TO>& op, const TableView& t, uint32_t share,
                             uint32_t step, uint32_t quad) {
  const uint32_t slot = quad / (kStepRows * 4), entry = step * kStepRows + quad / 4 % kStepRows;
  const uint32_t at = slot * share + entry;
  if (entry >= share || at >= s.start[kBlockCells]) return;
  const uint32_t from = (s.list[at] >> 5) * (kRowPoints / 4) + quad % 4;
  const Quad index = load_quad(t.row_depth, from), pixel = load_quad(t.row_feat, from);
  uint32_t any = kNone;
  float weight[4];
  BEVDEPLOY_UNROLL
  for (int k = 3; k >= 0; --k) {
    const bool full = index.v[k] < op.depth_count && pixel.v[k] < op.pixels;
    weight[k] = full ? load_value(op.depth + op.depth_layout.template offset<kBinsInner>(index.v[k])) : 0.f;
    any = full ? pixel.v[k] : any;
  }
  uint32_t read[4];
  BEVDEPLOY_UNROLL
  for (int k = 0; k < 4; ++k) read[k] = index.v[k] < op.depth_count && pixel.v[k] < op.pixels ? pixel.v[k] : any;
  store_16_bytes(s.weight + quad * 4, weight);
  store_words(s.pixel + quad * 4, read[0], read[1], read[2], read[3]);
}

template <int kW>
BEVDEPLOY_HD void finish_cell(GatherShared& s, const GatherShape& shape, GatherThread<kW>& me) {
  if (me.cell == kNone) return;
  if (s.start[me.cell] < me.begin) {
    me.carried = true;
    BEVDEPLOY_UNROLL
    for (int c = 0; c < kW; ++c) me.carry[c] = me.sum[c];
  } else {
    put_floats(s.tile() + me.cell * shape.tile_pitch + me.lane * kW, me.sum);
  }
  BEVDEPLOY_UNROLL
  for (int c = 0; c < kW; ++c) me.sum[c] = 0.f;
}

// The staged rows of the thread's slot. `feat` points at the lane's pack of pixel 0.
template <class TF, int kW>
BEVDEPLOY_HD void consume(GatherShared& s, const GatherShape& shape, GatherThread<kW>& me, const TF* feat,
                          uint32_t channels, uint32_t step) {
  if (!me.active) return;
  BEVDEPLOY_ROLLED
  for (uint32_t r = 0; r < kStepRows; ++r) {
    const uint32_t at = me.begin + step * kStepRows + r;
    if (at >= me.end) return;
    const uint32_t cell = s.list[at] & 31u;
    if (cell != me.cell) {
      finish_cell(s, shape, me);
      me.cell = cell;
    }
    const uint32_t staged = (me.slot * kStepRows + r) * kRowPoints;
    BEVDEPLOY_ROLLED
    for (uint32_t q = 0; q < kRowPoints; q += 4) {
      const Quad pixel = read_shared(s.pixel + staged + q), weight = read_shared(s.weight + staged + q);
      if (pixel.v[0] == kNone) continue;
      Pack<TF, kW> pack[4];
      BEVDEPLOY_UNROLL
      for (uint32_t k = 0; k < 4; ++k) pack[k] = load_pack<TF, kW>(feat + size_t(pixel.v[k]) * channels);
      BEVDEPLOY_UNROLL
      for (uint32_t k = 0; k < 4; ++k) {
        BEVDEPLOY_UNROLL
        for (int c = 0; c < kW; ++c) {
          me.sum[c] = multiply_add(float_from_bits(weight.v[k]), value_of(pack[k], c), me.sum[c]);
        }
      }
    }
  }
}

// After the last row, before a barrier; carries are written after it.
template <int kW>
BEVDEPLOY_HD void write_carry(GatherShared& s, const GatherShape& shape, const GatherThread<kW>& me) {
  if (me.carried) put_floats(s.carry() + me.slot * shape.chunk + me.lane * kW, me.carry);
}

// Tile plus carries: kV channels of cell `i` of the block, from `channel` of the chunk on.
template <int kV>
BEVDEPLOY_HD void whole_sums(GatherShared& s, const GatherShape& shape, uint32_t i, uint32_t channel,
                             float (&sum)[kV]) {
  const uint32_t first = s.owners[i] & 0xFFFFu, last = s.owners[i] >> 16;
  for (uint32_t slot = first; slot <= last; ++slot) {
    const float* from = slot == first ? s.tile() + i * shape.tile_pitch : s.carry() + slot * shape.chunk;
    if constexpr (kV == 1) {
      sum[0] += from[channel];
    } else {
      BEVDEPLOY_UNROLL
      for (int c = 0; c < kV; c += 4) {
        const Quad four = read_shared(from + channel + c);
        BEVDEPLOY_UNROLL
        for (int k = 0; k < 4; ++k) sum[c + k] += float_from_bits(four.v[k]);
      }
    }
  }
}

BEVDEPLOY_HD uint32_t stored_channels(const GatherShape& shape, const OutLayout& layout, uint32_t chunk) {
  return chunk + 1 == shape.chunks ? layout.channels - chunk * shape.chunk : shape.chunk;
}

// Item `item` of the block's share of the output: kV channels of a cell, or one where kV is 1. `chunk` counts blocks
// along the channels; the last one also owns the channels that the format adds, which are zero.
template <int kV, class TF, class TD, class TO>
BEVDEPLOY_HD void store_item(GatherShared& s, const GatherShape& shape, const Operands<TF, TD, TO>& op, uint32_t block,
                             uint32_t chunk, uint32_t item) {
  const uint32_t first = chunk * shape.chunk;
  const uint32_t groups = stored_channels(shape, op.out_layout, chunk) / kV;
  const uint32_t i = kV == 1 ? item % kBlockCells : item / groups;
  const uint32_t channel = kV == 1 ? item / kBlockCells : item % groups * kV;
  const uint32_t cell = cell_of_block(shape, block, i);
  if (cell >= op.out_layout.cells) return;
  float value[kV] = {};
  if (s.count[i] > 0 && first + channel < op.channels) whole_sums(s, shape, i, channel, value);
  BEVDEPLOY_UNROLL
  for (int c = 0; c < kV; ++c) value[c] = first + channel + c < op.channels ? value[c] * op.scale : 0.f;
  TO* to = op.out + op.out_layout.offset(first + channel, cell);
  if constexpr (kV == 1) {
    store_value(to, value[0]);
  } else {
    store_16_bytes(to, value);
  }
}

}  // namespace bevdeploy
