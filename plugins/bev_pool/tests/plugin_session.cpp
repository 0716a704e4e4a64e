#include "plugin_session.h"

#include <memory>

#include "check.h"
#include "expressions.h"

namespace bevdeploy {

using nvinfer1::DataType;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

namespace {

nvinfer1::Dims dims_of(std::initializer_list<int64_t> sizes) {
  nvinfer1::Dims dims{};
  for (int64_t size : sizes) dims.d[dims.nbDims++] = size;
  return dims;
}

std::array<nvinfer1::DynamicPluginTensorDesc, 8> dynamic_of(const TensorDescs& descs) {
  std::array<nvinfer1::DynamicPluginTensorDesc, 8> all{};
  for (size_t i = 0; i < 8; ++i) {
    all[i].desc = i < 7 ? descs.inputs[i] : descs.output;
    all[i].min = all[i].max = all[i].opt = all[i].desc.dims;
  }
  return all;
}

bool configured(nvinfer1::IPluginV3& plugin, const TensorDescs& descs, const std::string& what) {
  auto* build =
      static_cast<nvinfer1::IPluginV3OneBuild*>(plugin.getCapabilityInterface(nvinfer1::PluginCapabilityType::kBUILD));
  if (!check(build && build->getNbOutputs() == 1, what + ": build capability, one output")) return false;
  const auto all = dynamic_of(descs);
  bool supported = true;
  for (int32_t i = 0; i < 8; ++i) supported = build->supportsFormatCombination(i, all.data(), 7, 1) && supported;
  check(supported, what + ": formats are offered");

  DataType types[7], out_type{};
  for (size_t i = 0; i < 7; ++i) types[i] = descs.inputs[i].type;
  check(build->getOutputDataTypes(&out_type, 1, types, 7) == 0 && out_type == descs.output.type,
        what + ": output type");

  ConstantExpressions expressions;
  nvinfer1::DimsExprs inputs[7], output{};
  for (size_t i = 0; i < 7; ++i) {
    inputs[i].nbDims = descs.inputs[i].dims.nbDims;
    for (int32_t k = 0; k < inputs[i].nbDims; ++k) inputs[i].d[k] = expressions.made(descs.inputs[i].dims.d[k]);
  }
  check(build->getOutputShapes(inputs, 7, nullptr, 0, &output, 1, expressions) == 0, what + ": output shape");
  bool same = output.nbDims == 4;
  for (int32_t k = 0; k < 4 && same; ++k) same = output.d[k]->getConstantValue() == descs.output.dims.d[k];
  check(same, what + ": output shape is [B, C, Y, X]");
  check(build->getWorkspaceSize(all.data(), 7, &all[7], 1) == 0, what + ": no workspace");
  check(build->getTimingCacheID() != nullptr, what + ": timing cache");
  return check(build->configurePlugin(all.data(), 7, &all[7], 1) == 0, what + ": configured");
}

}  // namespace

TensorDescs descs_of(const Run& run, TensorFormat depth, TensorFormat out) {
  const PoolSizes& n = run.call.sizes;
  const PoolTables& t = run.call.tables;
  const DataType type = run.call.storage == PoolStorage::fp32 ? DataType::kFLOAT : DataType::kHALF;
  const auto table = [&](int64_t lines, int64_t width) {
    const nvinfer1::Dims dims = t.per_sample ? dims_of({n.batch, lines, width}) : dims_of({lines, width});
    return PluginTensorDesc{dims, DataType::kINT32, TensorFormat::kLINEAR, 0.f};
  };
  return {
      {PluginTensorDesc{dims_of({n.batch, n.cameras, n.bins, n.height, n.width}), type, depth, 0.f},
       PluginTensorDesc{dims_of({n.batch, n.cameras, n.height, n.width, n.channels}), type, TensorFormat::kLINEAR, 0.f},
       table(t.row_count, 16), table(t.row_count, 16), table(t.sum1_count, 8), table(t.sum2_count, 8),
       table(n.rows, n.columns)},
      PluginTensorDesc{dims_of({n.batch, n.channels, n.rows, n.columns}), type, out, 0.f}};
}

nvinfer1::IPluginV3OneRuntime* runtime_of(nvinfer1::IPluginV3* plugin) {
  return static_cast<nvinfer1::IPluginV3OneRuntime*>(
      plugin->getCapabilityInterface(nvinfer1::PluginCapabilityType::kRUNTIME));
}

nvinfer1::IPluginV3* context_plugin(nvinfer1::IPluginCreatorV3One& creator, int32_t kernel, const TensorDescs& descs,
                                    const std::string& what) {
  using Owned = std::unique_ptr<nvinfer1::IPluginV3, PluginDeleter>;
  const nvinfer1::PluginField field("kernel", &kernel, nvinfer1::PluginFieldType::kINT32, 1);
  const nvinfer1::PluginFieldCollection fields{1, &field};
  const Owned made(creator.createPlugin("pool", &fields, nvinfer1::TensorRTPhase::kBUILD));
  if (!check(made != nullptr, what + ": created")) return nullptr;
  const Owned copy(made->clone());
  if (!check(copy != nullptr, what + ": cloned") || !configured(*copy, descs, what)) return nullptr;

  // what an engine file keeps, and what is made of it when the file is read
  const nvinfer1::PluginFieldCollection* kept = runtime_of(copy.get())->getFieldsToSerialize();
  if (!check(kept && kept->nbFields == 1, what + ": one field is serialised")) return nullptr;
  const Owned read(creator.createPlugin("pool", kept, nvinfer1::TensorRTPhase::kRUNTIME));
  if (!check(read != nullptr, what + ": created of its serialised fields")) return nullptr;
  const auto* again = runtime_of(read.get())->getFieldsToSerialize();
  check(*static_cast<const int32_t*>(again->fields[0].data) == kernel, what + ": the field came back");
  nvinfer1::IPluginV3* context = runtime_of(read.get())->attachToContext(nullptr);
  if (!check(context != nullptr, what + ": attached")) return nullptr;
  check(runtime_of(context)->onShapeChange(descs.inputs.data(), 7, &descs.output, 1) == 0, what + ": shapes accepted");
  return context;
}

std::vector<Formats> offered_formats(PoolStorage storage, int32_t channels) {
  const auto up = [channels](int32_t to) { return (channels + to - 1) / to * to; };
  if (storage == PoolStorage::fp32) {
    return {{TensorFormat::kLINEAR, TensorFormat::kLINEAR, 1},
            {TensorFormat::kHWC, TensorFormat::kHWC, channels},
            {TensorFormat::kLINEAR, TensorFormat::kCHW32, 32}};
  }
  return {{TensorFormat::kLINEAR, TensorFormat::kLINEAR, 1},   {TensorFormat::kHWC8, TensorFormat::kHWC8, up(8)},
          {TensorFormat::kLINEAR, TensorFormat::kHWC8, up(8)}, {TensorFormat::kHWC8, TensorFormat::kHWC16, up(16)},
          {TensorFormat::kLINEAR, TensorFormat::kCHW16, 16},   {TensorFormat::kHWC8, TensorFormat::kCHW32, 32}};
}

std::array<const void*, 7> input_pointers(const PoolCall& call) {
  const PoolTables& t = call.tables;
  return {call.depth, call.feat, t.row_depth, t.row_feat, t.sum1, t.sum2, t.cell_row};
}

}  // namespace bevdeploy
