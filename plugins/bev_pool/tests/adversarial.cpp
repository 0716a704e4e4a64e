// Problems that a pool gets wrong: nothing to add, everything in one cell, sizes that divide nothing, tables of
// garbage.
#include <algorithm>

#include "problem.h"

namespace bevdeploy {
namespace {

PoolSizes sizes_of(int cameras, int bins, int height, int width, int channels, int rows, int columns, int batch = 1) {
  PoolSizes n;
  n.batch = batch, n.cameras = cameras, n.bins = bins, n.height = height, n.width = width;
  n.channels = channels, n.rows = rows, n.columns = columns;
  return n;
}

Points no_points(const PoolSizes& n) { return Points(size_t(n.rows) * n.columns); }

// Partials of any kind in any slot, gaps between them, indices outside every table.
TableArrays garbage_tables(const PoolSizes& n, std::mt19937& random) {
  constexpr int32_t rows = 37, sums1 = 11, sums2 = 7;
  const int32_t depths = n.cameras * n.bins * n.height * n.width, pixels = n.cameras * n.height * n.width;
  const auto drawn = [&random](size_t count, int32_t low, int32_t high) {
    std::uniform_int_distribution<int32_t> among(low, high);
    std::vector<int32_t> values(count);
    for (int32_t& value : values) value = among(random);
    return values;
  };
  TableArrays t;
  t.row_depth = drawn(rows * 16, -3, depths + depths / 3), t.row_feat = drawn(rows * 16, -2, pixels + 1);
  t.sum1 = drawn(sums1 * 8, -2, rows + 4), t.sum2 = drawn(sums2 * 8, -2, rows + sums1 + 3);
  t.cell_row = drawn(size_t(n.rows) * n.columns, -2, rows + sums1 + sums2 + 3);
  return t;
}

}  // namespace

std::vector<Problem> adversarial_problems() {
  std::mt19937 random(20240917);
  std::vector<Problem> problems;
  const auto add = [&](std::string name, const PoolSizes& n, const Points& points, int32_t spare) {
    problems.push_back(problem_of(std::move(name), n, tables_of_points(n, points, spare), random));
  };
  const PoolSizes small = sizes_of(2, 13, 5, 7, 16, 9, 6);
  add("no point", small, no_points(small), 3);

  for (int32_t count : {1, 15, 16, 17, 128, 129, 911, 1024}) {
    const PoolSizes n = sizes_of(3, 12, 6, 10, 24, 8, 5);
    Points points = no_points(n);
    for (int32_t i = 0; i < count; ++i) points[33].push_back(i * 2 % (3 * 12 * 6 * 10 - 1));
    add("one cell of " + std::to_string(count), n, points, 1);
  }
  {
    Points points = no_points(small);  // a cell with every kind of neighbour, in the last block
    for (int32_t i = 0; i < 900; ++i) points[i < 600 ? 53 : i % 9].push_back(i);
    add("crowded last cell", small, points, 1);
  }
  {
    Points points = no_points(small);
    points[53].push_back(2 * 13 * 5 * 7 - 1);
    add("last depth value alone", small, points, 1);
  }
  {
    const PoolSizes n = sizes_of(1, 40, 4, 4, 16, 2, 3);  // long stretches of one pixel, two cells in turns
    Points points = no_points(n);
    for (int32_t bin = 0; bin < 40; ++bin) {
      for (int32_t pixel = 0; pixel < 16; ++pixel) points[pixel < 8 ? 1 : bin % 2 * 2].push_back(bin * 16 + pixel);
    }
    add("stretches and alternating bins", n, points, 1);
  }
  for (int channels : {1, 2, 7, 8, 16, 64, 80, 81, 136, 261}) {
    const PoolSizes n = sizes_of(2, 11, 5, 9, channels, 13, 17);
    add("C = " + std::to_string(channels), n, random_points(n, random, 0.8), 2);
  }
  for (auto [rows, columns] : {std::pair<int, int>{1, 1}, {1, 100}, {77, 1}, {31, 33}, {128, 8}}) {
    const PoolSizes n = sizes_of(2, 29, 7, 5, 24, rows, columns);
    const std::string name = "grid " + std::to_string(rows) + " x " + std::to_string(columns);
    add(name, n, random_points(n, random, rows * columns == 1 ? 0.4 : 0.9), 2);
  }
  {
    const PoolSizes n = sizes_of(2, 11, 5, 9, 40, 12, 11, 3);
    add("batch of 3, one set of tables", n, random_points(n, random, 0.8), 2);
    TableArrays all;
    for (int b = 0; b < 3; ++b) {  // garbage has equal sizes
      TableArrays set = garbage_tables(n, random);
      for (auto [to, from] : {std::pair<std::vector<int32_t>*, std::vector<int32_t>*>{&all.row_depth, &set.row_depth},
                              {&all.row_feat, &set.row_feat},
                              {&all.sum1, &set.sum1},
                              {&all.sum2, &set.sum2},
                              {&all.cell_row, &set.cell_row}}) {
        to->insert(to->end(), from->begin(), from->end());
      }
    }
    problems.push_back(problem_of("batch of 3, tables of each", n, all, random));
    problems.back().per_sample = true, problems.back().packable = false;
  }
  {
    const PoolSizes n = sizes_of(2, 6, 4, 5, 32, 10, 14);
    problems.push_back(problem_of("tables of garbage", n, garbage_tables(n, random), random));
    problems.back().packable = false;
  }
  return problems;
}

}  // namespace bevdeploy
