/* Convolutions by three pixels and two output channels: what the kernels for weights of 8 and of 4
 * bits have in common. */
#ifndef TIDEPOOL_DSP_BLOCKS_H
#define TIDEPOOL_DSP_BLOCKS_H

#include "tidepool_dsp_columns.h"

/* Three pixels' results. Those of pixel 1 and 2 go `step_1` and `step_2` bytes behind pixel 0's. */
typedef struct {
    const uint32_t *columns;
    entry quads; /* depth / 4 - 1: the first one is apart */
    int8_t *output;
    int32_t step_1;
    int32_t step_2;
    const int32_t *end; /* of the stream's pairs */
    const uint32_t *columns_end;
} block;

/* Some pairs of channels for one block; returns the stream behind them. */
typedef const int32_t *pairs_function(const int32_t *stream, const block *b);

/* What differs between kernels. */
typedef struct {
    int32_t step_bytes; /* of the instructions for four taps */
    pairs_function *run_fixed;
    pairs_function *run_shifted;
} sums;

#if TIDEPOOL_HAS_DSP

/* The fields of a block go to the stack, where they can be reached with every register in use: 0
 * columns, 4 loops, 8 entry into the loop, 12 output, 16 and 20 steps, 24 end, 28 columns_end. */
#define ENTER                                  \
    ".syntax unified\n\t"                      \
    "push     {r4-r11, lr}\n\t"                \
    "ldmia    r1, {r2-r9}\n\t"                 \
    "adr.w    r10, 2f\n\t"                     \
    "add      r4, r4, r10\n\t"                 \
    "push     {r2-r9}\n"

/* Stores and goes to the next pair; returns the stream behind the last one. */
#define STORE                                  \
    "ldrd     r4, r5, [sp, #12]\n\t"           \
    "ldrd     r7, r1, [sp, #20]\n\t"           \
    "add      r3, r4, r3, lsr #8\n\t"          \
    "add      r6, r4, r6, lsr #8\n\t"          \
    "strb     r8, [r3]\n\t"                    \
    "strb     r9, [r3, r5]\n\t"                \
    "strb     r10, [r3, r7]\n\t"               \
    "strb     r11, [r6]\n\t"                   \
    "strb     r12, [r6, r5]\n\t"               \
    "strb     lr, [r6, r7]\n\t"                \
    "cmp      r0, r1\n\t"                      \
    "bne.w    1b\n\t"                          \
    "add      sp, #32\n\t"                     \
    "pop      {r4-r11, pc}\n"

#define MULTIPLY_ALL                           \
    "smmla    r8, r8, r1, r2\n\t"              \
    "smmla    r9, r9, r1, r2\n\t"              \
    "smmla    r10, r10, r1, r2\n\t"            \
    "smmla    r11, r11, r4, r5\n\t"            \
    "smmla    r12, r12, r4, r5\n\t"            \
    "smmla    lr, lr, r4, r5\n\t"

/* result = (round(x m) + addend - [x < 0]) before the last shift */
#define ROUNDED(x, multiplier, addend)                               \
    "add    r7, " addend ", " x ", asr #31\n\t"                      \
    "smmlar " x ", " x ", " multiplier ", " x "\n\t"                 \
    "add    " x ", " x ", r7\n\t"

#endif

/* Whether the windows are the pixels of the input, one after the other. */
static inline int is_pointwise(const tidepool_window *w)
{
    return w->filter_height == 1 && w->filter_width == 1 && w->stride_height == 1 &&
           w->stride_width == 1 && w->pad_top == 0 && w->pad_left == 0 &&
           w->output_height == w->input_height && w->output_width == w->input_width &&
           (w->input_channels & 3) == 0;
}

/* All output channels for one block. */
static inline void run_block(const tidepool_conv_2d_dsp_params *p, const sums *s, block *b)
{
    const int32_t *stream = p->stream;
    if (p->fixed_words > 0) {
        b->end = p->stream + p->fixed_words;
        stream = s->run_fixed(stream, b);
    }
    if (p->fixed_words < p->stream_words) {
        b->end = p->stream + p->stream_words;
        (void)s->run_shifted(stream, b);
    }
}

/* A layer, block by block. */
static inline void run_blocks(const tidepool_conv_2d_dsp_params *params, const sums *s,
                             const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t pixels = w->batches * w->output_height * w->output_width;
    const int32_t depth = params->depth;
    const int pointwise = is_pointwise(w);
    const windows v = windows_of(w);
    uint32_t *const columns = (uint32_t *)(void *)scratch;
    int8_t *const patches = (int8_t *)scratch + 6 * depth;
    block b = {columns, enter(depth / 4 - 1, s->step_bytes), output, w->output_channels,
               2 * w->output_channels, params->stream,
               columns + 2 * PIXELS * (depth / 4)};
    rows r = {enter(v.quads, WIDEN_STEP),
              columns + 2 * PIXELS * v.quads * v.rows,
              {input, input, input},
              {0, 0, 0}};
    place next = {input, 0, -w->pad_top, -w->pad_left,
                  -(w->pad_top * w->input_width + w->pad_left) * w->input_channels};
    for (int32_t left = pixels; left > 0; left -= PIXELS) {
        /* The last block may be short: its last pixel then counts several times. */
        if (left < PIXELS) {
            b.step_1 = (left == 2) ? w->output_channels : 0;
            b.step_2 = b.step_1;
        }
        if (pointwise) {
            r.runs[0] = input;
            r.runs[1] = (left > 1) ? input + depth : input;
            r.runs[2] = (left > 2) ? input + 2 * depth : r.runs[1];
            widen(columns, &r);
            input += PIXELS * depth;
        } else {
            gather(params, &v, &next, left, columns, patches, &r);
        }
        run_block(params, s, &b);
        b.output += PIXELS * w->output_channels;
    }
    tidepool_clamp_all(output, pixels * w->output_channels, params->output_min,
                       params->output_max);
}

#endif /* TIDEPOOL_DSP_BLOCKS_H */
