#pragma once

namespace bevdeploy {

const char* plugin_interface();          // version of the TensorRT headers, or that there are none
void check_plugin(const char* library);  // the library is optional: the object is compiled in

}  // namespace bevdeploy
