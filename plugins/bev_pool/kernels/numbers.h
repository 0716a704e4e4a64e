// Number types and packs of them, for device and host alike.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_fp16.h>
#define BEVDEPLOY_HD __host__ __device__ __forceinline__
#else
#define BEVDEPLOY_HD inline
#endif
#ifdef __CUDA_ARCH__
#define BEVDEPLOY_UNROLL _Pragma("unroll")
#define BEVDEPLOY_ROLLED _Pragma("unroll 1")
#else
#define BEVDEPLOY_UNROLL
#define BEVDEPLOY_ROLLED
#endif

namespace bevdeploy {

struct Half {
  uint16_t bits;
};

BEVDEPLOY_HD float float_from_bits(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

BEVDEPLOY_HD uint32_t bits_from_float(float value) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(value);
#else
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
#endif
}

// IEEE 754 binary16 to binary32, exact.
BEVDEPLOY_HD float float_from_half(uint32_t half_bits) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(static_cast<unsigned short>(half_bits)));
#else
  const uint32_t sign = (half_bits & 0x8000u) << 16;
  const uint32_t exponent = (half_bits >> 10) & 31u, fraction = half_bits & 0x3FFu;
  if (exponent == 31u) return float_from_bits(sign | 0x7F800000u | fraction << 13);
  if (exponent > 0u) return float_from_bits(sign | (exponent + 112u) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 5.9604644775390625e-8f;  // fraction * 2^-24
  return sign ? -magnitude : magnitude;
#endif
}

// binary32 to binary16, to nearest, ties to even.
BEVDEPLOY_HD uint32_t half_from_float(float value) {
#ifdef __CUDA_ARCH__
  return __half_as_ushort(__float2half_rn(value));
#else
  const uint32_t bits = bits_from_float(value);
  const uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return sign | 0x7FFFu;         // NaN
  if (magnitude >= 0x477FF000u) return sign | 0x7C00u;        // from 65,520 on: infinity
  if (magnitude < 0x38800000u) {                              // below 2^-14: subnormal
    const float shifted = float_from_bits(magnitude) + 0.5f;  // ulp of 0.5 is 2^-24
    return sign | (bits_from_float(shifted) - 0x3F000000u);
  }
  const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return sign | ((rounded - 0x38000000u) >> 13);
#endif
}

// kW values of T that are loaded at once: 16, 4, 2 or 1 bytes.
template <class T, int kW>
struct Pack {
  static constexpr int kBytes = kW * static_cast<int>(sizeof(T));
  static constexpr int kWords = kBytes >= 4 ? kBytes / 4 : 1;
  uint32_t word[kWords];
};

template <class T, int kW>
BEVDEPLOY_HD Pack<T, kW> load_pack(const T* from) {
  Pack<T, kW> pack;
  constexpr int kBytes = Pack<T, kW>::kBytes;
  static_assert(kBytes == 16 || kBytes == 4 || kBytes == 2 || kBytes == 1, "a load of the machine");
#ifdef __CUDA_ARCH__
  if constexpr (kBytes == 16) {
    const uint4 wide = __ldg(reinterpret_cast<const uint4*>(from));
    pack.word[0] = wide.x, pack.word[1] = wide.y, pack.word[2] = wide.z, pack.word[3] = wide.w;
  } else if constexpr (kBytes == 4) {
    pack.word[0] = __ldg(reinterpret_cast<const unsigned int*>(from));
  } else if constexpr (kBytes == 2) {
    pack.word[0] = __ldg(reinterpret_cast<const unsigned short*>(from));
  } else {
    pack.word[0] = __ldg(reinterpret_cast<const unsigned char*>(from));
  }
#else
  pack.word[0] = 0;
  std::memcpy(pack.word, from, kBytes);
#endif
  return pack;
}

template <int kW>
BEVDEPLOY_HD float value_of(const Pack<float, kW>& pack, int i) {
  return float_from_bits(pack.word[i]);
}

template <int kW>
BEVDEPLOY_HD float value_of(const Pack<Half, kW>& pack, int i) {
  return float_from_half((pack.word[i / 2] >> (16 * (i % 2))) & 0xFFFFu);
}

template <int kW>
BEVDEPLOY_HD float value_of(const Pack<int8_t, kW>& pack, int i) {
#ifdef __CUDA_ARCH__
  // 0x4B0000xx is the float 2^23 + xx: two instructions at full rate, where a conversion runs at a quarter of it
  return __uint_as_float(__byte_perm(pack.word[i / 4] ^ 0x80808080u, 0x4B000000u, 0x7440 + i % 4)) - 8388736.f;
#else
  return static_cast<float>(static_cast<int8_t>((pack.word[i / 4] >> (8 * (i % 4))) & 0xFFu));
#endif
}

BEVDEPLOY_HD float load_value(const float* from) { return value_of(load_pack<float, 1>(from), 0); }
BEVDEPLOY_HD float load_value(const Half* from) { return value_of(load_pack<Half, 1>(from), 0); }
BEVDEPLOY_HD float load_value(const int8_t* from) { return value_of(load_pack<int8_t, 1>(from), 0); }

BEVDEPLOY_HD void store_value(float* to, float value) { *to = value; }
BEVDEPLOY_HD void store_value(Half* to, float value) { to->bits = static_cast<uint16_t>(half_from_float(value)); }

// 16 bytes of `to`, which is aligned to them.
BEVDEPLOY_HD void store_words(void* to, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
#ifdef __CUDA_ARCH__
  *static_cast<uint4*>(to) = make_uint4(a, b, c, d);
#else
  const uint32_t words[4] = {a, b, c, d};
  std::memcpy(to, words, sizeof words);
#endif
}

BEVDEPLOY_HD uint32_t half_pair(float low, float high) {
#ifdef __CUDA_ARCH__
  const __half2 pair = __floats2half2_rn(low, high);
  return static_cast<uint32_t>(__half_as_ushort(__low2half(pair))) |
         static_cast<uint32_t>(__half_as_ushort(__high2half(pair))) << 16;
#else
  return half_from_float(low) | half_from_float(high) << 16;
#endif
}

BEVDEPLOY_HD void store_16_bytes(float* to, const float (&v)[4]) {
  store_words(to, bits_from_float(v[0]), bits_from_float(v[1]), bits_from_float(v[2]), bits_from_float(v[3]));
}

BEVDEPLOY_HD void store_16_bytes(Half* to, const float (&v)[8]) {
  store_words(to, half_pair(v[0], v[1]), half_pair(v[2], v[3]), half_pair(v[4], v[5]), half_pair(v[6], v[7]));
}

// One rounding, on the device and on the host.
BEVDEPLOY_HD float multiply_add(float a, float b, float c) {
#ifdef __CUDA_ARCH__
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

struct Quad {
  uint32_t v[4];
};

// Four consecutive table entries, aligned to 16 bytes.
BEVDEPLOY_HD Quad load_quad(const void* table, uint32_t quad) {
  const auto pack = load_pack<float, 4>(static_cast<const float*>(table) + size_t(quad) * 4u);
  return {{pack.word[0], pack.word[1], pack.word[2], pack.word[3]}};
}

// Four consecutive values of shared memory, aligned to 16 bytes.
BEVDEPLOY_HD Quad read_shared(const void* from) {
#ifdef __CUDA_ARCH__
  const uint4 wide = *static_cast<const uint4*>(from);
  return {{wide.x, wide.y, wide.z, wide.w}};
#else
  Quad quad;
  std::memcpy(&quad, from, sizeof quad);
  return quad;
#endif
}

}  // namespace bevdeploy
