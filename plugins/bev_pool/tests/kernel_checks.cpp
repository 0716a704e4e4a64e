#include "kernel_checks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "../kernels/layouts.h"
#include "../kernels/runs.h"
#include "check.h"

namespace bevdeploy {
namespace {

const char* name_of(PoolKernel kernel) {
  return kernel == PoolKernel::reference ? "reference" : kernel == PoolKernel::gather ? "gather" : "runs";
}
const char* name_of(PoolStorage storage) {
  return storage == PoolStorage::fp32 ? "fp32" : storage == PoolStorage::fp16 ? "fp16" : "int8";
}

}  // namespace

void check_kernels(const Machine& machine, bool few) {
  std::map<std::string, double> worst;
  for (const Problem& problem : adversarial_problems()) {
    for (PoolStorage storage : {PoolStorage::fp32, PoolStorage::fp16, PoolStorage::int8}) {
      const std::vector<double> answer = exact_answer(problem, storage);
      for (PoolKernel kernel : {PoolKernel::reference, PoolKernel::gather, PoolKernel::runs}) {
        if (kernel == PoolKernel::runs && !problem.packable) continue;
        const int32_t channels = problem.sizes.channels;
        const int32_t packed = (channels + 7) / 8 * 8;
        const auto vectors = few ? std::set<int32_t>{1, packed} : std::set<int32_t>{1, channels, packed, 16, 32};
        for (int32_t vector : vectors) {
          for (bool bins_inner : {false, true}) {
            for (int32_t line : {0, 1, 32}) {
              if (line > 0 && (few || kernel != PoolKernel::gather || bins_inner)) continue;
              Run run(problem, kernel, storage, bins_inner, vector);
              run.call.line_cells = line;
              const std::string what = problem.name + ", " + name_of(kernel) + ", " + name_of(storage) + ", vector " +
                                       std::to_string(vector) + (bins_inner ? ", bins innermost" : "") +
                                       (line ? ", lines of " + std::to_string(line) : "");
              if (!check(machine(run), what + ": was not run")) continue;
              const double error = judged_error(run, answer, what);
              check(error <= most_error(storage), what + ": relative L2 " + std::to_string(error));
              double& most = worst[std::string(name_of(kernel)) + " " + name_of(storage)];
              most = std::max(most, error);
            }
          }
        }
      }
    }
  }
  for (const auto& [name, error] : worst) std::printf("  %-16s worst relative L2 %.2e\n", name.c_str(), error);
}

void check_refusals() {
  std::mt19937 random(1);
  PoolSizes n;
  n.cameras = 2, n.bins = 6, n.height = 4, n.width = 5, n.channels = 8, n.rows = 4, n.columns = 5;
  const Problem problem = problem_of("", n, tables_of_points(n, random_points(n, random, 0.5), 1), random);
  Run run(problem, PoolKernel::gather, PoolStorage::fp16, false, 1);
  const PoolCall good = run.call;
  check(refusal(good) == nullptr, "a good call is accepted");
  const auto refused = [&good](const char* what, auto&& spoil) {
    PoolCall call = good;
    spoil(call);
    check(refusal(call) != nullptr, std::string("refused: ") + what);
    check(emulate_bev_pool(call, nullptr) == 1, std::string("not run: ") + what);
  };
  refused("no channels", [](PoolCall& c) { c.sizes.channels = 0; });
  refused("negative bins", [](PoolCall& c) { c.sizes.bins = -1; });
  refused("2^31 depth values", [](PoolCall& c) { c.sizes.height = c.sizes.width = 1 << 14, c.sizes.bins = 4; });
  refused("2^31 outputs", [](PoolCall& c) { c.sizes.rows = c.sizes.columns = 1 << 14; });
  refused("no output", [](PoolCall& c) { c.out = nullptr; });
  refused("no table", [](PoolCall& c) { c.tables.sum1 = nullptr; });
  refused("no rows", [](PoolCall& c) { c.tables.row_count = 0; });
  refused("a table between 16 bytes", [](PoolCall& c) { c.tables.row_depth += 1; });
  refused("half a value", [](PoolCall& c) { c.depth = static_cast<const char*>(c.depth) + 1; });
  refused("a pitch below the bins", [](PoolCall& c) { c.depth_pitch = 5; });
  refused("no vector", [](PoolCall& c) { c.out_vector = 0; });
  refused("lines of 3", [](PoolCall& c) { c.line_cells = 3; });
  refused("runs without arrays", [](PoolCall& c) { c.kernel = PoolKernel::runs; });
  refused("an unknown kernel", [](PoolCall& c) { c.kernel = static_cast<PoolKernel>(9); });

  // an odd address of feat and of the output: narrower loads and stores, the same values
  std::vector<unsigned char> moved(run.feat.size() + 2), plain(run.out_bytes()), odd(run.out_bytes() + 2);
  std::memcpy(moved.data() + 2, run.feat.data(), run.feat.size());
  PoolCall call = good;
  call.out_vector = 8;
  call.out = plain.data();
  check(emulate_bev_pool(call, nullptr) == 0, "aligned feat");
  call.feat = moved.data() + 2, call.out = odd.data() + 2;
  check(emulate_bev_pool(call, nullptr) == 0, "feat between 16 bytes");
  check(std::memcmp(plain.data(), odd.data() + 2, plain.size()) == 0, "feat and output between 16 bytes: other values");
}

void check_half_numbers() {
  bool exact = true;
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const bool nan = (bits & 0x7C00u) == 0x7C00u && (bits & 0x3FFu) != 0;
    const float value = float_from_half(bits);
    exact = exact && (nan ? std::isnan(value) : half_from_float(value) == bits);
  }
  check(exact, "every half goes to float and back");
  // halfway between neighbours: to the even one; just beside it: to the nearer
  bool ties = true;
  for (uint32_t bits = 0; bits < 0x7BFFu; ++bits) {
    const float low = float_from_half(bits), high = float_from_half(bits + 1), middle = low + (high - low) / 2;
    ties = ties && half_from_float(middle) == (bits & 1u ? bits + 1 : bits);
    ties = ties && half_from_float(std::nextafterf(middle, high)) == bits + 1;
    ties = ties && half_from_float(std::nextafterf(middle, low)) == bits;
  }
  check(ties, "ties go to even");
  check(half_from_float(65520.f) == 0x7C00u && half_from_float(65519.f) == 0x7BFFu, "infinity from 65,520 on");

