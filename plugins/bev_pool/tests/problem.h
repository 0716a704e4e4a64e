// Pool problems with their answer in float64, and runs of them on guarded, poisoned buffers.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "../kernels/bev_pool.h"
#include "../kernels/pack_runs.h"

namespace bevdeploy {

struct TableArrays {
  std::vector<int32_t> row_depth, row_feat, sum1, sum2, cell_row;
  PoolTables view(bool per_sample = false) const;
};

struct Problem {
  std::string name;
  PoolSizes sizes;
  TableArrays tables;  // of all samples, one after the other where per_sample
  bool per_sample = false;
  bool packable = true;      // row_feat is the pixel of row_depth everywhere
  std::vector<float> depth;  // [B, N, D, H, W], exact in fp16
  std::vector<float> feat;   // [B, N, H, W, C], exact in fp16
};

using Points = std::vector<std::vector<int32_t>>;  // [cells] depth indices of a cell's points

// Tables of points by the node's contract: rows of 16, sums of 8, padded by `spare` rows and sums.
TableArrays tables_of_points(const PoolSizes& sizes, const Points& points, int32_t spare);

Points random_points(const PoolSizes& sizes, std::mt19937& random, double share);
Problem problem_of(std::string name, const PoolSizes& sizes, TableArrays tables, std::mt19937& random);

// [B, C, Y, X], from the node's definition: all partials in a list, in float64, of the values as `storage` holds them.
std::vector<double> exact_answer(const Problem& problem, PoolStorage storage);

// depth, feat and a poisoned output between guard bands, in the storage and order of a call.
struct Run {
  PoolCall call;  // on the host buffers below
  std::vector<unsigned char> depth, feat, out;
  PackedRuns packed;
  static constexpr size_t guard = 4096;  // bytes before and after the output

  Run(const Problem& problem, PoolKernel kernel, PoolStorage storage, bool bins_inner, int32_t out_vector);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  size_t out_bytes() const { return out.size() - 2 * guard; }
  void poison();
};

// Relative L2 of the run's output to the answer; prints and counts touched guards, unwritten values, non-zero padding.
double judged_error(const Run& run, const std::vector<double>& answer, const std::string& what);
double most_error(PoolStorage storage);  // rel-L2: 1e-6 in fp32, 5e-4 where the output is fp16

std::vector<Problem> adversarial_problems();

}  // namespace bevdeploy
