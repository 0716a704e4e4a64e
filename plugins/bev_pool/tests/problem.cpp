#include "problem.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../kernels/numbers.h"
#include "check.h"

namespace bevdeploy {
namespace {

constexpr int32_t kRow = 16, kFan = 8;
constexpr float kInt8Scale = 0.03125f;

int64_t cells_of(const PoolSizes& n) { return int64_t(n.rows) * n.columns; }
int64_t pixels_of(const PoolSizes& n) { return int64_t(n.cameras) * n.height * n.width; }
int64_t depths_of(const PoolSizes& n) { return pixels_of(n) * n.bins; }

int32_t pixel_of(const PoolSizes& n, int32_t index) {
  const int32_t plane = n.height * n.width;
  return index / (plane * n.bins) * plane + index % plane;
}

int8_t quantised(float value) {
  return static_cast<int8_t>(std::lround(std::clamp(value / kInt8Scale, -127.f, 127.f)));
}

// Lines of `width` that hold `values`, the last filled up with `padding`.
int32_t append_lines(std::vector<int32_t>* lines, const std::vector<int32_t>& values, int32_t width, int32_t padding) {
  const auto count = static_cast<int32_t>((values.size() + width - 1) / width);
  lines->insert(lines->end(), values.begin(), values.end());
  lines->resize(lines->size() + count * width - values.size(), padding);
  return count;
}

template <class T, class Convert>
std::vector<unsigned char> bytes_of(const std::vector<float>& values, Convert convert) {
  std::vector<unsigned char> bytes(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    const T value = convert(values[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

// [B, N, H, W, pitch] of [B, N, D, H, W]; the unused bins are NaN.
std::vector<float> bins_innermost(const std::vector<float>& depth, const PoolSizes& n, int32_t pitch) {
  const size_t plane = size_t(n.height) * n.width;
  std::vector<float> turned(depth.size() / n.bins * pitch, std::nanf(""));
  for (size_t i = 0; i < depth.size(); ++i) {
    const size_t camera = i / (plane * n.bins), bin = i / plane % n.bins, in_plane = i % plane;
    turned[(camera * plane + in_plane) * pitch + bin] = depth[i];
  }
  return turned;
}

}  // namespace

PoolTables TableArrays::view(bool per_sample) const {
  PoolTables t;
  t.row_depth = row_depth.data(), t.row_feat = row_feat.data();
  t.sum1 = sum1.data(), t.sum2 = sum2.data(), t.cell_row = cell_row.data();
  t.row_count = static_cast<int32_t>(row_depth.size() / kRow);
  t.sum1_count = static_cast<int32_t>(sum1.size() / kFan);
  t.sum2_count = static_cast<int32_t>(sum2.size() / kFan);
  t.per_sample = per_sample;
  return t;
}

TableArrays tables_of_points(const PoolSizes& sizes, const Points& points, int32_t spare) {
  TableArrays t;
  const auto empty = static_cast<int32_t>(depths_of(sizes));
  std::vector<std::vector<int32_t>> rows(points.size()), sums(points.size());
  int32_t row_count = 0, sum1_count = 0, sum2_count = 0;
  for (size_t cell = 0; cell < points.size(); ++cell) {
    std::vector<int32_t> pixels;
    for (int32_t index : points[cell]) pixels.push_back(pixel_of(sizes, index));
    append_lines(&t.row_feat, pixels, kRow, 0);
    const int32_t count = append_lines(&t.row_depth, points[cell], kRow, empty);
    for (int32_t k = 0; k < count; ++k) rows[cell].push_back(1 + row_count++);
  }
  row_count += spare;
  t.row_depth.resize(size_t(row_count) * kRow, empty), t.row_feat.resize(size_t(row_count) * kRow, 0);
  for (size_t cell = 0; cell < points.size(); ++cell) {
    if (rows[cell].size() < 2) continue;
    const int32_t count = append_lines(&t.sum1, rows[cell], kFan, 0);
    for (int32_t k = 0; k < count; ++k) sums[cell].push_back(1 + row_count + sum1_count++);
  }
  sum1_count += spare;
  t.sum1.resize(size_t(sum1_count) * kFan, 0);
  t.cell_row.assign(points.size(), 0);
  for (size_t cell = 0; cell < points.size(); ++cell) {
    if (sums[cell].size() > 1) {
      append_lines(&t.sum2, sums[cell], kFan, 0);
      t.cell_row[cell] = 1 + row_count + sum1_count + sum2_count++;
    } else if (sums[cell].size() == 1) {
      t.cell_row[cell] = sums[cell][0];
    } else if (!rows[cell].empty()) {
      t.cell_row[cell] = rows[cell][0];
    }
  }
  sum2_count += spare;
  t.sum2.resize(size_t(sum2_count) * kFan, 0);
  return t;
}

Points random_points(const PoolSizes& sizes, std::mt19937& random, double share) {
  Points points(cells_of(sizes));
  // cells are drawn by a square, so that a few are crowded and many empty
  std::uniform_real_distribution<double> unit(0, 1);
  for (int32_t index = 0; index < depths_of(sizes); ++index) {
    if (unit(random) >= share) continue;
    const double drawn = unit(random);
    std::vector<int32_t>& cell = points[static_cast<size_t>(drawn * drawn * static_cast<double>(points.size()))];
    if (cell.size() < 1024) cell.push_back(index);
  }
  return points;
}

Problem problem_of(std::string name, const PoolSizes& sizes, TableArrays tables, std::mt19937& random) {
  Problem problem{std::move(name), sizes, std::move(tables), false, true, {}, {}};
  std::normal_distribution<float> normal;
  problem.depth.resize(size_t(sizes.batch) * depths_of(sizes));
  for (float& value : problem.depth) value = float_from_half(half_from_float(std::exp(2 * normal(random) - 4)));
  problem.feat.resize(size_t(sizes.batch) * pixels_of(sizes) * sizes.channels);
  for (float& value : problem.feat) value = float_from_half(half_from_float(normal(random)));
  return problem;
}

std::vector<double> exact_answer(const Problem& problem, PoolStorage storage) {
  const PoolSizes& n = problem.sizes;
  const PoolTables t = problem.tables.view();
  const int64_t samples = problem.per_sample ? n.batch : 1, channels = n.channels, cells = cells_of(n);
  const int64_t rows = t.row_count / samples, sums1 = t.sum1_count / samples, sums2 = t.sum2_count / samples;
  std::vector<double> answer(size_t(n.batch) * channels * cells);
  for (int64_t b = 0; b < n.batch; ++b) {
    const int64_t set = problem.per_sample ? b : 0;
    const float* depth = problem.depth.data() + b * depths_of(n);
    const float* feat = problem.feat.data() + b * pixels_of(n) * channels;
    for (int64_t c = 0; c < channels; ++c) {
      std::vector<double> partial(1 + rows + sums1 + sums2, 0.0);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t i = 0; i < kRow; ++i) {
          const int32_t index = t.row_depth[(set * rows + row) * kRow + i];
          const int32_t pixel = t.row_feat[(set * rows + row) * kRow + i];
          if (index < 0 || index >= depths_of(n) || pixel < 0 || pixel >= pixels_of(n)) continue;
          const float value = feat[pixel * channels + c];
          const double held = storage == PoolStorage::int8 ? double(quantised(value)) * kInt8Scale : double(value);
          partial[1 + row] += double(depth[index]) * held;
        }
      }
      const auto add = [&](const int32_t* table, int64_t lines, int64_t first, int64_t below) {
        for (int64_t line = 0; line < lines; ++line) {
          for (int64_t i = 0; i < kFan; ++i) {
            const int64_t from = table[(set * lines + line) * kFan + i];
            if (from > 0 && from < below) partial[first + line] += partial[from];
          }
        }
      };
      add(t.sum1, sums1, 1 + rows, 1 + rows);
      add(t.sum2, sums2, 1 + rows + sums1, 1 + rows + sums1);
      for (int64_t cell = 0; cell < cells; ++cell) {
        const int64_t whole = t.cell_row[set * cells + cell];
        const bool named = whole >= 0 && whole < static_cast<int64_t>(partial.size());
        answer[(b * channels + c) * cells + cell] = named ? partial[whole] : 0.0;
      }
    }
  }
  return answer;
}

Run::Run(const Problem& problem, PoolKernel kernel, PoolStorage storage, bool bins_inner, int32_t out_vector) {
  const PoolSizes& n = problem.sizes;
  call.kernel = kernel, call.storage = storage, call.sizes = n, call.out_vector = out_vector;
  if (bins_inner) call.depth_pitch = storage == PoolStorage::fp32 ? n.bins : (n.bins + 7) / 8 * 8;
  const auto half = [](float value) { return static_cast<uint16_t>(half_from_float(value)); };
  const auto same = [](float value) { return value; };
  const std::vector<float> turned = bins_inner ? bins_innermost(problem.depth, n, call.depth_pitch) : problem.depth;
  depth = storage == PoolStorage::fp32 ? bytes_of<float>(turned, same) : bytes_of<uint16_t>(turned, half);
  feat = storage == PoolStorage::fp32   ? bytes_of<float>(problem.feat, same)
         : storage == PoolStorage::fp16 ? bytes_of<uint16_t>(problem.feat, half)
                                        : bytes_of<int8_t>(problem.feat, quantised);
  if (storage == PoolStorage::int8) call.feat_scale = kInt8Scale;
  const size_t stored = size_t(n.channels + out_vector - 1) / out_vector * out_vector * cells_of(n) * n.batch;
  out.resize(stored * (storage == PoolStorage::fp32 ? 4 : 2) + 2 * guard);
  poison();
  call.depth = depth.data(), call.feat = feat.data(), call.out = out.data() + guard;
  call.tables = problem.tables.view(problem.per_sample);
  if (problem.per_sample) {
    call.tables.row_count /= n.batch, call.tables.sum1_count /= n.batch, call.tables.sum2_count /= n.batch;
  }
  if (kernel == PoolKernel::runs) {
    const std::string why = pack_runs(n, call.tables, &packed);
    check(why.empty(), problem.name + ": not packed: " + why);
    check(pad_runs(&packed, packed.words.size() / 4 + 5, packed.slot_info.size() + 11).empty(), "padded runs fit");
    call.runs = runs_of(packed);
  }
}

void Run::poison() { std::fill(out.begin(), out.end(), 0xFF); }  // NaN in fp32 and in fp16

double judged_error(const Run& run, const std::vector<double>& answer, const std::string& what) {
  const PoolSizes& n = run.call.sizes;
  const auto untouched = [](unsigned char byte) { return byte == 0xFF; };
  check(std::all_of(run.out.begin(), run.out.begin() + Run::guard, untouched), what + ": guard before the output");
  check(std::all_of(run.out.end() - Run::guard, run.out.end(), untouched), what + ": guard after the output");
  const int64_t vector = run.call.out_vector, cells = cells_of(n), groups = (n.channels + vector - 1) / vector;
  const bool single = run.call.storage == PoolStorage::fp32;
  const unsigned char* at = run.out.data() + Run::guard;
  double difference = 0, norm = 0;
  bool finite = true, zero = true;
  for (int64_t b = 0; b < n.batch; ++b) {
    for (int64_t group = 0; group < groups; ++group) {
      for (int64_t cell = 0; cell < cells; ++cell) {
        for (int64_t v = 0; v < vector; ++v, at += single ? 4 : 2) {
          float got;
          uint16_t bits;
          if (single) {
            std::memcpy(&got, at, 4);
          } else {
            std::memcpy(&bits, at, 2);
            got = float_from_half(bits);
          }
          const int64_t channel = group * vector + v;
          finite = finite && std::isfinite(got);
          if (channel >= n.channels) {
            zero = zero && got == 0.f;
            continue;
          }
          const double want = answer[(b * n.channels + channel) * cells + cell];
          difference += (got - want) * (got - want);
          norm += want * want;
        }
      }
    }
  }
  check(finite, what + ": a value was not written");
  check(zero, what + ": a channel that the format adds is not zero");
  if (!finite) return INFINITY;
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

double most_error(PoolStorage storage) { return storage == PoolStorage::fp32 ? 1e-6 : 5e-4; }

}  // namespace bevdeploy
