/* Kernels for cores with the DSP extension, their instructions, and what these compute. */
#ifndef TIDEPOOL_DSP_H
#define TIDEPOOL_DSP_H

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Kernels of level "dsp" eat weights that were packed ahead of time: a stream of 32-bit words.
 *
 * Output channels come in pairs, A and B. A 16-bit lane of a weight word holds 256 * weight of A +
 * weight of B, and a word two lanes: of the taps 4i and 4i + 2, the next word of 4i + 1 and 4i + 3.
 * Sums are modulo 2^32: R = 256 A + B over the lanes, B over their low bytes; R - B is 256 A, and A
 * fits 24 bits. The start of R and B holds the bias, with the input's zero point folded in.
 *
 * Then a record of six words: multiplier, addend and "last" of A, the same of B. last = shift + 256
 * * position of the channel's result. Form "floor":
 *     result = ssat8((256 A * multiplier + addend * 2^32) >> 32 >> shift), with B for 256 A;
 * form "rounded", if bit 30 of A's last is set, with x for A or B:
 *     result = ssat8((round(x * (multiplier + 2^32) / 2^32) + addend - [x < 0]) >> shift)
 * In convolutions a clear bit 31 of A's last says that the form is "floor" and the shift is
 * TIDEPOOL_FIXED_SHIFT for B and 8 more for A; in dense layers, that the form is "floor".
 * The code generator proves both equal to the reference for every value that occurs. */

#define TIDEPOOL_FIXED_SHIFT 4

/* CONV_2D and FULLY_CONNECTED of several rows, one group.
 *   depth        filter_height * filter_width * input_channels, up to the next multiple of 4
 *   stream       for each pair: two words of weights, start of R and of B, the other depth / 2 - 2
 *                words of weights, the record. Taps are in the order of the filter's rows, of which
 *                each is cut down to a multiple of 4; the rest of all rows comes behind them.
 *   fixed_words  of the stream: the pairs of the fixed form, which come first
 *   output_min, output_max  applied behind the records' own clamp to int8
 * Scratch: 6 * depth bytes, and 3 * depth more unless every window lies in the image, without a
 * horizontal dilation. Reads three pixels' windows, then writes the three. */
typedef struct {
    tidepool_window window;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t depth;
    int32_t fixed_words;
    int32_t stream_words;
    const int32_t *stream;
} tidepool_conv_2d_dsp_params;

void tidepool_conv_2d_dsp(const tidepool_conv_2d_dsp_params *params, const int8_t *input,
                          int8_t *output, uint8_t *scratch);

/* The same with weights of four bits.
 *   depth        as above
 *   stream       for each pair: a word of weights, start of A and of B, the other depth / 4 - 1 words,
 *                the record. A word has four taps: from the lowest nibble, tap 0 of A and of B, 1 of A
 *                and of B; then taps 2 and 3 likewise. Sums are scaled by 4096, those of the kernel
 *                "wide" by 16, and so are the starts; the addends of form "floor" are, and its shifts
 *                are larger by 12 or 4. A sum must fit in 20 bits, in the kernel "wide" in 28.
 * TIDEPOOL_INT4_FIXED_SHIFT is that of the fixed form, unscaled. */
#define TIDEPOOL_INT4_FIXED_SHIFT 0

void tidepool_conv_2d_int4_dsp(const tidepool_conv_2d_dsp_params *params, const int8_t *input,
                               int8_t *output, uint8_t *scratch);

void tidepool_conv_2d_int4_wide_dsp(const tidepool_conv_2d_dsp_params *params, const int8_t *input,
                                    int8_t *output, uint8_t *scratch);

/* As tidepool_transpose_conv. */
typedef struct {
    tidepool_conv_2d_dsp_params convolution;
    tidepool_transposed to;
} tidepool_transpose_conv_dsp_params;

void tidepool_transpose_conv_dsp(const tidepool_transpose_conv_dsp_params *params,
                                 const int8_t *input, int8_t *output, uint8_t *scratch);

/* FULLY_CONNECTED. Groups are of four channels (two pairs), 16 of them a block; inputs come in parts
 * of 128, of which the last one ends with zeros up to a multiple of 8.
 *   stream       for each block: the start (R and B, R and B) of each group, then for each part and
 *                each group: for every four inputs two words of the first pair and two of the
 *                second one
 *   records      two a group; or, if shared_records is 1, two for all groups, with positions from
 *                0 to 3 in the group */
typedef struct {
    int32_t batches;
    int32_t input_depth;
    int32_t output_depth;
    int32_t output_min;
    int32_t output_max;
    int32_t groups;
    int32_t shared_records;
    const int32_t *stream;
    const int32_t *records;
} tidepool_fully_connected_dsp_params;

