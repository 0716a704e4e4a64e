// CUDA-BEVFusion's half kernel in its own launch shape; CONTENDER_SOURCE is the user's copy of
// CUDA-BEVFusion/src/bevfusion/camera-bevpool.cu. Channels are taken in tens; its output [C, Y, X] is zeroed first.
#include CONTENDER_SOURCE

#include "contender.h"

CONTENDER int contender(const ContenderCall* call, cudaStream_t stream) {
  if (!call->half || call->channels % 10 != 0) return cudaErrorNotSupported;
  const size_t bytes = sizeof(half) * call->rows * call->columns * call->channels;
  const cudaError_t zeroed = cudaMemsetAsync(call->out, 0, bytes, stream);
  if (zeroed != cudaSuccess) return zeroed;
  const int lanes = call->channels / 10, cells = 1024 / lanes;
  const dim3 threads(lanes, cells), blocks(1, (call->intervals + cells - 1) / cells);
  bevfusion::camera::bevpool_half_pack10_kernel<<<blocks, threads, 0, stream>>>(
      static_cast<const half*>(call->feat), static_cast<const half*>(call->depth), call->channels,
      reinterpret_cast<const int3*>(call->interval_triples), call->intervals,
      reinterpret_cast<const unsigned int*>(call->ranks_depth), call->rows, call->columns, call->bins,
      call->height * call->width, static_cast<half*>(call->out));
  return cudaPeekAtLastError();
}
