/* CONV_2D, int16 with int8 weights, sums of 32 bits: any window, stride, dilation and groups. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

/* The outputs of one pixel for `count` filters, four at a time; all of them begin at the first. */
static void convolve(const tidepool_conv_2d_int16_params *p, const tidepool_block *block,
                     const int16_t *input, const int8_t *weights, int32_t first, int32_t count,
                     int16_t *output)
{
    const int32_t pitch = p->window.filter_height * p->window.filter_width * p->filter_channels;
    const int32_t *bias = p->bias + first;
    const int32_t *multipliers = p->multipliers + first;
    weights += first * pitch;
    for (; count >= 4; count -= 4) {
        int32_t sums[4];
        tidepool_block_sum_x4(block, input, weights, pitch, sums);
        for (int32_t i = 0; i < 4; ++i) {
            *output++ = tidepool_scale_sum(sums[i] + *bias++, *multipliers++, p->output_min,
                                           p->output_max);
        }
        weights += 4 * pitch;
    }
    for (; count > 0; --count) {
        const int32_t sum = tidepool_block_sum(block, input, weights);
        *output++ =
            tidepool_scale_sum(sum + *bias++, *multipliers++, p->output_min, p->output_max);
        weights += pitch;
    }
}

TIDEPOOL_KERNEL
void tidepool_conv_2d_int16(const tidepool_conv_2d_int16_params *params, const int16_t *input,
                            int16_t *output)
{
    const tidepool_window *w = &params->window;
    const int32_t depth = params->filter_channels;
    const int32_t filters = w->output_channels / (w->input_channels / depth); /* of a group */

    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t y = 0; y < w->output_height; ++y) {
            for (int32_t x = 0; x < w->output_width; ++x) {
                const tidepool_region r = tidepool_place_window(w, y, x);
                const tidepool_block block = tidepool_block_of(w, &r, depth);
                const int16_t *group = input + r.input;
                for (int32_t c = 0; c < w->output_channels; c += filters) {
                    convolve(params, &block, group, params->weights + r.first_tap * depth, c,
                             filters, output + c);
                    group += depth;
                }
                output += w->output_channels;
            }
        }
        input += w->input_height * w->input_width * w->input_channels;
    }
}
