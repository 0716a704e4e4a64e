// Packed runs of the node's tables, on the host.
#pragma once

#include <string>
#include <vector>

#include "bev_pool.h"

namespace bevdeploy {

struct PackedRuns {
  std::vector<uint32_t> words;       // [groups * 4]
  std::vector<uint32_t> slot_start;  // [slots + 1]
  std::vector<uint32_t> slot_info;   // [slots]
};

// Runs of the points that `tables` (one sample's) name. A run is a pixel and one or two neighbouring bins of a cell; a
// longer stretch, and a point that a cell names twice, is one more run.
// Returns an empty string, or why the tables cannot be packed: sizes beyond the words' fields, an index that names no
// value, a row_feat that is not the pixel of its row_depth.
std::string pack_runs(const PoolSizes& sizes, const PoolTables& tables, PackedRuns* packed);

// Pads to a declared capacity, so that another rig's runs are a copy into the same buffers: slots that name no cell.
// Returns an empty string, or which capacity is exceeded.
std::string pad_runs(PackedRuns* packed, size_t groups, size_t slots);

PoolRuns runs_of(const PackedRuns& packed);

}  // namespace bevdeploy
