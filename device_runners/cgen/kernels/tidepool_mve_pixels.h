/* Convolutions by pairs of pixels: what the kernels for weights of 8 and of 4 bits have in common. */
#ifndef TIDEPOOL_MVE_PIXELS_H
#define TIDEPOOL_MVE_PIXELS_H

#include "tidepool_mve_pairs.h"
#include "tidepool_mve_strips.h"

/* For the file that includes this one to define: words of the stream for four channels. */
static int32_t group_words(const tidepool_conv_2d_mve_params *p);

/* The same: the channels behind the last four, for one pair whose outputs lie `distance` apart. */
static void run_last_channels(const tidepool_conv_2d_mve_params *p, const int8_t *x_0,
                              const int8_t *x_1, int8_t *output, int32_t distance);

/* One result. */
static inline int8_t requantize(const tidepool_conv_2d_mve_params *p, uint32_t sum,
                                int32_t multiplier, int32_t shift)
{
    const int32_t result = tidepool_requantize((int32_t)sum, multiplier, shift);
    return (int8_t)tidepool_clamp(result + p->output_zero_point, p->output_min, p->output_max);
}

/* All channels of pairs of pixels, `x_step` bytes from one pair to the next. The pixels of a pair
 * may be the same: `distance` between their outputs is then 0. Returns the end of the output. */
TIDEPOOL_APART int8_t *run_all_channels(const tidepool_conv_2d_mve_params *p, const int8_t *x_0,
                                const int8_t *x_1, int32_t x_step, int32_t pairs, int32_t distance,
                                int8_t *output)
{
    const int32_t channels = p->window.output_channels;
    const int32_t rest = channels % TIDEPOOL_MVE_CHANNELS;
    const int32_t pair_bytes = channels + distance;
    uint16_t places[TIDEPOOL_MVE_PIXELS * TIDEPOOL_MVE_CHANNELS];
    tidepool_mve_pairs job = {x_0, x_1, p->stream, output,
                              p->stream + channels / TIDEPOOL_MVE_CHANNELS * group_words(p),
                              p->output_zero_point, (rest == 0) ? pairs : 1, x_step, distance,
                              p->depth, p->ties, places, p->output_min, p->output_max};
    for (int32_t c = 0; c < TIDEPOOL_MVE_CHANNELS; ++c) {
        places[TIDEPOOL_MVE_PIXELS * c] = (uint16_t)c;
        places[TIDEPOOL_MVE_PIXELS * c + 1] = (uint16_t)(c + distance);
    }
    for (int32_t done = 0; done < pairs; done += job.pairs) {
        if (channels >= TIDEPOOL_MVE_CHANNELS) {
            tidepool_mve_run_pairs(&job);
        }
        if (rest > 0) {
            run_last_channels(p, job.x_0, job.x_1, job.output, distance);
            job.output += pair_bytes;
            job.x_0 += (done + 1 < pairs) ? x_step : 0;
            job.x_1 += (done + 1 < pairs) ? x_step : 0;
        }
    }
    return output + pairs * pair_bytes;
}

/* Pixels whose windows begin `pitch` bytes apart. */
static inline int8_t *run_pixels(const tidepool_conv_2d_mve_params *p, const int8_t *x, int32_t pitch,
                          int32_t pixels, int8_t *output)
{
    const int32_t pairs = pixels / TIDEPOOL_MVE_PIXELS;
    if (pairs > 0) {
        output = run_all_channels(p, x, x + pitch, TIDEPOOL_MVE_PIXELS * pitch, pairs,
                                  p->window.output_channels, output);
    }
    if (pixels % TIDEPOOL_MVE_PIXELS > 0) { /* the last one by itself: computed twice */
        x += (pixels - 1) * pitch;
        output = run_all_channels(p, x, x, 0, 1, 0, output);
    }
    return output;
}

/* Filters of one pixel, windows where they lie. The last vector of a pixel may reach into the next
 * ones; at the end of the input, where it would reach beyond, pixels are copied. */