void tidepool_fully_connected_dsp(const tidepool_fully_connected_dsp_params *params,
                                  const int8_t *input, int8_t *output);

/* The same with weights of four bits.
 *   stream       for each block: the starts of each group's channels, then for each part and each
 *                group: for every four inputs two words. A word has in each half a nibble of each of
 *                the four channels, from the lowest one on: weight + 8, of the last channel the
 *                weight; its halves are of inputs 0 and 2, or 1 and 3
 *   records      as above; their sums are not scaled */
void tidepool_fully_connected_int4_dsp(const tidepool_fully_connected_dsp_params *params,
                                       const int8_t *input, int8_t *output);

/* DEPTHWISE_CONV_2D of depth multiplier 1 and at least 4 channels, which go by fours.
 *   stream       for each four: the first one's index, the filter's taps as words of four bytes,
 *                and for each of the four its bias (the input's zero point folded in) and its
 *                record of B: multiplier, addend, last as that of A
 * Scratch: filter_height * filter_width * (input_channels + 8) bytes. */
typedef struct {
    tidepool_window window;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t stream_words;
    const int32_t *stream;
} tidepool_depthwise_conv_2d_dsp_params;

void tidepool_depthwise_conv_2d_dsp(const tidepool_depthwise_conv_2d_dsp_params *params,
                                    const int8_t *input, int8_t *output, uint8_t *scratch);

/* The same for a filter of 3x3 with strides of 1 or 2 and dilations of 1. Scratch: 208 + 32 * columns
 * bytes, with columns = max(output_width + 2, 4) for strides of 1 and max(2 * output_width + 1, 9) for
 * strides of 2. With a stride of 1 in place, for SAME padding and a multiple of four channels. */
void tidepool_depthwise_3x3_dsp(const tidepool_depthwise_conv_2d_dsp_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch);

/* DEPTHWISE_CONV_2D of any window and depth multiplier, with at least 4 input channels, which go by fours.
 *   rows_of_plane  rows of the input from one plane to the next: the largest number that divides
 *                  stride_height and, if the filter has three rows or more, 2 * dilation_height
 *   band           rows of the output whose planes are in scratch at a time
 *   stream         for each four: the first one's index; then for each of depth_multiplier outputs of
 *                  the four the taps and records as above
 * stride_width is at most 4. Scratch, with across = filter_width and column = dilation_width, or (filter_width + 1) / 2 and twice
 * dilation_width for a filter of one row, and pairs = (filter_height + 1) / 2:
 *   planes of 16 * min(stride_width, (across - 1) * column + 1)
 *                * (max(output_width, 4) + (across - 1) * column / stride_width) bytes, the latter rounded up
 *   to an even number; so many of them:
 *       ((band - 1) * stride_height + (pairs - 1) * 2 * dilation_height) / rows_of_plane + 1
 *   8 * pairs * across bytes
 *   for each depth multiplier 16 * (7 + 2 * pairs * across) bytes
 * May work in place if the depth multiplier is 1 and the channels a multiple of four, the output no larger
 * than the input in any direction, and pad_top at most (pairs - 1) * 2 * dilation_height. */
typedef struct {
    tidepool_window window;
    int32_t depth_multiplier;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t rows_of_plane;
    int32_t band;
    int32_t stream_words;
    const int32_t *stream;
} tidepool_depthwise_windows_dsp_params;

void tidepool_depthwise_windows_dsp(const tidepool_depthwise_windows_dsp_params *params,
                                    const int8_t *input, int8_t *output, uint8_t *scratch);

/* SXTB16: bytes 0 and 2 as two signed halves. */
static inline uint32_t tidepool_sxtb16(uint32_t x)
{
#if TIDEPOOL_HAS_DSP
    return (uint32_t)__sxtb16((int8x4_t)x);
#else
    const uint32_t low = (uint32_t)(int32_t)(int8_t)(uint8_t)(x & 0xFFu) & 0xFFFFu;
    const uint32_t high = (uint32_t)(int32_t)(int8_t)(uint8_t)((x >> 16) & 0xFFu);
    return low | high << 16;
#endif
}

/* SXTB16 with ROR #8: bytes 1 and 3. */
static inline uint32_t tidepool_sxtb16_odd(uint32_t x)
{
#if TIDEPOOL_HAS_DSP
    uint32_t result; /* <arm_acle.h> leaves the rotation to the compiler, which doesn't fold it in */
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
    return result;
#else
    return tidepool_sxtb16(x >> 8 | x << 24);
#endif
}

