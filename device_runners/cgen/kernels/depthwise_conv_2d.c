/* DEPTHWISE_CONV_2D, int8: any window, stride, dilation and depth multiplier. */
#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

/* The sum over one window, at (origin_y, origin_x), of one channel of an image. */
static int32_t window_sum(const tidepool_depthwise_conv_2d_params *p, const int8_t *channel,
                          int32_t origin_y, int32_t origin_x, const int8_t *weights)
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
            sum += weights[(fy * w->filter_width + fx) * w->output_channels] *
                   (channel[(y * w->input_width + x) * w->input_channels] - p->input_zero_point);
        }
    }
    return sum;
}

TIDEPOOL_KERNEL
void tidepool_depthwise_conv_2d(const tidepool_depthwise_conv_2d_params *params,
                                const int8_t *input, int8_t *output)
{
    const tidepool_window *w = &params->window;
    const int32_t image_size = w->input_height * w->input_width * w->input_channels;

    for (int32_t b = 0; b < w->batches; ++b) {
        const int8_t *image = input + b * image_size;
        for (int32_t y = 0; y < w->output_height; ++y) {
            const int32_t origin_y = y * w->stride_height - w->pad_top;
            for (int32_t x = 0; x < w->output_width; ++x) {
                const int32_t origin_x = x * w->stride_width - w->pad_left;
                for (int32_t c = 0; c < w->output_channels; ++c) {
                    int32_t sum = window_sum(params, image + c / params->depth_multiplier,
                                             origin_y, origin_x, params->weights + c);
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
