/* SUM and MEAN, int8, over any set of dimensions. */
#include "tidepool_pixels.h"
#include "tidepool_reductions.h"

static int8_t requantize(const tidepool_sum_params *p, int32_t sum)
{
    const int32_t scaled =
        tidepool_requantize(sum - p->zero_point_sum, p->multiplier, p->shift);
    return (int8_t)tidepool_clamp(scaled + p->output_zero_point, INT8_MIN, INT8_MAX);
}

/* The sum over the reduced dimensions, for one place in the kept ones. */
static int32_t sum_of(const tidepool_reduction *r, const int8_t *first)
{
    const int32_t size = r->reduced_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1];
    const int32_t stride = r->reduced_strides[TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1];
    int32_t outer_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
    int32_t reduced[TIDEPOOL_MAX_REDUCE_DIMENSIONS] = {0};
    memcpy(outer_sizes, r->reduced_sizes, sizeof outer_sizes);
    outer_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1] = 1;
    int32_t offset = 0;
    int32_t sum = 0;
    while (offset >= 0) {
        const int8_t *x = first + offset;
        for (int32_t left = size; left > 0; --left) {
            sum += *x;
            x += stride;
        }
        offset = tidepool_next_index(reduced, outer_sizes, r->reduced_strides);
    }
    return sum;
}

/* Neighbouring elements that are kept, as channels of pixels that are reduced. Returns the end of
 * the output. */
static int8_t *sum_pixels(const tidepool_sum_params *p, const int8_t *first, int8_t *output)
{
    const tidepool_reduction *r = &p->reduction;
    const int32_t channels = r->kept_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1];
    tidepool_pixels pixels = {first, r->reduced_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS - 2],
                              r->reduced_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1],
                              r->reduced_strides[TIDEPOOL_MAX_REDUCE_DIMENSIONS - 2],
                              r->reduced_strides[TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1]};
    for (int32_t c = 0; c < channels; c += TIDEPOOL_PIXEL_CHANNELS) {
        const int32_t at_once = tidepool_clamp(channels - c, 1, TIDEPOOL_PIXEL_CHANNELS);
        int32_t sums[TIDEPOOL_PIXEL_CHANNELS];
        tidepool_sum_pixels(&pixels, at_once, sums);
        for (int32_t i = 0; i < at_once; ++i) {
            *output++ = requantize(p, sums[i]);
        }
        pixels.first += at_once;
    }
    return output;
}

TIDEPOOL_KERNEL
void tidepool_sum(const tidepool_sum_params *params, const int8_t *input, int8_t *output)
{
    const tidepool_reduction *r = &params->reduction;
    const int32_t innermost = TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1;
    int by_channels = r->kept_strides[innermost] == 1;
    for (int32_t d = 0; d < innermost - 1; ++d) {
        by_channels = by_channels && r->reduced_sizes[d] == 1;
    }
    int32_t kept_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
    int32_t kept[TIDEPOOL_MAX_REDUCE_DIMENSIONS] = {0};
    memcpy(kept_sizes, r->kept_sizes, sizeof kept_sizes);
    kept_sizes[innermost] = by_channels ? 1 : kept_sizes[innermost];
    int32_t offset = 0;
    while (offset >= 0) {
        if (by_channels) {
            output = sum_pixels(params, input + offset, output);
        } else {
            *output++ = requantize(params, sum_of(r, input + offset));
        }
        offset = tidepool_next_index(kept, kept_sizes, r->kept_strides);
    }
}
