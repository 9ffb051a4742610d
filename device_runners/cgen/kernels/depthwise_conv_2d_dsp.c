/* DEPTHWISE_CONV_2D, int8, any window and stride, for cores with the DSP extension.
 *
 * Four channels of one output pixel at a time: their inputs and weights are a word each, and a tap
 * is four multiplications of halves. A window that reaches into the padding is copied first. */
#include "tidepool_dsp.h"

#define CHANNELS 4
#define RECORD_WORDS 4 /* bias, multiplier, addend, last */

/* All channels of one pixel. offsets: of the taps, from `window`. */
static void run_pixel(const tidepool_depthwise_conv_2d_dsp_params *p, const int8_t *window,
                      const int32_t *offsets, int32_t taps, int8_t *output)
{
    const int32_t *stream = p->stream;
    const int32_t *const end = stream + p->stream_words;
    while (stream != end) {
        const int32_t channel = stream[0];
        const int32_t *const records = stream + 1 + taps;
        const int8_t *const inputs = window + channel;
        uint32_t sum_0 = (uint32_t)records[0 * RECORD_WORDS];
        uint32_t sum_1 = (uint32_t)records[1 * RECORD_WORDS];
        uint32_t sum_2 = (uint32_t)records[2 * RECORD_WORDS];
        uint32_t sum_3 = (uint32_t)records[3 * RECORD_WORDS];
        const int32_t *offset = offsets;
        for (const int32_t *tap = stream + 1; tap != records; ++tap) {
            const uint32_t weights = (uint32_t)*tap;
            const uint32_t x = tidepool_load_word(inputs + *offset++);
            const uint32_t weights_02 = tidepool_sxtb16(weights);
            const uint32_t weights_13 = tidepool_sxtb16_odd(weights);
            const uint32_t x_02 = tidepool_sxtb16(x);
            const uint32_t x_13 = tidepool_sxtb16_odd(x);
            sum_0 = tidepool_smlabb(x_02, weights_02, sum_0);
            sum_2 = tidepool_smlatt(x_02, weights_02, sum_2);
            sum_1 = tidepool_smlabb(x_13, weights_13, sum_1);
            sum_3 = tidepool_smlatt(x_13, weights_13, sum_3);
        }
        output[channel] = tidepool_form(sum_0, records + 1);
        output[channel + 1] = tidepool_form(sum_1, records + RECORD_WORDS + 1);
        output[channel + 2] = tidepool_form(sum_2, records + 2 * RECORD_WORDS + 1);
        output[channel + 3] = tidepool_form(sum_3, records + 3 * RECORD_WORDS + 1);
        stream = records + CHANNELS * RECORD_WORDS;
    }
}

/* Copies a window to `patch`, its padding as the input's zero point. */
static void copy_window(const tidepool_depthwise_conv_2d_dsp_params *p, const int8_t *image,
                        int32_t top, int32_t left, int8_t *patch)
{
    const tidepool_window *w = &p->window;
    const int32_t channels = w->input_channels;
    for (int32_t filter_y = 0; filter_y < w->filter_height; ++filter_y) {
        const int32_t y = top + filter_y * w->dilation_height;
        for (int32_t filter_x = 0; filter_x < w->filter_width; ++filter_x) {
            const int32_t x = left + filter_x * w->dilation_width;
            if (y < 0 || y >= w->input_height || x < 0 || x >= w->input_width) {
                tidepool_fill_bytes(patch, p->input_zero_point, channels);
            } else {
                tidepool_copy_bytes(patch, image + (y * w->input_width + x) * channels, channels);
            }
            patch += channels;
        }
    }
}

TIDEPOOL_KERNEL
void tidepool_depthwise_conv_2d_dsp(const tidepool_depthwise_conv_2d_dsp_params *params,
                                    const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t channels = w->input_channels;
    const int32_t taps = w->filter_height * w->filter_width;
    const int32_t bottom_reach = (w->filter_height - 1) * w->dilation_height;
    const int32_t right_reach = (w->filter_width - 1) * w->dilation_width;
    int32_t *const in_image = (int32_t *)(void *)scratch;
    int32_t *const in_patch = in_image + taps;
    int8_t *const patch = (int8_t *)(void *)(in_patch + taps);
    const int8_t *image = input;
    int8_t *pixel = output;
    for (int32_t tap = 0; tap < taps; ++tap) {
        const int32_t y = tap / w->filter_width * w->dilation_height;
        const int32_t x = tap % w->filter_width * w->dilation_width;
        in_image[tap] = (y * w->input_width + x) * channels;
        in_patch[tap] = tap * channels;
    }
    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t y = 0; y < w->output_height; ++y) {
            const int32_t top = y * w->stride_height - w->pad_top;
            for (int32_t x = 0; x < w->output_width; ++x) {
                const int32_t left = x * w->stride_width - w->pad_left;
                if (top >= 0 && left >= 0 && top + bottom_reach < w->input_height &&
                    left + right_reach < w->input_width) {
                    run_pixel(params, image + (top * w->input_width + left) * channels, in_image,
                              taps, pixel);
                } else {
                    copy_window(params, image, top, left, patch);
                    run_pixel(params, patch, in_patch, taps, pixel);
                }
                pixel += channels;
            }
        }
        image += w->input_height * w->input_width * channels;
    }
    tidepool_clamp_all(output, (int32_t)(pixel - output), params->output_min, params->output_max);
}
