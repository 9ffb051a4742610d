/* CONV_2D, int8: any window, stride, dilation and number of groups. */
#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

/* The sum over one window, at (origin_y, origin_x) of an image, for one output channel. */
static int32_t window_sum(const tidepool_conv_2d_params *p, const int8_t *image, int32_t origin_y,
                          int32_t origin_x, const int8_t *weights)
{
    const tidepool_window *w = &p->window;
    int32_t sum = 0;
    for (int32_t fy = 0; fy < w->filter_height; ++fy) {
        const int32_t y = origin_y + fy * w->dilation_height;
        if (y < 0 || y >= w->input_height) {
            continue;
        }
        for (int32_t fx = 0; fx < w->filter_width; ++fx) {
            const int32_t x = origin_x + fx * w->dilation_width;
            if (x < 0 || x >= w->input_width) {
                continue;
            }
            const int8_t *pixel = image + (y * w->input_width + x) * w->input_channels;
            const int8_t *tap = weights + (fy * w->filter_width + fx) * p->filter_channels;
            for (int32_t c = 0; c < p->filter_channels; ++c) {
                sum += tap[c] * (pixel[c] - p->input_zero_point);
            }
        }
    }
    return sum;
}

TIDEPOOL_KERNEL
void tidepool_conv_2d(const tidepool_conv_2d_params *params, const int8_t *input, int8_t *output)
{
    const tidepool_window *w = &params->window;
    const int32_t image_size = w->input_height * w->input_width * w->input_channels;
    const int32_t filter_size = w->filter_height * w->filter_width * params->filter_channels;
    const int32_t groups = w->input_channels / params->filter_channels;
    const int32_t filters_per_group = w->output_channels / groups;

    for (int32_t b = 0; b < w->batches; ++b) {
        const int8_t *image = input + b * image_size;
        for (int32_t y = 0; y < w->output_height; ++y) {
            const int32_t origin_y = y * w->stride_height - w->pad_top;
            for (int32_t x = 0; x < w->output_width; ++x) {
                const int32_t origin_x = x * w->stride_width - w->pad_left;
                for (int32_t c = 0; c < w->output_channels; ++c) {
                    const int8_t *group = image + (c / filters_per_group) * params->filter_channels;
                    int32_t sum = window_sum(params, group, origin_y, origin_x,
                                             params->weights + c * filter_size);
                    if (params->bias != NULL) {
                        sum += params->bias[c];
                    }
                    sum = tidepool_requantize(sum, params->multipliers[c], params->shifts[c]);
                    sum += params->output_zero_point;
                    *output++ =
                        (int8_t)tidepool_clamp(sum, params->output_min, params->output_max);
                }
            }
        }
    }
}
