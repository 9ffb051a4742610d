/* AVERAGE_POOL_2D, int8. Padding does not count. */
#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

/* The part of a window that lies in the image. */
typedef struct {
    const int8_t *first; /* channel 0 of its first pixel */
    int32_t height;
    int32_t width;
    int32_t row_pitch; /* bytes */
    int32_t channels;
} region;

/* Rounds to nearest, ties away from zero; C's division truncates. */
static int8_t mean(const tidepool_pool_2d_params *p, int32_t sum, int32_t count)
{
    const int32_t value = (sum > 0) ? (sum + count / 2) / count : (sum - count / 2) / count;
    return (int8_t)tidepool_clamp(value, p->output_min, p->output_max);
}

/* Four channels from c on. */
static void pool_four(const tidepool_pool_2d_params *p, const region *r, int32_t c, int8_t *output)
{
    int32_t sums[4] = {0, 0, 0, 0};
    for (int32_t y = 0; y < r->height; ++y) {
        const int8_t *pixel = r->first + y * r->row_pitch + c;
        for (int32_t x = r->width; x > 0; --x) {
            sums[0] += pixel[0];
            sums[1] += pixel[1];
            sums[2] += pixel[2];
            sums[3] += pixel[3];
            pixel += r->channels;
        }
    }
    for (int32_t i = 0; i < 4; ++i) {
        output[c + i] = mean(p, sums[i], r->height * r->width);
    }
}

static void pool_one(const tidepool_pool_2d_params *p, const region *r, int32_t c, int8_t *output)
{
    int32_t sum = 0;
    for (int32_t y = 0; y < r->height; ++y) {
        const int8_t *pixel = r->first + y * r->row_pitch + c;
        for (int32_t x = r->width; x > 0; --x) {
            sum += *pixel;
            pixel += r->channels;
        }
    }
    output[c] = mean(p, sum, r->height * r->width);
}

TIDEPOOL_KERNEL
void tidepool_average_pool_2d(const tidepool_pool_2d_params *params, const int8_t *input,
                              int8_t *output)
{
    const tidepool_window *w = &params->window;
    const int32_t row_pitch = w->input_width * w->input_channels;

    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t y = 0; y < w->output_height; ++y) {
            const int32_t origin_y = y * w->stride_height - w->pad_top;
            const int32_t top = (origin_y > 0) ? origin_y : 0;
            const int32_t bottom =
                tidepool_clamp(origin_y + w->filter_height, 0, w->input_height);
            for (int32_t x = 0; x < w->output_width; ++x) {
                const int32_t origin_x = x * w->stride_width - w->pad_left;
                const int32_t left = (origin_x > 0) ? origin_x : 0;
                const int32_t right =
                    tidepool_clamp(origin_x + w->filter_width, 0, w->input_width);
                const region r = {input + top * row_pitch + left * w->input_channels, bottom - top,
                                  right - left, row_pitch, w->input_channels};
                int32_t c = 0;
                for (; c + 4 <= w->input_channels; c += 4) {
                    pool_four(params, &r, c, output);
                }
                for (; c < w->input_channels; ++c) {
                    pool_one(params, &r, c, output);
                }
                output += w->output_channels;
            }
        }
        input += w->input_height * row_pitch;
    }
}
