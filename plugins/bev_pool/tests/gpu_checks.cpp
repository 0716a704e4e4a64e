#include "gpu_checks.h"

#include <cuda_runtime_api.h>

#include <algorithm>

#include "check.h"
#include "device_run.h"
#include "kernel_checks.h"

namespace bevdeploy {

void check_plugin_on_gpu(const char* library);  // gpu_plugin_checks.cpp

namespace {

// Two sets of tables of the same sizes on one problem.
struct Rigs {
  Problem problem;
  TableArrays other;
};

Rigs two_rigs(int32_t channels) {
  std::mt19937 random(11);
  PoolSizes n;
  n.cameras = 3, n.bins = 24, n.height = 8, n.width = 20, n.channels = channels, n.rows = 40, n.columns = 36;
  TableArrays first = tables_of_points(n, random_points(n, random, 0.9), 0);
  TableArrays second = tables_of_points(n, random_points(n, random, 0.7), 0);
  // grown to common sizes by sums of a cell of the largest kind, which nothing names
  const auto rows = std::max(first.row_depth.size(), second.row_depth.size());
  const auto sums1 = std::max(first.sum1.size(), second.sum1.size());
  const auto sums2 = std::max(first.sum2.size(), second.sum2.size());
  const int32_t empty = n.cameras * n.bins * n.height * n.width;
  for (TableArrays* t : {&first, &second}) {
    const auto old_rows = static_cast<int32_t>(t->row_depth.size() / 16),
               old_sums1 = static_cast<int32_t>(t->sum1.size() / 8);
    const auto more_rows = static_cast<int32_t>(rows / 16) - old_rows;
    const auto more_sums1 = static_cast<int32_t>(sums1 / 8) - old_sums1;
    for (std::vector<int32_t>* table : {&t->sum2, &t->cell_row}) {
      for (int32_t& partial : *table) {
        partial += (partial > old_rows ? more_rows : 0) + (partial > old_rows + old_sums1 ? more_sums1 : 0);
      }
    }
    t->row_depth.resize(rows, empty), t->row_feat.resize(rows, 0), t->sum1.resize(sums1, 0), t->sum2.resize(sums2, 0);
  }
  return {problem_of("two rigs", n, first, random), second};
}

void check_repeats_and_graph(PoolStorage storage) {
  Rigs rigs = two_rigs(80);
  const std::vector<double> first = exact_answer(rigs.problem, storage);
  Problem turned = rigs.problem;
  turned.tables = rigs.other;
  const std::vector<double> second = exact_answer(turned, storage);
  Run run(rigs.problem, PoolKernel::gather, storage, false, 1);
  DeviceRun device(run);
  cudaStream_t stream = nullptr;
  check(device.ok() && cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess,
        "device buffers, stream");

  check(launch_bev_pool(device.call(), stream) == 0 && device.fetch(), "launched");
  check(judged_error(run, first, "launch") <= most_error(storage), "launch: values");
  const std::vector<unsigned char> once = run.out;
  for (int repeat = 0; repeat < 20; ++repeat) {
    check(device.poison() && launch_bev_pool(device.call(), stream) == 0 && device.fetch(), "launched again");
    check(run.out == once, "a repeat is equal bit for bit");
  }

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replay = nullptr;
  size_t nodes = 0;
  bool captured = cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess;
  captured = captured && launch_bev_pool(device.call(), stream) == 0;
  captured = captured && cudaStreamEndCapture(stream, &graph) == cudaSuccess;
  captured = captured && cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess;
  captured = captured && cudaGraphInstantiate(&replay, graph, 0) == cudaSuccess;
  if (check(captured, "captured under the strictest mode")) {
    check(nodes == 1, "the graph is one kernel");
    check(device.poison() && cudaGraphLaunch(replay, stream) == cudaSuccess && device.fetch(), "replayed");
    check(run.out == once, "a replay is equal bit for bit");
    check(device.copy_tables(rigs.other.view()) && device.poison(), "another rig's tables in the same buffers");
    check(cudaGraphLaunch(replay, stream) == cudaSuccess && device.fetch(), "replayed on them");
    check(judged_error(run, second, "replay with new tables") <= most_error(storage), "replay with new tables: values");
    cudaGraphExecDestroy(replay);
  }
  if (graph) cudaGraphDestroy(graph);
  if (stream) cudaStreamDestroy(stream);
}

void check_two_streams() {
  std::mt19937 random(13);
  Rigs rigs = two_rigs(64);
  Problem turned = rigs.problem;
  turned.tables = rigs.other;
  Run one(rigs.problem, PoolKernel::gather, PoolStorage::fp16, false, 64),
      two(turned, PoolKernel::gather, PoolStorage::fp16, true, 1);
  const auto first = exact_answer(rigs.problem, PoolStorage::fp16), second = exact_answer(turned, PoolStorage::fp16);
  DeviceRun device_one(one), device_two(two);
  cudaStream_t streams[2] = {};
  for (cudaStream_t& stream : streams)
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess, "stream");
  for (int repeat = 0; repeat < 50; ++repeat) {
    launch_bev_pool(device_one.call(), streams[0]);
    launch_bev_pool(device_two.call(), streams[1]);
  }
  check(device_one.fetch() && device_two.fetch(), "two streams at once");
  check(judged_error(one, first, "stream one") <= most_error(PoolStorage::fp16), "stream one: values");
  check(judged_error(two, second, "stream two") <= most_error(PoolStorage::fp16), "stream two: values");
  for (cudaStream_t stream : streams) cudaStreamDestroy(stream);
}

}  // namespace

const char* gpu_missing() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return devices ? nullptr : "no CUDA device";
}

void check_on_gpu(const char* plugin_library, bool few) {
  cudaDeviceProp device{};
  if (!check(cudaGetDeviceProperties(&device, 0) == cudaSuccess, "the device answers")) return;
  std::printf("%s, sm_%d%d\nkernels\n", device.name, device.major, device.minor);
  const Machine machine = [](Run& run) {
    DeviceRun on_device(run);
    return on_device.ok() && launch_bev_pool(on_device.call(), nullptr) == 0 && on_device.fetch();
  };
  check_kernels(machine, few);
  std::printf("repeats, graph, streams\n");
  for (PoolStorage storage : {PoolStorage::fp32, PoolStorage::fp16, PoolStorage::int8})
    check_repeats_and_graph(storage);
  check_two_streams();
  std::printf("plugin\n");
  check_plugin_on_gpu(plugin_library);
}

}  // namespace bevdeploy
