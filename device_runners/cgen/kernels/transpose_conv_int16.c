/* TRANSPOSE_CONV, int16 with int8 weights: each output pixel gathers the taps that reach it. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

/* The input row or column that tap `tap` carries to output place `place`, or -1. */
static int32_t source_of(int32_t place, int32_t tap, int32_t stride, int32_t extent)
{
    const int32_t distance = place - tap;
    if (distance < 0 || distance % stride != 0 || distance / stride >= extent) {
        return -1;
    }
    return distance / stride;
}

static int64_t accumulate(const tidepool_transpose_conv_int16_params *p, const int16_t *input,
                          const int8_t *weights, int32_t y, int32_t x)
{
    const tidepool_block pixel = {1, 1, p->input_channels, 0, 0, 0, 0};
    int64_t sum = 0;
    for (int32_t r = 0; r < p->filter_height; ++r) {
        const int32_t in_y = source_of(y + p->pad_top, r, p->stride_height, p->input_height);
        for (int32_t s = 0; in_y >= 0 && s < p->filter_width; ++s) {
            const int32_t in_x = source_of(x + p->pad_left, s, p->stride_width, p->input_width);
            if (in_x >= 0) {
                sum += tidepool_wide_sum(
                    &pixel, &input[(in_y * p->input_width + in_x) * p->input_channels],
                    &weights[(r * p->filter_width + s) * p->input_channels]);
            }
        }
    }
    return sum;
}

static int16_t *image(const tidepool_transpose_conv_int16_params *p, const int16_t *input,
                      int16_t *output)
{
    const int32_t filter_size = p->filter_height * p->filter_width * p->input_channels;
    for (int32_t y = 0; y < p->output_height; ++y) {
        for (int32_t x = 0; x < p->output_width; ++x) {
            for (int32_t c = 0; c < p->output_channels; ++c) {
                const int64_t sum = accumulate(p, input, &p->weights[c * filter_size], y, x);
                *output++ =
                    tidepool_scale_wide_sum(sum + p->bias[c], p->multipliers[c], p->shifts[c],
                                            p->output_min, p->output_max);
            }
        }
    }
    return output;
}

TIDEPOOL_KERNEL
void tidepool_transpose_conv_int16(const tidepool_transpose_conv_int16_params *params,
                                   const int16_t *input, int16_t *output)
{
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        output = image(params, input, output);
        input += params->input_height * params->input_width * params->input_channels;
    }
}