/* PKHBT with LSL #16: the low halves of a and b. */
static inline uint32_t tidepool_low_halves(uint32_t a, uint32_t b)
{
#if TIDEPOOL_HAS_DSP
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return (a & 0xFFFFu) | b << 16;
#endif
}

/* PKHTB with ASR #16: the high halves of a and b. */
static inline uint32_t tidepool_high_halves(uint32_t a, uint32_t b)
{
#if TIDEPOOL_HAS_DSP
    uint32_t result;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(b), "r"(a));
    return result;
#else
    return a >> 16 | (b & 0xFFFF0000u);
#endif
}

/* SMLAD, modulo 2^32. */
static inline uint32_t tidepool_smlad(uint32_t x, uint32_t y, uint32_t sum)
{
#if TIDEPOOL_HAS_DSP
    return (uint32_t)__smlad((int16x2_t)x, (int16x2_t)y, (int32_t)sum);
#else
    return sum + (uint32_t)(tidepool_low_half(x) * tidepool_low_half(y)) +
           (uint32_t)(tidepool_high_half(x) * tidepool_high_half(y));
#endif
}

/* SMLABB and SMLATT, modulo 2^32. */
static inline uint32_t tidepool_smlabb(uint32_t x, uint32_t y, uint32_t sum)
{
#if TIDEPOOL_HAS_DSP
    return (uint32_t)__smlabb((int32_t)x, (int32_t)y, (int32_t)sum);
#else
    return sum + (uint32_t)(tidepool_low_half(x) * tidepool_low_half(y));
#endif
}

static inline uint32_t tidepool_smlatt(uint32_t x, uint32_t y, uint32_t sum)
{
#if TIDEPOOL_HAS_DSP
    return (uint32_t)__smlatt((int32_t)x, (int32_t)y, (int32_t)sum);
#else
    return sum + (uint32_t)(tidepool_high_half(x) * tidepool_high_half(y));
#endif
}

/* The result of one channel of a pair, in the form "floor"; x is 256 A or B. */
static inline int8_t tidepool_floor_form(uint32_t x, const int32_t *record)
{
    const int32_t shift = record[2] & 0xFF;
#if TIDEPOOL_HAS_DSP
    int32_t high; /* <arm_acle.h> has no SMMLA */
    __asm__("smmla %0, %1, %2, %3" : "=r"(high) : "r"(x), "r"(record[0]), "r"(record[1]));
    return tidepool_saturate(high, shift);
#else
    const int64_t product =
        (int64_t)(int32_t)x * record[0] + (int64_t)record[1] * (INT64_C(1) << 32);
    return (int8_t)tidepool_clamp((int32_t)tidepool_asr(product, 32 + shift), INT8_MIN, INT8_MAX);
#endif
}

/* The same in the form "rounded"; x is A or B. */
static inline int8_t tidepool_rounded_form(int32_t x, const int32_t *record)
{
    const int32_t shift = record[2] & 0xFF;
#if TIDEPOOL_HAS_DSP
    int32_t high;
    __asm__("smmlar %0, %1, %2, %1" : "=r"(high) : "r"(x), "r"(record[0]));
    return tidepool_saturate(high + (record[1] + (x >> 31)), shift);
#else
    const int64_t factor = (int64_t)record[0] + (INT64_C(1) << 32);
    const int64_t high = tidepool_asr(x * factor + (INT64_C(1) << 31), 32);
    const int64_t sum = high + record[1] - ((x < 0) ? 1 : 0);
    return (int8_t)tidepool_clamp((int32_t)tidepool_asr(sum, shift), INT8_MIN, INT8_MAX);
#endif
}

static inline int8_t tidepool_form(uint32_t x, const int32_t *record)
{
    const uint32_t is_rounded = (uint32_t)record[2] >> 30 & 1u;
    return (is_rounded != 0) ? tidepool_rounded_form((int32_t)x, record)
                             : tidepool_floor_form(x, record);
}

#if !TIDEPOOL_HAS_DSP
/* Both results of a pair from its sums. */
static inline void tidepool_store_pair(uint32_t r, uint32_t b, const int32_t *record, int8_t *output)
{
    const int32_t a = (int32_t)tidepool_asr((int32_t)(r - b), 8);
    const uint32_t position_a = ((uint32_t)record[2] & 0x3FFFFFFFu) >> 8;
    const uint32_t position_b = (uint32_t)record[5] >> 8;
    if (((uint32_t)record[2] >> 30 & 1u) != 0) {
        output[position_a] = tidepool_rounded_form(a, record);
        output[position_b] = tidepool_rounded_form((int32_t)b, record + 3);
    } else {
        output[position_a] = tidepool_floor_form(r - b, record);
        output[position_b] = tidepool_floor_form(b, record + 3);
    }
}
#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_DSP_H */
