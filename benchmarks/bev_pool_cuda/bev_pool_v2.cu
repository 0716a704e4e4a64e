// BEVDet's forward kernel of bev_pool_v2, float32, in its own launch shape; CONTENDER_SOURCE is the user's copy of
// mmdet3d/ops/bev_pool_v2/src/bev_pool_cuda.cu. It writes occupied cells only, so its output [Y, X, C] is zeroed first.
#include CONTENDER_SOURCE

#include "contender.h"

CONTENDER int contender(const ContenderCall* call, cudaStream_t stream) {
  if (call->half) return cudaErrorNotSupported;
  const int c = call->channels;
  float* out = static_cast<float*>(call->out);
  const size_t bytes = sizeof(float) * call->rows * call->columns * c;
  const cudaError_t zeroed = cudaMemsetAsync(out, 0, bytes, stream);
  if (zeroed != cudaSuccess) return zeroed;
  const int blocks = static_cast<int>((static_cast<int64_t>(call->intervals) * c + 255) / 256);
  bev_pool_v2_kernel<<<blocks, 256, 0, stream>>>(
      c, call->intervals, static_cast<const float*>(call->depth), static_cast<const float*>(call->feat),
      call->ranks_depth, call->ranks_feat, call->ranks_bev, call->interval_starts, call->interval_lengths, out);
  return cudaPeekAtLastError();
}
