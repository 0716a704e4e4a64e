// A run's buffers on the device.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "problem.h"

namespace bevdeploy {

class DeviceRun {
 public:
  explicit DeviceRun(Run& run);  // copies every buffer; ok() says whether that worked
  ~DeviceRun();
  DeviceRun(const DeviceRun&) = delete;
  DeviceRun& operator=(const DeviceRun&) = delete;

  bool ok() const { return ok_; }
  const PoolCall& call() const { return call_; }  // on device pointers
  bool poison();                                  // the output and its guards
  bool fetch();                                   // the output and its guards into the run
  bool copy_tables(const PoolTables& tables);     // other tables of the same sizes, on the host, into the same buffers

 private:
  void* upload(const void* from, size_t bytes);
  void read(cudaError_t status) { ok_ = ok_ && status == cudaSuccess; }

  Run& run_;
  PoolCall call_;
  unsigned char* out_ = nullptr;
  std::vector<void*> buffers_;
  bool ok_ = true;
};

}  // namespace bevdeploy
