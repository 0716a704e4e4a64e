#pragma once

#include <functional>

#include "problem.h"

namespace bevdeploy {

// Computes a run's output; false where that failed. On the host, or on a device and back.
using Machine = std::function<bool(Run& run)>;

// Every kernel, storage, order of depth and output format on every adversarial problem against float64; `few`: a third
// of the formats and no other line lengths, for machines that are slowed down.
void check_kernels(const Machine& machine, bool few);
void check_refusals();
void check_half_numbers();
void check_packer();

}  // namespace bevdeploy
