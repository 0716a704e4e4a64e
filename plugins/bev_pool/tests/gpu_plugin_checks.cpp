// The plugin library's enqueue on a device, through the interface only.
#include <NvInfer.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdio>
#include <memory>

#include "check.h"
#include "device_run.h"
#include "plugin_session.h"

namespace bevdeploy {

using nvinfer1::TensorFormat;

void check_plugin_on_gpu(const char* path) {
  if (!path) {
    std::printf("  not checked: no --plugin LIBRARY\n");
    return;
  }
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  using GetCreators = nvinfer1::IPluginCreatorInterface* const* (*)(int32_t&);
  const auto creators_of = library ? reinterpret_cast<GetCreators>(dlsym(library, "getCreators")) : nullptr;
  if (!check(creators_of != nullptr, std::string(path) + ": not loaded")) return;
  int32_t count = 0;
  auto* creator = static_cast<nvinfer1::IPluginCreatorV3One*>(creators_of(count)[0]);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess, "stream");
  for (const Problem& problem : adversarial_problems()) {
    for (PoolStorage storage : {PoolStorage::fp32, PoolStorage::fp16}) {
      const std::vector<double> answer = exact_answer(problem, storage);
      for (const Formats& formats : offered_formats(storage, problem.sizes.channels)) {
        Run run(problem, PoolKernel::gather, storage, formats.depth != TensorFormat::kLINEAR, formats.vector);
        const std::string what =
            problem.name + ", plugin on the device, output format " + std::to_string(int(formats.out));
        const TensorDescs descs = descs_of(run, formats.depth, formats.out);
        const std::unique_ptr<nvinfer1::IPluginV3, PluginDeleter> context(context_plugin(*creator, 1, descs, what));
        DeviceRun device(run);
        if (!context || !check(device.ok(), what + ": buffers")) continue;
        const auto inputs = input_pointers(device.call());
        void* const outputs[] = {device.call().out};
        const int32_t status =
            runtime_of(context.get())
                ->enqueue(descs.inputs.data(), &descs.output, inputs.data(), outputs, nullptr, stream);
        check(status == 0 && device.fetch(), what + ": enqueued");
        check(judged_error(run, answer, what) <= most_error(storage), what + ": values");
      }
    }
  }
  cudaStreamDestroy(stream);
}

}  // namespace bevdeploy
