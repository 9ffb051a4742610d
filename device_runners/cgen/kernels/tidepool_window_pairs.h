/* Convolutions by two windows and four output channels: what the portable kernels for weights of 8
 * and of 4 bits have in common. */
#ifndef TIDEPOOL_WINDOW_PAIRS_H
#define TIDEPOOL_WINDOW_PAIRS_H

#include "tidepool_images.h"
#include "tidepool_quads.h"

/* An output pixel's window. */
typedef struct {
    const int8_t *image;
    int32_t column; /* of the output */
    int32_t row;
    int32_t y; /* of the window's first row */
    int32_t x;
} tidepool_place;

/* What does not change from window to window. */
typedef struct {
    int32_t taps;
    int32_t groups;
    int32_t filters;    /* output channels of a group */
    int32_t run;        /* input bytes that lie together */
    int32_t row_runs;   /* of a row of the window */
    int32_t run_places; /* columns of the window in a run */
} tidepool_layout;

static inline tidepool_layout tidepool_layout_of(const tidepool_conv_2d_params *p)
{
    const tidepool_window *w = &p->window;
    const int whole = p->filter_channels == w->input_channels && w->dilation_width == 1;
    const int32_t places = whole ? w->filter_width : 1;
    const int32_t groups = w->input_channels / p->filter_channels;
    const tidepool_layout result = {w->filter_height * w->filter_width * p->filter_channels, groups,
                           w->output_channels / groups, places * p->filter_channels,
                           w->filter_width / places, places};
    return result;
}

/* One run: columns before x = 0 and from x = input_width on are padding. */
static inline void tidepool_copy_run(const tidepool_conv_2d_params *p, const tidepool_layout *l,
                                     const int8_t *row, int32_t x, int8_t *to)
{
    const tidepool_window *w = &p->window;
    const int32_t places = l->run_places;
    const int32_t first = tidepool_clamp(-x, 0, places);
    const int32_t last = tidepool_clamp(w->input_width - x, first, places);
    const int32_t size = p->filter_channels;
    tidepool_fill_bytes(to, p->input_zero_point, first * size);
    tidepool_copy_bytes(to + first * size, row + (x + first) * w->input_channels,
                        (last - first) * size);
    tidepool_fill_bytes(to + last * size, p->input_zero_point, (places - last) * size);
}

/* Copies one group's channels of a window. */
static inline void tidepool_copy_window(const tidepool_conv_2d_params *p,
                                        const tidepool_layout *l, const tidepool_place *at,
                                        int32_t channel, int8_t *to)
{
    const tidepool_window *w = &p->window;
    const int32_t pitch = w->input_width * w->input_channels;
    const int32_t width = (w->filter_width - 1) * w->dilation_width;
    const int inside = at->x >= 0 && at->x + width < w->input_width;
    const int8_t *row = at->image + at->y * pitch + channel;
    int32_t y = at->y;
    for (int32_t fy = 0; fy < w->filter_height; ++fy) {
        int32_t x = at->x;
        for (int32_t i = 0; i < l->row_runs; ++i) {
            if (y < 0 || y >= w->input_height) {
                tidepool_fill_bytes(to, p->input_zero_point, l->run);
            } else if (inside) {
                tidepool_copy_bytes(to, row + x * w->input_channels, l->run);
            } else {
                tidepool_copy_run(p, l, row, x, to);
            }
            to += l->run;
            x += w->dilation_width;
        }
        y += w->dilation_height;
        row += w->dilation_height * pitch;
    }
}

/* Goes to the next output pixel. */
static inline void tidepool_advance(const tidepool_window *w, tidepool_place *at)
{
    at->x += w->stride_width;
    if (++at->column == w->output_width) {
        at->column = 0;
        at->x = -w->pad_left;
        at->y += w->stride_height;
        if (++at->row == w->output_height) {
            at->row = 0;
            at->y = -w->pad_top;
            at->image += w->input_height * w->input_width * w->input_channels;
        }
    }
}

/* The outputs of `count` channels of two pixels, which lie `step` bytes apart. */
static inline void tidepool_finish_pixels(const tidepool_channels *c, const int32_t *factors,
                                          const int32_t *sums, int32_t count, int8_t *output,
                                          int32_t step)
{
    const int32_t factor_step = c->factor_step;
    if (c->general) {
        for (int32_t i = 0; i < count; ++i) {
            output[i + step] = tidepool_finish_general(sums[count + i], factors);
            output[i] = tidepool_finish_general(sums[i], factors);
            factors += factor_step;
        }
        return;
    }
    for (int32_t i = 0; i < count; ++i) {
        const int32_t multiplier = factors[0];
        const int32_t addend = factors[1];
        const int32_t right = factors[2];
        factors += factor_step;
        output[i + step] = tidepool_finish(sums[count + i], multiplier, addend, right);
        output[i] = tidepool_finish(sums[i], multiplier, addend, right);
    }
}

