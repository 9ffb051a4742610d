/* CONV_2D, int16 with int8 weights, sums of 64 bits: any window, stride, dilation and groups. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

TIDEPOOL_KERNEL
void tidepool_conv_2d_int16_wide(const tidepool_conv_2d_int16_wide_params *params,
                                 const int16_t *input, int16_t *output)
{
    const tidepool_window *w = &params->window;
    const int32_t depth = params->filter_channels;
    const int32_t filter_size = w->filter_height * w->filter_width * depth;
    const int32_t filters = w->output_channels / (w->input_channels / depth); /* of a group */

    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t y = 0; y < w->output_height; ++y) {
            for (int32_t x = 0; x < w->output_width; ++x) {
                const tidepool_region r = tidepool_place_window(w, y, x);
                const tidepool_block block = tidepool_block_of(w, &r, depth);
                const int8_t *weights = params->weights + r.first_tap * depth;
                for (int32_t c = 0; c < w->output_channels; ++c) {
                    const int16_t *group = input + r.input + c / filters * depth;
                    const int64_t sum = tidepool_wide_sum(&block, group, weights);
                    *output++ = tidepool_scale_wide_sum(
                        sum + params->bias[c], params->multipliers[c], params->shifts[c],
                        params->output_min, params->output_max);
                    weights += filter_size;
                }
            }
        }
        input += w->input_height * w->input_width * w->input_channels;
    }
}
