#include "plugin_checks.h"

namespace bevdeploy {

const char* plugin_interface() { return "not built, no TensorRT headers"; }
void check_plugin(const char*) {}

}  // namespace bevdeploy