/* How weights are packed by fours of channels. */
typedef struct {
    int32_t zero_point; /* what was added to them */
    int32_t word_taps;
    void (*rows_by_four)(const tidepool_row *rows, const uint32_t *quads, int32_t taps,
                         const int32_t *starts, int32_t *sums);
} tidepool_rows_kind;

/* Where the weights of the next group are. */
typedef struct {
    const uint32_t *quads;
    const int8_t *rest;
} tidepool_packed_weights;

/* All output channels of a group for two windows. */
TIDEPOOL_APART void tidepool_run_group(const tidepool_conv_2d_params *p,
                                       const tidepool_rows_kind *kind, const tidepool_layout *l,
                                       int32_t group, tidepool_packed_weights *weights,
                                       const int8_t *const *windows, int8_t *output, int32_t step)
{
    const tidepool_channels *c = &p->channels;
    const int32_t taps = l->taps;
    const int32_t quads_end = (group * l->filters) + (l->filters & -TIDEPOOL_FOUR);
    const int32_t end = (group + 1) * l->filters;
    const tidepool_row rows[2] = {
        {windows[0], tidepool_excess(windows[0], taps, kind->zero_point)},
        {windows[1], tidepool_excess(windows[1], taps, kind->zero_point)}};
    int32_t sums[2 * TIDEPOOL_FOUR];
    int32_t channel = group * l->filters;
    for (; channel < quads_end; channel += TIDEPOOL_FOUR) {
        kind->rows_by_four(rows, weights->quads, taps, c->starts + channel, sums);
        tidepool_finish_pixels(c, c->factors + channel * c->factor_step, sums, TIDEPOOL_FOUR,
                               output + channel, step);
        weights->quads += (taps + kind->word_taps - 1) / kind->word_taps;
    }
    for (; channel < end; ++channel) {
        sums[0] = c->starts[channel];
        sums[1] = sums[0];
        tidepool_add_products(weights->rest, windows[0], windows[1], taps, sums);
        tidepool_finish_pixels(c, c->factors + channel * c->factor_step, sums, 1, output + channel,
                               step);
        weights->rest += taps;
    }
}

/* Whether the windows are the pixels of the input, one after the other. */
static inline int tidepool_is_pointwise(const tidepool_conv_2d_params *p,
                                        const tidepool_layout *l)
{
    const tidepool_window *w = &p->window;
    return l->taps == w->input_channels && w->stride_height == 1 && w->stride_width == 1 &&
           w->pad_top == 0 && w->pad_left == 0 && w->output_width == w->input_width &&
           (w->output_height == w->input_height || w->batches == 1) && w->filter_height == 1;
}

/* A layer. */
static inline void tidepool_run_windows(const tidepool_conv_2d_params *params,
                                        const tidepool_rows_kind *kind, const int8_t *input,
                                        int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const tidepool_layout l = tidepool_layout_of(params);
    const int pointwise = tidepool_is_pointwise(params, &l);
    int8_t *const first = (int8_t *)scratch;
    int8_t *const second = first + ((l.taps + 3) & -4);
    int8_t *const begin = output;
    const int32_t pixels = w->batches * w->output_height * w->output_width;
    tidepool_place next = {input, 0, 0, -w->pad_top, -w->pad_left};
    for (int32_t left = pixels; left > 0; left -= 2) {
        /* A last pixel by itself counts as two, at the same place. */
        const int32_t count = (left > 1) ? 2 : 1;
        const int32_t step = (count - 1) * w->output_channels;
        const int8_t *const windows[2] = {first, second};
        const tidepool_place at = next;
        tidepool_advance(w, &next);
        const tidepool_place other = next;
        tidepool_advance(w, &next);
        tidepool_packed_weights weights = {params->quads, params->rest};
        for (int32_t group = 0; group < l.groups; ++group) {
            if (pointwise) {
                tidepool_copy_bytes(first, input, l.taps);
                tidepool_copy_bytes(second, input + (count - 1) * l.taps, l.taps);
                input += count * l.taps;
            } else {
                tidepool_copy_window(params, &l, &at, group * params->filter_channels, first);
                tidepool_copy_window(params, &l, (count == 2) ? &other : &at,
                                     group * params->filter_channels, second);
            }
            tidepool_run_group(params, kind, &l, group, &weights, windows, output, step);
        }
        output += count * w->output_channels;
    }
    tidepool_clamp_all(begin, pixels * w->output_channels, params->channels.output_min,
                       params->channels.output_max);
}

#endif /* TIDEPOOL_WINDOW_PAIRS_H */
