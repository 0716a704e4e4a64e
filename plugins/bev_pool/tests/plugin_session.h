// A plugin object driven as TensorRT drives it: create, configure, clone into a context, shapes, enqueue.
#pragma once

#include <NvInfer.h>

#include <array>
#include <string>

#include "problem.h"

namespace bevdeploy {

struct TensorDescs {
  std::array<nvinfer1::PluginTensorDesc, 7> inputs;
  nvinfer1::PluginTensorDesc output;
};

// Descriptions of a run's tensors, with formats for its layouts.
TensorDescs descs_of(const Run& run, nvinfer1::TensorFormat depth, nvinfer1::TensorFormat out);

struct PluginDeleter {
  void operator()(nvinfer1::IPluginV3* plugin) const { delete plugin; }
};

// The phases before enqueue; nullptr where one of them fails, which is checked and printed under `what`.
// `creator` makes the plugin, a second one is made of its serialised fields, and that one's context clone is returned.
nvinfer1::IPluginV3* context_plugin(nvinfer1::IPluginCreatorV3One& creator, int32_t kernel, const TensorDescs& descs,
                                    const std::string& what);

nvinfer1::IPluginV3OneRuntime* runtime_of(nvinfer1::IPluginV3* plugin);

// Format pairs that the plugin offers for a type, with the vector of the output.
struct Formats {
  nvinfer1::TensorFormat depth;
  nvinfer1::TensorFormat out;
  int32_t vector;
};
std::vector<Formats> offered_formats(PoolStorage storage, int32_t channels);

// Pointers in the node's order.
std::array<const void*, 7> input_pointers(const PoolCall& call);

}  // namespace bevdeploy
