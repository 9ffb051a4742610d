/* Sums of products of int16 inputs and int8 weights, shared by the kernels for int16. */
#ifndef TIDEPOOL_16X8_SUMS_H
#define TIDEPOOL_16X8_SUMS_H

#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

#ifdef __cplusplus
extern "C" {
#endif

/* So many products fit in 32 bits, whatever they are: 511 * 2^15 * 2^7 < 2^31. */
#define TIDEPOOL_SAFE_PRODUCTS 511

/* round(sum * multiplier / 2^32), ties towards positive infinity; clamped. */
static inline int16_t tidepool_scale_sum(int32_t sum, int32_t multiplier, int32_t low, int32_t high)
{
    const int64_t product = (int64_t)sum * multiplier;
    const int32_t scaled = (int32_t)tidepool_asr(product + (INT64_C(1) << 31), 32);
    return (int16_t)tidepool_clamp(scaled, low, high);
}

/* round(sum * multiplier / 2^shift), ties towards positive infinity; clamped. */
static inline int16_t tidepool_scale_wide_sum(int64_t sum, int32_t multiplier, int32_t shift,
                                              int32_t low, int32_t high)
{
    const int64_t half = INT64_C(1) << (shift - 1);
    const int32_t scaled = (int32_t)tidepool_asr(sum * multiplier + half, shift);
    return (int16_t)tidepool_clamp(scaled, low, high);
}

/* x times the factor (multiplier, shift), rounded twice as by tidepool_requantize; but
 * |x| * 2^shift <= 2^30, so that 32 bits do for the second rounding. */
static inline int32_t tidepool_rescale_16(int32_t x, int32_t multiplier, int32_t shift)
{
    if (shift >= 0) {
        return tidepool_high_mul(x * (INT32_C(1) << shift), multiplier);
    }
    const int32_t product = tidepool_high_mul(x, multiplier);
    const int32_t half = INT32_C(1) << (-shift - 1);
    return (int32_t)tidepool_asr(product + half - ((product < 0) ? 1 : 0), -shift);
}

/* The taps of a filter that lie inside the image, for a window at some place: `rows` by `taps` of
 * them, the first one at `input` elements in the image and at tap `first_tap` of the filter. */
typedef struct {
    int32_t rows;
    int32_t taps;
    int32_t input;
    int32_t first_tap;
} tidepool_region;

/* Clips one dimension: from tap `first` on, `count` taps lie inside. */
static inline void tidepool_clip_taps(int32_t origin, int32_t taps, int32_t dilation, int32_t size,
                                      int32_t *first, int32_t *count)
{
    int32_t last = taps;
    *first = 0;
    while (*first < last && origin + *first * dilation < 0) {
        ++*first;
    }
    while (*first < last && origin + (last - 1) * dilation >= size) {
        --last;
    }
    *count = last - *first;
}

static inline tidepool_region tidepool_place_window(const tidepool_window *w, int32_t y, int32_t x)
{
    const int32_t origin_y = y * w->stride_height - w->pad_top;
    const int32_t origin_x = x * w->stride_width - w->pad_left;
    tidepool_region r;
    int32_t top;
    int32_t left;
    tidepool_clip_taps(origin_y, w->filter_height, w->dilation_height, w->input_height, &top,
                       &r.rows);
    tidepool_clip_taps(origin_x, w->filter_width, w->dilation_width, w->input_width, &left,
                       &r.taps);
    if (r.taps == 0) {
        r.rows = 0;
    }
    const int32_t row = (r.rows > 0) ? origin_y + top * w->dilation_height : 0;
    const int32_t column = (r.rows > 0) ? origin_x + left * w->dilation_width : 0;
    r.input = (row * w->input_width + column) * w->input_channels;
    r.first_tap = top * w->filter_width + left;
    return r;
}

/* What a filter reads: rows of runs of inputs side by side. Pitches are in elements. */
typedef struct {
    int32_t rows;
    int32_t runs;
    int32_t run;
    int32_t row_pitch;
    int32_t run_pitch;
    int32_t weights_row_pitch;
    int32_t weights_run_pitch;
} tidepool_block;

/* A region, for filters of `depth` channels. Taps that lie side by side in the image do so in the
 * filter, too: they are one run. */
static inline tidepool_block tidepool_block_of(const tidepool_window *w, const tidepool_region *r,
                                               int32_t depth)
{
    const int32_t dense = w->dilation_width == 1 && depth == w->input_channels;
    const tidepool_block block = {r->rows,
                                  dense ? 1 : r->taps,
                                  dense ? r->taps * depth : depth,
                                  w->dilation_height * w->input_width * w->input_channels,
                                  w->dilation_width * w->input_channels,
                                  w->filter_width * depth,
                                  depth};
    return block;
}

/* The sum of a block's products with one filter, which fits in 32 bits. */
static inline int32_t tidepool_block_sum(const tidepool_block *b, const int16_t *inputs,
                                         const int8_t *weights)
{
    int32_t sum = 0;
    for (int32_t row = 0; row < b->rows; ++row) {
        for (int32_t i = 0; i < b->runs; ++i) {
            const int16_t *x = inputs + row * b->row_pitch + i * b->run_pitch;
            const int8_t *w = weights + row * b->weights_row_pitch + i * b->weights_run_pitch;
            for (int32_t n = b->run; n > 0; --n) {
                sum += *x++ * *w++;
            }
        }
    }
    return sum;
}

/* The same for four filters, whose weights lie `pitch` bytes apart: each input is loaded once. */
static inline void tidepool_block_sum_x4(const tidepool_block *b, const int16_t *inputs,
                                         const int8_t *weights, int32_t pitch, int32_t sums[4])
{
    int32_t sum_0 = 0;
    int32_t sum_1 = 0;
    int32_t sum_2 = 0;
    int32_t sum_3 = 0;
    for (int32_t row = 0; row < b->rows; ++row) {
        for (int32_t i = 0; i < b->runs; ++i) {
            const int16_t *x = inputs + row * b->row_pitch + i * b->run_pitch;
            const int16_t *const end = x + b->run;
            const int8_t *w0 = weights + row * b->weights_row_pitch + i * b->weights_run_pitch;
            const int8_t *w1 = w0 + pitch;
            const int8_t *w2 = w1 + pitch;
            const int8_t *w3 = w2 + pitch;
            while (x != end) {
                const int32_t value = *x++;
                sum_0 += value * *w0++;
                sum_1 += value * *w1++;
                sum_2 += value * *w2++;
                sum_3 += value * *w3++;
            }
        }
    }
    sums[0] = sum_0;
    sums[1] = sum_1;
    sums[2] = sum_2;
    sums[3] = sum_3;
}

/* The sum of a block's products with one filter, in pieces of 32 bits. */
static inline int64_t tidepool_wide_sum(const tidepool_block *b, const int16_t *inputs,
                                        const int8_t *weights)
{
    int64_t sum = 0;
    for (int32_t row = 0; row < b->rows; ++row) {
        for (int32_t i = 0; i < b->runs; ++i) {
            const int16_t *x = inputs + row * b->row_pitch + i * b->run_pitch;
            const int8_t *w = weights + row * b->weights_row_pitch + i * b->weights_run_pitch;
            for (int32_t left = b->run; left > 0; left -= TIDEPOOL_SAFE_PRODUCTS) {
                int32_t n = (left < TIDEPOOL_SAFE_PRODUCTS) ? left : TIDEPOOL_SAFE_PRODUCTS;
                int32_t part = 0;
                for (; n > 0; --n) {
                    part += *x++ * *w++;
                }
                sum += part;
            }
        }
    }
    return sum;
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_16X8_SUMS_H */
