// TensorRT's tensor descriptions to a PoolCall.
#pragma once

#include <NvInfer.h>

#include "../kernels/bev_pool.h"

namespace bevdeploy {

// Channels that the format `tensor` has packs together, counted along its third axis from the end; 0: not ours.
int32_t vector_of(const nvinfer1::PluginTensorDesc& tensor);

// Whether ranks and sizes of the seven inputs and the output are those of one node; a message where they are not.
const char* shape_refusal(const nvinfer1::PluginTensorDesc* inputs, const nvinfer1::PluginTensorDesc& output);

// Sizes, storage and layouts; pointers are left null.
PoolCall call_of(PoolKernel kernel, const nvinfer1::PluginTensorDesc* inputs, const nvinfer1::PluginTensorDesc& output);

}  // namespace bevdeploy
