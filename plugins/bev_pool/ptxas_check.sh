#!/usr/bin/env bash
# Compiles the kernels for each architecture (default: 87 90 110) and prints registers and spills of every kernel.
# Fails on a warning, a spill or a stack frame.   NVCC=path ./ptxas_check.sh [architecture ...]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nvcc=${NVCC:-nvcc}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
status=0
for sm in "${@:-87 90 110}"; do for arch in $sm; do
  if ! "$nvcc" -std=c++17 -O3 -arch="sm_$arch" -cubin -Werror all-warnings -Xptxas -v \
      -o "$scratch/kernels.cubin" "$here/kernels/launch.cu" >"$scratch/log" 2>&1; then
    cat "$scratch/log" >&2
    exit 1
  fi
  if grep -i warning "$scratch/log" >&2; then status=1; fi
  c++filt <"$scratch/log" | awk -v arch="$arch" '
    /Compiling entry function/ { sub(/.*bev_pool_/, ""); sub(/\(.*/, ""); gsub(/bevdeploy::/, ""); name = $0 }
    /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
    /Used [0-9]+ registers/ {
      match($0, /Used [0-9]+/); used = substr($0, RSTART + 5, RLENGTH - 5)
      printf "sm_%-4s %-40s %4d registers %4d B stack", arch, name, used, stack
      printf " %4d B stored %4d B loaded\n", stores, loads
      count += 1; bad += stack > 0 || stores > 0 || loads > 0
    }
    END { printf "sm_%-4s %d kernels, %d with spills\n", arch, count, bad; exit count == 0 || bad > 0 }' || status=1
done; done
exit $status