  std::mt19937 random(3);
  for (uint32_t d : {1u, 2u, 3u, 7u, 704u, 4224u, 498432u, 1993728u, 0x3FFFFFFFu, 0x40000001u, 0x7FFFFFFFu}) {
    const Divider divider = Divider::by(d);
    bool right = true;
    for (int i = 0; i < 20000; ++i) {
      const uint32_t x = random() >> 1, near = x / d * d;
      for (uint32_t value : {x, near, near ? near - 1 : 0u, 0x7FFFFFFFu})
        right = right && divider.quotient(value) == value / d;
    }
    check(right, "division by " + std::to_string(d));
  }
}

void check_packer() {
  for (const Problem& problem : adversarial_problems()) {
    if (!problem.packable) continue;
    const PoolSizes& n = problem.sizes;
    const PoolTables t = problem.tables.view();
    PackedRuns packed;
    if (!check(pack_runs(n, t, &packed).empty(), problem.name + ": packs")) continue;
    // (cell, pixel, bin) of the tables, each through its partial's rows, and of the words
    using Point = std::tuple<uint32_t, uint32_t, uint32_t>;
    std::multiset<Point> wanted, got;
    std::vector<std::vector<uint32_t>> rows(1 + t.row_count + t.sum1_count + t.sum2_count);
    for (int32_t row = 0; row < t.row_count; ++row) rows[1 + row] = {static_cast<uint32_t>(row)};
    for (int32_t i = 0; i < (t.sum1_count + t.sum2_count) * 8; ++i) {
      const int32_t from = i < t.sum1_count * 8 ? t.sum1[i] : t.sum2[i - t.sum1_count * 8];
      std::vector<uint32_t>& to = rows[1 + t.row_count + i / 8];
      to.insert(to.end(), rows[from].begin(), rows[from].end());
    }
    const int32_t plane = n.height * n.width;
    for (int32_t cell = 0; cell < n.rows * n.columns; ++cell) {
      for (uint32_t row : rows[t.cell_row[cell]]) {
        for (int i = 0; i < 16; ++i) {
          const int32_t index = t.row_depth[row * 16 + i];
          if (index < n.cameras * n.bins * plane)
            wanted.insert({cell, t.row_feat[row * 16 + i], index / plane % n.bins});
        }
      }
    }
    std::multiset<uint32_t> cells;
    bool neighbours = true;
    for (size_t slot = 0; slot < packed.slot_info.size(); ++slot) {
      const uint32_t info = packed.slot_info[slot], cell = info & kNoCell, part = part_of(info);
      if (part == 0) cells.insert(cell);
      // parts of a cell are neighbours in one aligned group, so no block divides them
      neighbours =
          neighbours && (slot - part) % parts_of(info) == 0 && (packed.slot_info[slot - part] & kNoCell) == cell;
      for (uint32_t i = packed.slot_start[slot] * 4; i < packed.slot_start[slot + 1] * 4; ++i) {
        const uint32_t word = packed.words[i];
        for (uint32_t k = 0; k < (word & 3u); ++k) got.insert({cell, word >> 12, ((word >> 2) & 1023u) + k});
      }
    }
    check(wanted == got, problem.name + ": the runs name the points of the tables");
    check(neighbours, problem.name + ": parts of a cell lie side by side");
    bool every = cells.size() == size_t(n.rows) * n.columns;
    for (int32_t cell = 0; cell < n.rows * n.columns; ++cell) every = every && cells.count(cell) == 1;
    check(every, problem.name + ": every cell has a slot, empty ones too");
    check(!pad_runs(&packed, packed.words.size() / 4 - 1, packed.slot_info.size()).empty(),
          "too few groups are refused");
    check(!pad_runs(&packed, packed.words.size() / 4, packed.slot_info.size() - 1).empty(),
          "too few slots are refused");
  }
  std::mt19937 random(2);
  PoolSizes n;
  n.cameras = 2, n.bins = 6, n.height = 4, n.width = 5, n.channels = 8, n.rows = 4, n.columns = 5;
  TableArrays tables = tables_of_points(n, random_points(n, random, 0.5), 1);
  tables.row_feat[0] += 1;
  PackedRuns packed;
  check(!pack_runs(n, tables.view(), &packed).empty(), "a row_feat of another pixel is refused");
  n.bins = 1025;
  check(!pack_runs(n, tables.view(), &packed).empty(), "1,025 bins are refused");
}

}  // namespace bevdeploy
