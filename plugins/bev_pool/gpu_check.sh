#!/usr/bin/env bash
# On a machine with a GPU, in one call: build, harness on host and device, compute-sanitizer, benchmark.
#   TENSORRT_INCLUDE_DIR=DIR  headers, for the plugin       SANITIZER=PATH  compute-sanitizer
#   BEV_POOL_V2=FILE BEVFUSION=FILE BENCHMARK_INCLUDE=DIR    public sources to compare with
#   PYTHON=PATH               a Python with torch for CUDA; without one the benchmark is left out
#   ./gpu_check.sh [FOLDER]   results, default ./gpu_check_out
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mkdir -p "${1:-gpu_check_out}" && cd "${1:-gpu_check_out}" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

sm=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
nvidia-smi | tee "$out/gpu.txt"
cmake -S "$here" -B "$build" -DBEVDEPLOY_CUDA=on -DCMAKE_CUDA_ARCHITECTURES="$sm-real" \
  ${TENSORRT_INCLUDE_DIR:+-DTENSORRT_INCLUDE_DIR="$TENSORRT_INCLUDE_DIR"} >"$out/build.txt"
cmake --build "$build" -j "$(nproc)" >>"$out/build.txt"
"$here/ptxas_check.sh" "$sm" | tee "$out/registers.txt"

plugin=()
if [ -e "$build/libbevdeploy_bev_pool.so" ]; then plugin=(--plugin "$build/libbevdeploy_bev_pool.so"); fi
harness="$build/tests/bev_pool_harness"
"$harness" "${plugin[@]}" | tee "$out/harness_host.txt"
"$harness" --gpu "${plugin[@]}" | tee "$out/harness_gpu.txt"

sanitizer=${SANITIZER:-$(command -v compute-sanitizer || true)}
if [ -n "$sanitizer" ]; then
  for tool in memcheck racecheck initcheck synccheck; do
    "$sanitizer" --tool "$tool" --error-exitcode 9 "$harness" --gpu --few "${plugin[@]}" |
      tee "$out/sanitizer_$tool.txt"
  done
else
  echo "not run: compute-sanitizer is not installed" | tee "$out/sanitizer.txt"
fi

python=${PYTHON:-python3}
if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  cd "$here/../.."
  "$python" -m benchmarks.bev_pool_cuda --json "$out/bev_pool_cuda.json" \
    ${BEV_POOL_V2:+--bev-pool-v2 "$BEV_POOL_V2"} ${BEVFUSION:+--bevfusion "$BEVFUSION"} \
    ${BENCHMARK_INCLUDE:+--include "$BENCHMARK_INCLUDE"} | tee "$out/benchmark.txt"
else
  echo "not run: $python has no torch that sees the GPU" | tee "$out/benchmark.txt"
fi
