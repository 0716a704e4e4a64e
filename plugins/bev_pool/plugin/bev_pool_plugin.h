// The pool node as a TensorRT plugin, one source for TensorRT 10.3 to 11.x:
//   BevPool(depth [B,N,D,H,W], feat [B,N,H,W,C], row_depth [R,16], row_feat [R,16], sum1 [S1,8], sum2 [S2,8], cell_row
//   [Y,X])
//     -> [B,C,Y,X]
// depth, feat and the output are all float32 or all float16, tables int32. All sizes come from shapes.
#pragma once

#include <NvInfer.h>

#include <string>

#include "../kernels/bev_pool.h"

namespace bevdeploy {

using Launch = int (*)(const PoolCall& call, CUstream_st* stream);

constexpr const char* kPluginName = "BevPool";
constexpr const char* kPluginVersion = "1";
constexpr const char* kKernelField = "kernel";  // the one field: 0 reference, 1 gather (default)
constexpr int32_t kInputs = 7;

class BevPoolPlugin final : public nvinfer1::IPluginV3,
                            public nvinfer1::IPluginV3OneCore,
                            public nvinfer1::IPluginV3OneBuild,
                            public nvinfer1::IPluginV3OneRuntime {
 public:
  BevPoolPlugin(PoolKernel kernel, std::string name_space, Launch launch);

  nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override;
  nvinfer1::IPluginV3* clone() noexcept override;

  const char* getPluginName() const noexcept override { return kPluginName; }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const char* getPluginNamespace() const noexcept override { return name_space_.c_str(); }

  int32_t getNbOutputs() const noexcept override { return 1; }
  int32_t getOutputDataTypes(nvinfer1::DataType* outputs, int32_t output_count, const nvinfer1::DataType* inputs,
                             int32_t input_count) const noexcept override;
  int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, int32_t input_count,
                          const nvinfer1::DimsExprs* shape_inputs, int32_t shape_input_count,
                          nvinfer1::DimsExprs* outputs, int32_t output_count,
                          nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override;
  int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t input_count,
                          const nvinfer1::DynamicPluginTensorDesc* outputs, int32_t output_count) noexcept override;
  const char* getTimingCacheID() noexcept override { return timing_id_.c_str(); }

  int32_t onShapeChange(const nvinfer1::PluginTensorDesc* inputs, int32_t input_count,
                        const nvinfer1::PluginTensorDesc* outputs, int32_t output_count) noexcept override;
  int32_t enqueue(const nvinfer1::PluginTensorDesc* input_descs, const nvinfer1::PluginTensorDesc* output_descs,
                  const void* const* inputs, void* const* outputs, void* workspace,
                  cudaStream_t stream) noexcept override;
  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext* context) noexcept override;
  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override;

 private:
  int32_t kernel_;
  std::string name_space_;
  std::string timing_id_;
  Launch launch_;
  nvinfer1::PluginField field_;
  nvinfer1::PluginFieldCollection fields_;
};

class BevPoolCreator final : public nvinfer1::IPluginCreatorV3One {
 public:
  // `launch` is launch_bev_pool, or emulate_bev_pool where the object is driven on the host.
  BevPoolCreator(const char* name_space, Launch launch);

  nvinfer1::IPluginV3* createPlugin(const char* name, const nvinfer1::PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase phase) noexcept override;
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &fields_; }
  const char* getPluginName() const noexcept override { return kPluginName; }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const char* getPluginNamespace() const noexcept override { return name_space_; }

 private:
  const char* name_space_;
  Launch launch_;
  nvinfer1::PluginField field_;
  nvinfer1::PluginFieldCollection fields_;
};

// To TensorRT's logger where one was given (setLoggerFinder), to stderr otherwise.
void log_error(const char* message) noexcept;
void set_logger_finder(nvinfer1::ILoggerFinder* finder) noexcept;

}  // namespace bevdeploy
