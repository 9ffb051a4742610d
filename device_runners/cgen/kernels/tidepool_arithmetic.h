/* Fixed-point arithmetic and bytes, shared by the kernels. */
#ifndef TIDEPOOL_ARITHMETIC_H
#define TIDEPOOL_ARITHMETIC_H

#include <string.h>

#include "tidepool_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1 where kernels use instructions of the DSP extension, or of the vector extension for integers;
 * elsewhere they are portable C. */
#if defined(__GNUC__) && defined(__thumb2__) && defined(__ARM_FEATURE_DSP)
#define TIDEPOOL_HAS_DSP 1
#else
#define TIDEPOOL_HAS_DSP 0
#endif

#if defined(__GNUC__) && defined(__thumb2__) && defined(__ARM_FEATURE_MVE)
#define TIDEPOOL_HAS_MVE (__ARM_FEATURE_MVE & 1)
#else
#define TIDEPOOL_HAS_MVE 0
#endif

/* Where registers are scarce, a loop by itself gets more of them. */
#if defined(__GNUC__)
#define TIDEPOOL_APART static __attribute__((noinline, unused))
#else
#define TIDEPOOL_APART static inline
#endif

/* floor(x / 2^n), 0 <= n < 64. C leaves the right shift of a negative number to the compiler; GCC
 * and Clang document it as arithmetic on every target. Only here and below is it relied on. */
static inline int64_t tidepool_asr(int64_t x, int32_t n)
{
    return x >> n;
}

/* floor(x / 2^n), 0 <= n < 32. */
static inline int32_t tidepool_shift(int32_t x, int32_t n)
{
    return x >> n;
}

/* round(a * b / 2^31), ties towards positive infinity. a and b are not both -2^31. */
static inline int32_t tidepool_high_mul(int32_t a, int32_t b)
{
    return (int32_t)tidepool_asr((int64_t)a * b + (INT64_C(1) << 30), 31);
}

/* round(x / 2^n), ties away from zero, 0 <= n <= 62. */
static inline int32_t tidepool_rounding_shift(int32_t x, int32_t n)
{
    const int64_t half = (n > 0) ? (INT64_C(1) << (n - 1)) : 0;
    const int64_t away = (n > 0 && x < 0) ? 1 : 0;
    return (int32_t)tidepool_asr((int64_t)x + half - away, n);
}

/* x times the factor (multiplier, shift), rounded twice: after the multiplication and after the
 * right shift. |x| * 2^shift < 2^31 if shift is positive. */
static inline int32_t tidepool_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = (shift > 0) ? shift : 0;
    const int32_t right = (shift > 0) ? 0 : -shift;
    return tidepool_rounding_shift(tidepool_high_mul(x * (INT32_C(1) << left), multiplier), right);
}

static inline int32_t tidepool_clamp(int32_t x, int32_t low, int32_t high)
{
    const int32_t raised = (x < low) ? low : x;
    return (raised > high) ? high : raised;
}

/* Four bytes, the first one lowest (little-endian cores). */
static inline uint32_t tidepool_load_word(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline int32_t tidepool_low_half(uint32_t x)
{
    return (int16_t)(uint16_t)(x & 0xFFFFu);
}

static inline int32_t tidepool_high_half(uint32_t x)
{
    return (int16_t)(uint16_t)(x >> 16);
}

/* floor(x / 2^n), clamped to int8; 0 <= n < 32. */
static inline int8_t tidepool_saturate(int32_t x, int32_t n)
{
#if defined(__GNUC__) && defined(__ARM_FEATURE_SAT)
    int32_t result; /* __ssat of <arm_acle.h> doesn't pass -Wconversion */
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(tidepool_shift(x, n)));
    return (int8_t)result;
#else
    return (int8_t)tidepool_clamp(tidepool_shift(x, n), INT8_MIN, INT8_MAX);
#endif
}

/* Whether words may lie at any address; otherwise the compiler would copy them by a call. */
#if defined(__GNUC__) && defined(__ARM_ARCH) && !defined(__ARM_FEATURE_UNALIGNED)
#define TIDEPOOL_WORDS_ANYWHERE 0
#else
#define TIDEPOOL_WORDS_ANYWHERE 1
#endif

/* A word at an address that is a multiple of 4, or where words may lie anywhere. */
static inline uint32_t tidepool_word_at(const int8_t *bytes)
{
    uint32_t word;
#if TIDEPOOL_WORDS_ANYWHERE
    memcpy(&word, bytes, sizeof word);
#else
    memcpy(&word, __builtin_assume_aligned(bytes, 4), sizeof word);
#endif
    return word;
}

static inline void tidepool_put_word(int8_t *bytes, uint32_t word)
{
#if TIDEPOOL_WORDS_ANYWHERE
    memcpy(bytes, &word, sizeof word);
#else
    memcpy(__builtin_assume_aligned(bytes, 4), &word, sizeof word);
#endif
}

/* Whether there may be words at both addresses. */
static inline int tidepool_are_words(const int8_t *one, const int8_t *other)
{
    return TIDEPOOL_WORDS_ANYWHERE || (((uintptr_t)one | (uintptr_t)other) & 3u) == 0;
}

/* Copies or fills bytes by words where it can: the C library's functions are small, not fast. */
static inline void tidepool_copy_bytes(int8_t *to, const int8_t *from, int32_t count)
{
    if (tidepool_are_words(to, from)) {
        for (; count >= 4; count -= 4) {
            tidepool_put_word(to, tidepool_word_at(from));
            to += 4;
            from += 4;
        }
    }
    for (; count > 0; --count) {
        *to++ = *from++;
    }
}

static inline void tidepool_fill_bytes(int8_t *to, int32_t value, int32_t count)
{
    if (tidepool_are_words(to, to)) {
        const uint32_t word = ((uint32_t)value & 0xFFu) * 0x01010101u;
        for (; count >= 4; count -= 4) {
            tidepool_put_word(to, word);
            to += 4;
        }
    }
    for (; count > 0; --count) {
        *to++ = (int8_t)value;
    }
}

/* Applies a clamp narrower than that of int8 to results. */
static inline void tidepool_clamp_all(int8_t *values, int32_t count, int32_t low, int32_t high)
{
    if (low > INT8_MIN || high < INT8_MAX) {
        for (int32_t i = 0; i < count; ++i) {
            values[i] = (int8_t)tidepool_clamp(values[i], low, high);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_ARITHMETIC_H */
