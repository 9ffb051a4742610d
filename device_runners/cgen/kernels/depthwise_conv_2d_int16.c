/* DEPTHWISE_CONV_2D, int16 with int8 weights, sums of 32 bits: any window, stride, dilation and
 * depth multiplier. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

/* The sum of one channel. Pitches are in elements. */
static int32_t channel_sum(const tidepool_block *b, const int16_t *channel, const int8_t *weights)
{
    int32_t sum = 0;
    for (int32_t row = 0; row < b->rows; ++row) {
        const int16_t *pixel = channel + row * b->row_pitch;
        const int8_t *tap = weights + row * b->weights_row_pitch;
        for (int32_t i = b->runs; i > 0; --i) {
            sum += *pixel * *tap;
            pixel += b->run_pitch;
            tap += b->weights_run_pitch;
        }
    }
    return sum;
}

/* The sums of four channels side by side. */
static void channel_sums_x4(const tidepool_block *b, const int16_t *channel, const int8_t *weights,
                            int32_t sums[4])
{
    int32_t sum_0 = 0;
    int32_t sum_1 = 0;
    int32_t sum_2 = 0;
    int32_t sum_3 = 0;
    for (int32_t row = 0; row < b->rows; ++row) {
        const int16_t *pixel = channel + row * b->row_pitch;
        const int8_t *tap = weights + row * b->weights_row_pitch;
        for (int32_t i = b->runs; i > 0; --i) {
            sum_0 += pixel[0] * tap[0];
            sum_1 += pixel[1] * tap[1];
            sum_2 += pixel[2] * tap[2];
            sum_3 += pixel[3] * tap[3];
            pixel += b->run_pitch;
            tap += b->weights_run_pitch;
        }
    }
    sums[0] = sum_0;
    sums[1] = sum_1;
    sums[2] = sum_2;
    sums[3] = sum_3;
}

/* The outputs of one pixel. */
static void convolve(const tidepool_depthwise_conv_2d_int16_params *p, const tidepool_block *block,
                     const int16_t *input, const int8_t *weights, int16_t *output)
{
    const int32_t channels = p->window.output_channels;
    int32_t c = 0;
    if (p->depth_multiplier == 1) {
        for (; channels - c >= 4; c += 4) {
            int32_t sums[4];
            channel_sums_x4(block, input + c, weights + c, sums);
            for (int32_t i = 0; i < 4; ++i) {
                output[c + i] = tidepool_scale_sum(sums[i] + p->bias[c + i], p->multipliers[c + i],
                                                   p->output_min, p->output_max);
            }
        }
    }
    for (; c < channels; ++c) {
        const int32_t sum = channel_sum(block, input + c / p->depth_multiplier, weights + c);
        output[c] = tidepool_scale_sum(sum + p->bias[c], p->multipliers[c], p->output_min,
                                       p->output_max);
    }
}

TIDEPOOL_KERNEL
void tidepool_depthwise_conv_2d_int16(const tidepool_depthwise_conv_2d_int16_params *params,
                                      const int16_t *input, int16_t *output)
{
    const tidepool_window *w = &params->window;
    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t y = 0; y < w->output_height; ++y) {
            for (int32_t x = 0; x < w->output_width; ++x) {
                const tidepool_region r = tidepool_place_window(w, y, x);
                const tidepool_block block = {r.rows,
                                              r.taps,
                                              1,
                                              w->dilation_height * w->input_width *
                                                  w->input_channels,
                                              w->dilation_width * w->input_channels,
                                              w->filter_width * w->output_channels,
                                              w->output_channels};
                convolve(params, &block, input + r.input,
                         params->weights + r.first_tap * w->output_channels, output);
                output += w->output_channels;
            }
        }
        input += w->input_height * w->input_width * w->input_channels;
    }
}
