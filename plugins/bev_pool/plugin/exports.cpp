// What TensorRT's registry looks for in a library. Everything else is hidden.
#include "bev_pool_plugin.h"

#define BEVDEPLOY_EXPORT extern "C" __attribute__((visibility("default")))

// The parser looks a node up by its domain from TensorRT 10.10 on, in the empty namespace before.
BEVDEPLOY_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  static bevdeploy::BevPoolCreator plain("", bevdeploy::launch_bev_pool);
  static bevdeploy::BevPoolCreator domain("bevdeploy", bevdeploy::launch_bev_pool);
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&plain, &domain};
  count = 2;
  return creators;
}

BEVDEPLOY_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) { bevdeploy::set_logger_finder(finder); }
