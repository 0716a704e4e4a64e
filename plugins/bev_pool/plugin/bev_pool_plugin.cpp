#include "bev_pool_plugin.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "tensor_call.h"

namespace bevdeploy {

using nvinfer1::DataType;
using nvinfer1::DimensionOperation;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

namespace {

constexpr int32_t kDepth = 0, kFeat = 1, kCellRow = 6;
nvinfer1::ILoggerFinder* g_logger_finder = nullptr;

bool among(TensorFormat format, std::initializer_list<TensorFormat> formats) {
  return std::find(formats.begin(), formats.end(), format) != formats.end();
}

bool depth_format(DataType type, TensorFormat format) {
  return type == DataType::kHALF ? among(format, {TensorFormat::kLINEAR, TensorFormat::kHWC8})
                                 : among(format, {TensorFormat::kLINEAR, TensorFormat::kHWC});
}

bool out_format(DataType type, TensorFormat format) {
  return type == DataType::kHALF ? among(format, {TensorFormat::kLINEAR, TensorFormat::kHWC8, TensorFormat::kHWC16,
                                                  TensorFormat::kCHW16, TensorFormat::kCHW32})
                                 : among(format, {TensorFormat::kLINEAR, TensorFormat::kHWC, TensorFormat::kCHW32});
}

}  // namespace

void set_logger_finder(nvinfer1::ILoggerFinder* finder) noexcept { g_logger_finder = finder; }

void log_error(const char* message) noexcept {
  nvinfer1::ILogger* logger = g_logger_finder ? g_logger_finder->findLogger() : nullptr;
  if (logger) {
    logger->log(nvinfer1::ILogger::Severity::kERROR, message);
  } else {
    std::fprintf(stderr, "%s\n", message);
  }
}

BevPoolPlugin::BevPoolPlugin(PoolKernel kernel, std::string name_space, Launch launch)
    : kernel_(static_cast<int32_t>(kernel)),
      name_space_(std::move(name_space)),
      timing_id_("bevdeploy-1-kernel-" + std::to_string(kernel_)),
      launch_(launch),
      field_(kKernelField, &kernel_, PluginFieldType::kINT32, 1),
      fields_{1, &field_} {}

nvinfer1::IPluginCapability* BevPoolPlugin::getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept {
  switch (type) {
    case nvinfer1::PluginCapabilityType::kCORE:
      return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case nvinfer1::PluginCapabilityType::kBUILD:
      return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
    case nvinfer1::PluginCapabilityType::kRUNTIME:
      return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
  }
  return nullptr;
}

nvinfer1::IPluginV3* BevPoolPlugin::clone() noexcept {
  try {
    return new BevPoolPlugin(static_cast<PoolKernel>(kernel_), name_space_, launch_);
  } catch (const std::exception& error) {
    log_error(error.what());
    return nullptr;
  }
}

nvinfer1::IPluginV3* BevPoolPlugin::attachToContext(nvinfer1::IPluginResourceContext*) noexcept { return clone(); }

const PluginFieldCollection* BevPoolPlugin::getFieldsToSerialize() noexcept { return &fields_; }

int32_t BevPoolPlugin::getOutputDataTypes(DataType* outputs, int32_t output_count, const DataType* inputs,
                                          int32_t input_count) const noexcept {
  if (input_count != kInputs || output_count != 1) return -1;
  outputs[0] = inputs[kFeat];
  return 0;
}

int32_t BevPoolPlugin::getOutputShapes(const DimsExprs* inputs, int32_t input_count, const DimsExprs*, int32_t,
                                       DimsExprs* outputs, int32_t output_count, nvinfer1::IExprBuilder&) noexcept {
  if (input_count != kInputs || output_count != 1) return -1;
  const DimsExprs &depth = inputs[kDepth], &feat = inputs[kFeat], &cells = inputs[kCellRow];
  if (depth.nbDims != 5 || feat.nbDims != 5 || cells.nbDims < 2) {
    log_error("BevPool: expected depth [B, N, D, H, W], feat [B, N, H, W, C] and cell_row [Y, X]");
    return -1;
  }
  outputs[0].nbDims = 4;
  outputs[0].d[0] = depth.d[0];
  outputs[0].d[1] = feat.d[4];
  outputs[0].d[2] = cells.d[cells.nbDims - 2];
  outputs[0].d[3] = cells.d[cells.nbDims - 1];
  return 0;
}

bool BevPoolPlugin::supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc* tensors,
                                              int32_t input_count, int32_t output_count) noexcept {
  if (input_count != kInputs || output_count != 1 || position < 0 || position > kInputs) return false;
  const DataType type = tensors[position].desc.type;
  const TensorFormat format = tensors[position].desc.format;
  if (position == kDepth) return (type == DataType::kHALF || type == DataType::kFLOAT) && depth_format(type, format);
  if (position == kFeat) return type == tensors[kDepth].desc.type && format == TensorFormat::kLINEAR;
  if (position < kInputs) return type == DataType::kINT32 && format == TensorFormat::kLINEAR;
  return type == tensors[kDepth].desc.type && out_format(type, format);
}

