#include "pack_runs.h"

#include <algorithm>
#include <array>

#include "runs.h"

namespace bevdeploy {
namespace {

struct Run {
  uint32_t column;  // camera * W + column of the image
  uint32_t row;
  uint32_t bin;
  uint32_t bins;  // 1 or 2
  uint32_t pixel;

  uint32_t word() const { return bins | bin << 2 | pixel << 12; }
};

struct Cell {
  uint32_t cell;
  std::vector<Run> runs;
  std::array<uint32_t, 4> order;  // columns (3: three or more), first column, last column, first bin
};

std::vector<uint32_t> rows_of_cell(const PoolTables& t, uint32_t whole) {
  const uint32_t first_sum1 = 1 + t.row_count, first_sum2 = first_sum1 + t.sum1_count;
  std::vector<uint32_t> parts{whole}, rows;
  if (whole >= first_sum2 && whole - first_sum2 < static_cast<uint32_t>(t.sum2_count)) {
    const int32_t* line = t.sum2 + size_t(whole - first_sum2) * kFanIn;
    parts.assign(line, line + kFanIn);
  }
  for (uint32_t part : parts) {
    if (part >= 1 && part < first_sum1) rows.push_back(part - 1);
    if (part < first_sum1 || part >= first_sum2) continue;
    const int32_t* line = t.sum1 + size_t(part - first_sum1) * kFanIn;
    for (uint32_t k = 0; k < kFanIn; ++k) {
      if (line[k] >= 1 && static_cast<uint32_t>(line[k]) < first_sum1) rows.push_back(line[k] - 1);
    }
  }
  return rows;
}

std::string points_of_cell(const PoolSizes& n, const PoolTables& t, uint32_t whole, std::vector<Run>* points) {
  const uint32_t plane = n.height * n.width, count = plane * n.cameras * n.bins;
  for (uint32_t row : rows_of_cell(t, whole)) {
    for (uint32_t i = 0; i < kRowPoints; ++i) {
      const uint32_t index = t.row_depth[size_t(row) * kRowPoints + i];
      const uint32_t pixel = t.row_feat[size_t(row) * kRowPoints + i];
      if (index >= count) continue;
      const uint32_t camera = index / (plane * n.bins), bin = index / plane % n.bins, in_plane = index % plane;
      if (pixel != camera * plane + in_plane) {
        return "row " + std::to_string(row) + ": row_feat " + std::to_string(pixel) +
               " is not the pixel of row_depth " + std::to_string(index);
      }
      points->push_back({camera * n.width + in_plane % n.width, in_plane / n.width, bin, 1, pixel});
    }
  }
  return "";
}

std::vector<Run> runs_of_points(std::vector<Run> points) {
  std::stable_sort(points.begin(), points.end(), [](const Run& a, const Run& b) {
    return std::array<uint32_t, 3>{a.column, a.row, a.bin} < std::array<uint32_t, 3>{b.column, b.row, b.bin};
  });
  std::vector<Run> runs;
  for (const Run& point : points) {
    if (!runs.empty() && runs.back().pixel == point.pixel && runs.back().bins == 1 &&
        runs.back().bin + 1 == point.bin) {
      runs.back().bins = 2;
    } else {
      runs.push_back(point);
    }
  }
  return runs;
}

Cell cell_of_runs(uint32_t cell, std::vector<Run> runs) {
  Cell made{cell, std::move(runs), {}};
  if (made.runs.empty()) return made;
  uint32_t columns = 1, first_bin = made.runs[0].bin;
  for (size_t i = 1; i < made.runs.size(); ++i) {
    columns += made.runs[i].column != made.runs[i - 1].column;
    first_bin = std::min(first_bin, made.runs[i].bin);
  }
  made.order = {std::min(columns, 3u), made.runs.front().column, made.runs.back().column, first_bin};
  return made;
}

uint32_t parts_of_runs(size_t runs) {
  uint32_t parts = 1;
  while (parts < kMostParts && size_t(parts) * 64 < runs) parts *= 2;
  return parts;
}

void append_cell(const Cell& cell, PackedRuns* packed) {
  const uint32_t parts = parts_of_runs(cell.runs.size()), groups = static_cast<uint32_t>((cell.runs.size() + 3) / 4);
  uint32_t log2_parts = 0;
  while ((1u << log2_parts) < parts) ++log2_parts;
  for (uint32_t part = 0; part < parts; ++part) {
    const size_t begin = size_t(groups) * part / parts, end = size_t(groups) * (part + 1) / parts;
    for (size_t i = begin * 4; i < end * 4; ++i) {
      // a padding word names the last run's point, with no bins
      packed->words.push_back(i < cell.runs.size() ? cell.runs[i].word() : cell.runs.back().word() & ~3u);
    }
    packed->slot_start.push_back(static_cast<uint32_t>(packed->words.size() / 4));
    packed->slot_info.push_back(cell.cell | part << 24 | log2_parts << 29);
  }
}

}  // namespace

std::string pack_runs(const PoolSizes& n, const PoolTables& t, PackedRuns* packed) {
  const uint64_t cells = uint64_t(n.rows) * n.columns, pixels = uint64_t(n.cameras) * n.height * n.width;
  if (pixels > 1u << 20 || n.bins > 1024 || cells >= kNoCell)
    return "packed runs hold 2^20 pixels, 1,024 bins, 2^24-2 cells";
  std::vector<Cell> made;
  for (uint32_t cell = 0; cell < cells; ++cell) {
    std::vector<Run> points;
    const std::string why = points_of_cell(n, t, static_cast<uint32_t>(t.cell_row[cell]), &points);
    if (!why.empty()) return why;
    made.push_back(cell_of_runs(cell, runs_of_points(std::move(points))));
  }
  // Divided cells first, most parts first: their parts then start at a multiple of kMostParts in a block, and the
  // longest work starts first. Then neighbours in the image, each 32 of them longest first; empty cells last.
  std::stable_sort(made.begin(), made.end(), [](const Cell& a, const Cell& b) {
    const uint32_t parts_a = parts_of_runs(a.runs.size()), parts_b = parts_of_runs(b.runs.size());
    if (parts_a != parts_b) return parts_a > parts_b;
    if (a.runs.empty() != b.runs.empty()) return b.runs.empty();
    return a.order < b.order;
  });
  const auto plain =
      std::find_if(made.begin(), made.end(), [](const Cell& c) { return parts_of_runs(c.runs.size()) == 1; });
  for (auto from = plain; from != made.end();) {
    const auto to = made.end() - from > 32 ? from + 32 : made.end();
    std::stable_sort(from, to, [](const Cell& a, const Cell& b) { return a.runs.size() > b.runs.size(); });
    from = to;
  }
  *packed = {};
  packed->slot_start.push_back(0);
  for (const Cell& cell : made) append_cell(cell, packed);
  if (packed->words.empty()) packed->words.assign(4, 0);
  return "";
}

std::string pad_runs(PackedRuns* packed, size_t groups, size_t slots) {
  if (packed->words.size() > groups * 4) {
    return "the runs need " + std::to_string(packed->words.size() / 4) + " groups, declared are " +
           std::to_string(groups);
  }
  if (packed->slot_info.size() > slots) {
    return "the runs need " + std::to_string(packed->slot_info.size()) + " slots, declared are " +
           std::to_string(slots);
  }
  packed->words.resize(groups * 4, 0);
  packed->slot_start.resize(slots + 1, packed->slot_start.back());
  packed->slot_info.resize(slots, kNoCell);
  return "";
}

PoolRuns runs_of(const PackedRuns& packed) {
  return {packed.words.data(), packed.slot_start.data(), packed.slot_info.data(),
          static_cast<int32_t>(packed.words.size() / 4), static_cast<int32_t>(packed.slot_info.size())};
}

}  // namespace bevdeploy
