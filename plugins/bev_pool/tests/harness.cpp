// The native harness. Without arguments: all that needs no GPU. Exit codes: 0 passed, 1 failed, 2 wrong usage, 77
// skipped.
//   bev_pool_harness [--gpu [--few]] [--plugin LIBRARY]
#include <cstring>

#include "check.h"
#include "gpu_checks.h"
#include "kernel_checks.h"
#include "plugin_checks.h"

int main(int argc, char** argv) {
  bool gpu = false, few = false;
  const char* plugin = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--gpu") == 0) {
      gpu = true;
    } else if (std::strcmp(argv[i], "--few") == 0) {
      few = true;
    } else if (std::strcmp(argv[i], "--plugin") == 0 && i + 1 < argc) {
      plugin = argv[++i];
    } else {
      std::printf("usage: bev_pool_harness [--gpu [--few]] [--plugin LIBRARY]\n");
      return 2;
    }
  }
  using namespace bevdeploy;
  if (gpu) {
    const char* missing = gpu_missing();
    if (missing) {
      std::printf("skipped: %s\n", missing);
      return 77;
    }
    check_on_gpu(plugin, few);
  } else {
    std::printf("numbers\n");
    check_half_numbers();
    std::printf("calls\n");
    check_refusals();
    std::printf("packed runs\n");
    check_packer();
    std::printf("kernels, emulated\n");
    check_kernels([](Run& run) { return emulate_bev_pool(run.call, nullptr) == 0; }, few);
    std::printf("plugin object: %s\n", plugin_interface());
    check_plugin(plugin);
  }
  std::printf("%d checks, %d failed\n", checks().made, checks().failed);
  return checks().failed ? 1 : 0;
}
