#include "plugin_checks.h"

#include <NvInfer.h>
#include <dlfcn.h>

#include <cstring>
#include <memory>

#include "../plugin/bev_pool_plugin.h"
#include "check.h"
#include "plugin_session.h"

namespace bevdeploy {

using nvinfer1::DataType;
using nvinfer1::TensorFormat;

namespace {

#define BEVDEPLOY_TEXT_(x) #x
#define BEVDEPLOY_TEXT(x) BEVDEPLOY_TEXT_(x)

using Owned = std::unique_ptr<nvinfer1::IPluginV3, PluginDeleter>;

// The plugin's enqueue on host pointers, in every format that it offers.
void check_enqueue() {
  BevPoolCreator creator("bevdeploy", emulate_bev_pool);
  for (const Problem& problem : adversarial_problems()) {
    for (PoolStorage storage : {PoolStorage::fp32, PoolStorage::fp16}) {
      const std::vector<double> answer = exact_answer(problem, storage);
      for (const Formats& formats : offered_formats(storage, problem.sizes.channels)) {
        for (PoolKernel kernel : {PoolKernel::reference, PoolKernel::gather}) {
          Run run(problem, kernel, storage, formats.depth != TensorFormat::kLINEAR, formats.vector);
          const std::string what = problem.name + ", plugin, formats " + std::to_string(int(formats.depth)) + " and " +
                                   std::to_string(int(formats.out));
          const TensorDescs descs = descs_of(run, formats.depth, formats.out);
          const Owned context(context_plugin(creator, static_cast<int32_t>(kernel), descs, what));
          if (!context) continue;
          const auto inputs = input_pointers(run.call);
          void* const outputs[] = {run.call.out};
          const int32_t status =
              runtime_of(context.get())
                  ->enqueue(descs.inputs.data(), &descs.output, inputs.data(), outputs, nullptr, nullptr);
          check(status == 0, what + ": enqueued");
          check(judged_error(run, answer, what) <= most_error(storage), what + ": values");
        }
      }
    }
  }
}

void check_formats_refused() {
  BevPoolCreator creator("", emulate_bev_pool);
  const Owned plugin(creator.createPlugin("pool", nullptr, nvinfer1::TensorRTPhase::kBUILD));
  auto* build =
      static_cast<nvinfer1::IPluginV3OneBuild*>(plugin->getCapabilityInterface(nvinfer1::PluginCapabilityType::kBUILD));
  std::mt19937 random(7);
  PoolSizes n;
  n.cameras = 1, n.bins = 4, n.height = 2, n.width = 3, n.channels = 8, n.rows = 3, n.columns = 4;
  const Problem problem = problem_of("", n, tables_of_points(n, random_points(n, random, 0.9), 1), random);
  const Run run(problem, PoolKernel::gather, PoolStorage::fp16, false, 1);
  const TensorDescs good = descs_of(run, TensorFormat::kLINEAR, TensorFormat::kLINEAR);
  const auto refused = [&](const char* what, int32_t position, DataType type, TensorFormat format) {
    nvinfer1::DynamicPluginTensorDesc all[8] = {};
    for (int32_t i = 0; i < 8; ++i) all[i].desc = i < 7 ? good.inputs[i] : good.output;
    all[position].desc.type = type, all[position].desc.format = format;
    check(!build->supportsFormatCombination(position, all, 7, 1), std::string("format refused: ") + what);
  };
  refused("int8 depth", 0, DataType::kINT8, TensorFormat::kLINEAR);
  refused("depth in kCHW2", 0, DataType::kHALF, TensorFormat::kCHW2);
  refused("feat of another type than depth", 1, DataType::kFLOAT, TensorFormat::kLINEAR);
  refused("feat in kHWC8", 1, DataType::kHALF, TensorFormat::kHWC8);
  refused("a float table", 3, DataType::kFLOAT, TensorFormat::kLINEAR);
  refused("a 64-bit table", 6, DataType::kINT64, TensorFormat::kLINEAR);
  refused("float32 output of float16", 7, DataType::kFLOAT, TensorFormat::kLINEAR);
  refused("output in kDLA_LINEAR", 7, DataType::kHALF, TensorFormat::kDLA_LINEAR);

  auto* runtime = runtime_of(plugin.get());
  const auto shape_refused = [&](const char* what, auto&& spoil) {
    TensorDescs descs = good;
    spoil(descs);
    check(runtime->onShapeChange(descs.inputs.data(), 7, &descs.output, 1) != 0, std::string("shape refused: ") + what);
  };
  shape_refused("feat of another camera count", [](TensorDescs& d) { d.inputs[1].dims.d[1] = 2; });
  shape_refused("rows of 8", [](TensorDescs& d) { d.inputs[2].dims.d[1] = 8; });
  shape_refused("unlike row tables", [](TensorDescs& d) { d.inputs[3].dims.d[0] += 1; });
  shape_refused("tables of unlike ranks", [](TensorDescs& d) { d.inputs[4].dims.nbDims = 3; });
  shape_refused("another output", [](TensorDescs& d) { d.output.dims.d[3] += 1; });
  shape_refused("depth of four dimensions", [](TensorDescs& d) { d.inputs[0].dims.nbDims = 4; });

  const char* name = "kernel";
  const int32_t unknown = 2;
  const float kind = 1.f;
  for (const nvinfer1::PluginField& field :
       {nvinfer1::PluginField(name, &unknown, nvinfer1::PluginFieldType::kINT32, 1),
        nvinfer1::PluginField(name, &kind, nvinfer1::PluginFieldType::kFLOAT32, 1),
        nvinfer1::PluginField(name, nullptr, nvinfer1::PluginFieldType::kINT32, 1)}) {
    const nvinfer1::PluginFieldCollection fields{1, &field};
    const Owned made(creator.createPlugin("pool", &fields, nvinfer1::TensorRTPhase::kBUILD));
    check(made == nullptr, "a field that is not ours to read is refused");
  }
  const nvinfer1::PluginField other("plugin_namespace", "x", nvinfer1::PluginFieldType::kCHAR, 1);
  const nvinfer1::PluginFieldCollection others{1, &other};
  const Owned made(creator.createPlugin("pool", &others, nvinfer1::TensorRTPhase::kBUILD));
  check(made != nullptr, "other attributes of the node are left alone");
}

}  // namespace

const char* plugin_interface() {
  return "headers of TensorRT " BEVDEPLOY_TEXT(NV_TENSORRT_MAJOR) "." BEVDEPLOY_TEXT(NV_TENSORRT_MINOR);
}

void check_library(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!check(library != nullptr, std::string(path) + ": not loaded")) {
    std::printf("%s\n", dlerror());
    return;
  }
  using GetCreators = nvinfer1::IPluginCreatorInterface* const* (*)(int32_t&);
  const auto creators_of = reinterpret_cast<GetCreators>(dlsym(library, "getCreators"));
  if (!check(creators_of && dlsym(library, "setLoggerFinder"), "the library exports getCreators and setLoggerFinder"))
    return;
  int32_t count = 0;
  auto* const* creators = creators_of(count);
  check(count == 2, "two creators");
  const char* spaces[] = {"", "bevdeploy"};
  for (int32_t i = 0; i < count && i < 2; ++i) {
    auto* creator = static_cast<nvinfer1::IPluginCreatorV3One*>(creators[i]);
    check(std::strcmp(creator->getInterfaceInfo().kind, "PLUGIN CREATOR_V3ONE") == 0, "a creator of V3 plugins");
    check(std::strcmp(creator->getPluginName(), "BevPool") == 0, "its name");
    check(std::strcmp(creator->getPluginNamespace(), spaces[i]) == 0, "its namespace");
    const Owned plugin(creator->createPlugin("pool", nullptr, nvinfer1::TensorRTPhase::kBUILD));
    check(plugin != nullptr, "its plugin");
  }
}

void check_plugin(const char* library) {
  check_enqueue();
  check_formats_refused();
  if (library) check_library(library);
}

}  // namespace bevdeploy