static inline void run_in_place(const tidepool_conv_2d_mve_params *p, const int8_t *input, int8_t *output,
                         int8_t *copy)
{
    const tidepool_window *w = &p->window;
    const int32_t channels = w->input_channels;
    if (w->stride_width > 1 || w->stride_height > 1) { /* depth == channels */
        const int32_t image = w->input_height * w->input_width * channels;
        for (int32_t b = 0; b < w->batches; ++b) {
            for (int32_t y = 0; y < w->output_height; ++y) {
                const int8_t *const row =
                    input + (b * image + y * w->stride_height * w->input_width * channels);
                output = run_pixels(p, row, w->stride_width * channels, w->output_width, output);
            }
        }
        return;
    }
    const int32_t pixels = w->batches * w->output_height * w->output_width;
    const int32_t unsafe = (p->depth - 1) / channels;
    const int32_t safe =
        (pixels > unsafe) ? pixels - unsafe - (pixels - unsafe) % TIDEPOOL_MVE_PIXELS : 0;
    const int32_t direct = (unsafe == 0) ? pixels : safe;
    output = run_pixels(p, input, channels, direct, output);
    for (int32_t left = pixels - direct; left > 0; left -= TIDEPOOL_MVE_PIXELS) {
        const int32_t count = (left < TIDEPOOL_MVE_PIXELS) ? left : TIDEPOOL_MVE_PIXELS;
        const int8_t *const x = input + (pixels - left) * channels;
        for (int32_t i = 0; i < count; ++i) {
            tidepool_copy_bytes(copy + i * p->depth, x + i * channels, channels);
        }
        output = run_pixels(p, copy, p->depth, count, output);
    }
}

/* Windows of larger filters, `pixels` of a row at a time. Where a row has an odd number of them, its
 * last one waits for the next row, whose strip lies elsewhere. */
static inline void run_strips(const tidepool_conv_2d_mve_params *p, const int8_t *input, int8_t *output,
                       int8_t *scratch)
{
    const tidepool_window *w = &p->window;
    const tidepool_strips strips = tidepool_strips_of(w, scratch);
    const int32_t image_bytes = w->input_height * w->input_width * w->input_channels;
    int8_t *strip = scratch + tidepool_padding_bytes(w);
    int8_t *next_strip = strip + p->strip_bytes * (w->output_width % TIDEPOOL_MVE_PIXELS);
    const int8_t *waiting = NULL;
    tidepool_fill_bytes(scratch, p->input_zero_point, tidepool_padding_bytes(w));
    for (int32_t row = 0; row < w->batches * w->output_height; ++row) {
        const int8_t *const image = input + row / w->output_height * image_bytes;
        for (int32_t x = 0; x < w->output_width; x += p->pixels) {
            const int32_t left = w->output_width - x;
            int32_t count = (left < p->pixels) ? left : p->pixels;
            const int8_t *window = strip;
            tidepool_fill_strip(&strips, image, row % w->output_height, x, count, strip);
            if (waiting != NULL) {
                output = run_all_channels(p, waiting, window, 0, 1, w->output_channels, output);
                window += strips.window_step;
                --count;
            }
            const int32_t even = count / TIDEPOOL_MVE_PIXELS * TIDEPOOL_MVE_PIXELS;
            output = run_pixels(p, window, strips.window_step, even, output);
            waiting = (even < count) ? window + even * strips.window_step : NULL;
            int8_t *const filled = strip;
            strip = next_strip;
            next_strip = filled;
        }
    }
    if (waiting != NULL) {
        (void)run_pixels(p, waiting, 0, 1, output);
    }
}

/* A layer. */
static inline void run_windows(const tidepool_conv_2d_mve_params *params, const int8_t *input,
                             int8_t *output, uint8_t *scratch)
{
    if (params->pixels == 0) {
        run_in_place(params, input, output, (int8_t *)scratch);
    } else {
        run_strips(params, input, output, (int8_t *)scratch);
    }
}

#endif /* TIDEPOOL_MVE_PIXELS_H */
