/* Strips: the windows of some neighbouring output pixels, copied so that each is one run of bytes.
 *
 * A strip holds columns of the image, each the rows that the filter covers, one pixel after the
 * other: windows that share columns share their copies, and the next window begins `stride` columns
 * further. Where there is nothing to share (dilations, strides beyond the filter), every window has
 * columns of its own. Padding is copied from bytes that hold the input's zero point. */
#ifndef TIDEPOOL_MVE_STRIPS_H
#define TIDEPOOL_MVE_STRIPS_H

#include "tidepool_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const tidepool_window *window;
    const int8_t *padding; /* a vector or a pixel of the zero point, whichever is longer */
    int32_t column_bytes;
    int32_t window_step; /* from one window to the next */
    int32_t shared;      /* whether windows share columns */
} tidepool_strips;

/* Pixels to copy, and how far they lie apart. */
typedef struct {
    int32_t channels;
    int32_t from_step;
    int32_t to_step;
} tidepool_pixel_run;

#if TIDEPOOL_HAS_MVE

/* Copies pixels that lie one behind the other and fit in a vector, as many at a time as fit. */
static inline void tidepool_scatter_pixels(const tidepool_pixel_run *run, int8_t *to,
                                           const int8_t *from, int32_t count)
{
    uint8_t offsets[TIDEPOOL_MVE_BYTES]; /* of each byte of the vector */
    int32_t at_once = 0;
    for (int32_t i = 0; i < TIDEPOOL_MVE_BYTES; i += run->channels) {
        for (int32_t c = 0; c < run->channels && i + c < TIDEPOOL_MVE_BYTES; ++c) {
            offsets[i + c] = (uint8_t)(at_once * run->to_step + c);
        }
        at_once += (i + run->channels <= TIDEPOOL_MVE_BYTES) ? 1 : 0;
    }
    int32_t left = count * run->channels;
    __asm__ volatile("vldrb.u8   q1, [%3]\n"
                     "1:\n\t"
                     "vctp.8     %2\n\t"
                     "vpstt\n\t"
                     "vldrbt.u8  q0, [%1]\n\t"
                     "vstrbt.8   q0, [%0, q1]\n\t"
                     "add        %1, %1, %4\n\t"
                     "add        %0, %0, %5\n\t"
                     "subs       %2, %2, %4\n\t"
                     "bgt        1b"
                     : "+r"(to), "+r"(from), "+r"(left)
                     : "r"(offsets), "r"(run->channels * at_once), "r"(run->to_step * at_once)
                     : "q0", "q1", "cc", "memory");
}

/* Copies pixels one by one; at least one. */
static inline void tidepool_copy_pixels(const tidepool_pixel_run *run, int8_t *to,
                                        const int8_t *from, int32_t count)
{
    const int32_t moved = (run->channels + TIDEPOOL_MVE_BYTES - 1) & -TIDEPOOL_MVE_BYTES;
    /* Bytes of a scattered vector lie less than 256 bytes apart. */
    if (count > 2 && run->from_step == run->channels && run->channels <= TIDEPOOL_MVE_BYTES / 2 &&
        TIDEPOOL_MVE_BYTES / run->channels * run->to_step + run->channels <= 256) {
        tidepool_scatter_pixels(run, to, from, count);
        return;
    }
    __asm__ volatile("1:\n\t"
                     "wlstp.8   lr, %3, 3f\n"
                     "2:\n\t"
                     "vldrb.u8  q0, [%1], #16\n\t"
                     "vstrb.8   q0, [%0], #16\n\t"
                     "letp      lr, 2b\n"
                     "3:\n\t"
                     "add       %1, %1, %4\n\t"
                     "add       %0, %0, %5\n\t"
                     "subs      %2, %2, #1\n\t"
                     "bne       1b"
                     : "+r"(to), "+r"(from), "+r"(count)
                     : "r"(run->channels), "r"(run->from_step - moved), "r"(run->to_step - moved)
                     : "lr", "q0", "cc", "memory");
}

#else

static inline void tidepool_copy_pixels(const tidepool_pixel_run *run, int8_t *to,
                                        const int8_t *from, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        tidepool_copy_bytes(to + i * run->to_step, from + i * run->from_step, run->channels);
    }
}

#endif

/* Bytes of the padding in front of the first strip. */
static inline int32_t tidepool_padding_bytes(const tidepool_window *w)
{
    const int32_t vectors = (w->input_channels + TIDEPOOL_MVE_BYTES - 1) / TIDEPOOL_MVE_BYTES;
    return vectors * TIDEPOOL_MVE_BYTES;
}

static inline tidepool_strips tidepool_strips_of(const tidepool_window *w, const int8_t *padding)
{
    tidepool_strips s = {w, padding, w->filter_height * w->input_channels, 0, 0};
    s.shared = w->dilation_width == 1 && w->stride_width <= w->filter_width;
    s.window_step = s.column_bytes * (s.shared ? w->stride_width : w->filter_width);
    return s;
}

/* Copies a row's pixels at x, x + x_step, ...; those outside of the row are padding. */
static void tidepool_copy_padded(const tidepool_strips *s, const int8_t *row, int32_t x,
                                 int32_t x_step, int32_t to_step, int32_t count, int8_t *to)
{
    const int32_t channels = s->window->input_channels;
    const int32_t width = (row == NULL) ? 0 : s->window->input_width;
    /* Pixels in front of the row, and up to its end. */
    const int32_t front = (x >= 0) ? 0 : tidepool_clamp((x_step - 1 - x) / x_step, 0, count);
    const int32_t end =
        (x >= width) ? 0 : tidepool_clamp((width - 1 - x) / x_step + 1, front, count);
    tidepool_pixel_run run = {channels, 0, to_step};
    if (end <= front) {
        tidepool_copy_pixels(&run, to, s->padding, count);
        return;
    }
    if (front > 0) {
        tidepool_copy_pixels(&run, to, s->padding, front);
    }
    if (end < count) {
        tidepool_copy_pixels(&run, to + end * to_step, s->padding, count - end);
    }
    run.from_step = x_step * channels;
    tidepool_copy_pixels(&run, to + front * to_step, row + (x + front * x_step) * channels,
                         end - front);
}

/* Copies the windows of the outputs (y, x), (y, x + 1), ... of an image. */
static void tidepool_fill_strip(const tidepool_strips *s, const int8_t *image, int32_t y, int32_t x,
                                int32_t count, int8_t *strip)
{
    const tidepool_window *w = s->window;
    const int32_t left = x * w->stride_width - w->pad_left;
    int32_t in_y = y * w->stride_height - w->pad_top;
    for (int32_t filter_y = 0; filter_y < w->filter_height; ++filter_y) {
        const int8_t *const row = (in_y < 0 || in_y >= w->input_height)
                                      ? NULL
                                      : image + in_y * w->input_width * w->input_channels;
        int8_t *const to = strip + filter_y * w->input_channels;
        if (s->shared) {
            const int32_t columns = (count - 1) * w->stride_width + w->filter_width;
            tidepool_copy_padded(s, row, left, 1, s->column_bytes, columns, to);
        } else {
            for (int32_t filter_x = 0; filter_x < w->filter_width; ++filter_x) {
                tidepool_copy_padded(s, row, left + filter_x * w->dilation_width, w->stride_width,
                                     s->window_step, count, to + filter_x * s->column_bytes);
            }
        }
        in_y += w->dilation_height;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_MVE_STRIPS_H */