int32_t BevPoolPlugin::configurePlugin(const DynamicPluginTensorDesc* inputs, int32_t input_count,
                                       const DynamicPluginTensorDesc* outputs, int32_t output_count) noexcept {
  if (input_count != kInputs || output_count != 1) return -1;
  for (int32_t i = 0; i <= kInputs; ++i) {
    const PluginTensorDesc& tensor = i < kInputs ? inputs[i].desc : outputs[0].desc;
    if (tensor.dims.nbDims < 2) {
      log_error("BevPool: a tensor has fewer than two dimensions");
      return -1;
    }
  }
  return 0;
}

int32_t BevPoolPlugin::onShapeChange(const PluginTensorDesc* inputs, int32_t input_count,
                                     const PluginTensorDesc* outputs, int32_t output_count) noexcept {
  if (input_count != kInputs || output_count != 1) return -1;
  const char* refused = shape_refusal(inputs, outputs[0]);
  if (refused) {
    log_error(refused);
    return -1;
  }
  return 0;
}

int32_t BevPoolPlugin::enqueue(const PluginTensorDesc* input_descs, const PluginTensorDesc* output_descs,
                               const void* const* inputs, void* const* outputs, void*, cudaStream_t stream) noexcept {
  PoolCall call = call_of(static_cast<PoolKernel>(kernel_), input_descs, output_descs[0]);
  const void* const* tables = inputs + 2;
  call.depth = inputs[kDepth], call.feat = inputs[kFeat], call.out = outputs[0];
  call.tables.row_depth = static_cast<const int32_t*>(tables[0]);
  call.tables.row_feat = static_cast<const int32_t*>(tables[1]);
  call.tables.sum1 = static_cast<const int32_t*>(tables[2]);
  call.tables.sum2 = static_cast<const int32_t*>(tables[3]);
  call.tables.cell_row = static_cast<const int32_t*>(tables[4]);
  const char* refused = refusal(call);
  if (refused) {
    char message[160];
    std::snprintf(message, sizeof message, "BevPool: %s", refused);
    log_error(message);
    return -1;
  }
  return launch_(call, stream);
}

BevPoolCreator::BevPoolCreator(const char* name_space, Launch launch)
    : name_space_(name_space),
      launch_(launch),
      field_(kKernelField, nullptr, PluginFieldType::kINT32, 1),
      fields_{1, &field_} {}

nvinfer1::IPluginV3* BevPoolCreator::createPlugin(const char*, const PluginFieldCollection* fields,
                                                  nvinfer1::TensorRTPhase) noexcept {
  int32_t kernel = static_cast<int32_t>(PoolKernel::gather);
  for (int32_t i = 0; fields && i < fields->nbFields; ++i) {
    const PluginField& field = fields->fields[i];
    if (!field.name || std::strcmp(field.name, kKernelField) != 0)
      continue;  // attributes of the node that are not ours
    if (field.type != PluginFieldType::kINT32 || field.length != 1 || !field.data) {
      log_error("BevPool: field kernel is not one int32");
      return nullptr;
    }
    std::memcpy(&kernel, field.data, sizeof kernel);
  }
  if (kernel != static_cast<int32_t>(PoolKernel::reference) && kernel != static_cast<int32_t>(PoolKernel::gather)) {
    log_error("BevPool: field kernel is neither 0 (reference) nor 1 (gather)");
    return nullptr;
  }
  try {
    return new BevPoolPlugin(static_cast<PoolKernel>(kernel), name_space_, launch_);
  } catch (const std::exception& error) {
    log_error(error.what());
    return nullptr;
  }
}

}  // namespace bevdeploy
