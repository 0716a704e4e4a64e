#pragma once

namespace bevdeploy {

const char* gpu_missing();  // why nothing can be run on a GPU here; nullptr: it can
// The library is optional; `few` as for check_kernels.
void check_on_gpu(const char* plugin_library, bool few);

}  // namespace bevdeploy
