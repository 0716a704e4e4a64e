#include "device_run.h"

namespace bevdeploy {

DeviceRun::DeviceRun(Run& run) : run_(run), call_(run.call) {
  call_.depth = upload(run.depth.data(), run.depth.size());
  call_.feat = upload(run.feat.data(), run.feat.size());
  out_ = static_cast<unsigned char*>(upload(run.out.data(), run.out.size()));
  call_.out = out_ + Run::guard;
  const auto ints = [this](const void* from, size_t count) { return static_cast<int32_t*>(upload(from, count * 4)); };
  const PoolTables& t = run.call.tables;
  const size_t sets = t.per_sample ? run.call.sizes.batch : 1;
  call_.tables.row_depth = ints(t.row_depth, sets * t.row_count * 16);
  call_.tables.row_feat = ints(t.row_feat, sets * t.row_count * 16);
  call_.tables.sum1 = ints(t.sum1, sets * t.sum1_count * 8);
  call_.tables.sum2 = ints(t.sum2, sets * t.sum2_count * 8);
  call_.tables.cell_row = ints(t.cell_row, sets * run.call.sizes.rows * run.call.sizes.columns);
  const PoolRuns& r = run.call.runs;
  if (r.words) {
    call_.runs.words = static_cast<uint32_t*>(upload(r.words, size_t(r.groups) * 16));
    call_.runs.slot_start = static_cast<uint32_t*>(upload(r.slot_start, size_t(r.slots + 1) * 4));
    call_.runs.slot_info = static_cast<uint32_t*>(upload(r.slot_info, size_t(r.slots) * 4));
  }
}

DeviceRun::~DeviceRun() {
  for (void* buffer : buffers_) cudaFree(buffer);
}

void* DeviceRun::upload(const void* from, size_t bytes) {
  void* buffer = nullptr;
  read(cudaMalloc(&buffer, bytes));
  if (!ok_) return nullptr;
  buffers_.push_back(buffer);
  read(cudaMemcpy(buffer, from, bytes, cudaMemcpyHostToDevice));
  return buffer;
}

bool DeviceRun::poison() {
  read(cudaMemset(out_, 0xFF, run_.out.size()));
  return ok_;
}

bool DeviceRun::fetch() {
  read(cudaDeviceSynchronize());
  if (ok_) read(cudaMemcpy(run_.out.data(), out_, run_.out.size(), cudaMemcpyDeviceToHost));
  return ok_;
}

bool DeviceRun::copy_tables(const PoolTables& t) {
  const auto copy = [this](const int32_t* to, const int32_t* from, size_t count) {
    read(cudaMemcpy(const_cast<int32_t*>(to), from, count * 4, cudaMemcpyHostToDevice));
  };
  copy(call_.tables.row_depth, t.row_depth, size_t(t.row_count) * 16);
  copy(call_.tables.row_feat, t.row_feat, size_t(t.row_count) * 16);
  copy(call_.tables.sum1, t.sum1, size_t(t.sum1_count) * 8);
  copy(call_.tables.sum2, t.sum2, size_t(t.sum2_count) * 8);
  copy(call_.tables.cell_row, t.cell_row, size_t(run_.call.sizes.rows) * run_.call.sizes.columns);
  return ok_;
}

}  // namespace bevdeploy
