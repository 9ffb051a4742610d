/* DEPTHWISE_CONV_2D, int16 with int8 weights, sums of 64 bits: any window, stride, dilation and
 * depth multiplier. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

/* The sum of one channel; that of a row of taps fits in 32 bits. */
static int64_t channel_sum(const tidepool_window *w, const tidepool_region *r,
                           const int16_t *channel, const int8_t *weights)
{
    int64_t sum = 0;
    for (int32_t row = 0; row < r->rows; ++row) {
        const int16_t *pixel =
            channel + row * w->dilation_height * w->input_width * w->input_channels;
        const int8_t *tap = weights + row * w->filter_width * w->output_channels;
        int32_t part = 0;
        for (int32_t i = r->taps; i > 0; --i) {
            part += *pixel * *tap;
            pixel += w->dilation_width * w->input_channels;
            tap += w->output_channels;
        }
        sum += part;
    }
    return sum;
}

TIDEPOOL_KERNEL
void tidepool_depthwise_conv_2d_int16_wide(
    const tidepool_depthwise_conv_2d_int16_wide_params *params, const int16_t *input,
    int16_t *output)
{
    const tidepool_window *w = &params->window;
    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t y = 0; y < w->output_height; ++y) {
            for (int32_t x = 0; x < w->output_width; ++x) {
                const tidepool_region r = tidepool_place_window(w, y, x);
                const int8_t *weights = params->weights + r.first_tap * w->output_channels;
                for (int32_t c = 0; c < w->output_channels; ++c) {
                    const int16_t *channel = input + r.input + c / params->depth_multiplier;
                    const int64_t sum = channel_sum(w, &r, channel, weights + c);
                    *output++ = tidepool_scale_wide_sum(
                        sum + params->bias[c], params->multipliers[c], params->shifts[c],
                        params->output_min, params->output_max);
                }
            }
        }
        input += w->input_height * w->input_width * w->input_channels;
    }
}
