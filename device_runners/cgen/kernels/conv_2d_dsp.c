/* CONV_2D, int8, one group, for cores with the DSP extension.
 *
 * Three output pixels at a time: their windows are widened into columns of 16-bit halves, the three
 * pixels interleaved word by word; then each pair of output channels is one pass over the columns,
 * two instructions less than seven for twelve multiply-accumulates. */
#include "tidepool_dsp.h"

#define PIXELS 3
_Static_assert(TIDEPOOL_FIXED_SHIFT == 4, "run_block has it in its instructions");

/* Three pixels' results. Those of pixel 1 and 2 go `step_1` and `step_2` bytes behind pixel 0's. */
typedef struct {
    const uint32_t *columns;
    int32_t quads; /* depth / 4 */
    int8_t *output;
    int32_t step_1;
    int32_t step_2;
    const int32_t *end; /* of the stream */
} block;

#if TIDEPOOL_HAS_DSP

/* Four taps of three pixels for a pair of channels: 24 multiply-accumulates in 17 instructions of 4
 * bytes. r0 stream, r1 columns; r8 to r10 are the sums R, r11, r12, lr the sums B. */
#define FOUR_TAPS                          \
    "ldrd     r6, r7, [r0], #8\n\t"        \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"       \
    "smlad    r8, r3, r6, r8\n\t"          \
    "smlad    r9, r4, r6, r9\n\t"          \
    "smlad    r10, r5, r6, r10\n\t"        \
    "sxtb16   r6, r6\n\t"                  \
    "smlad    r11, r3, r6, r11\n\t"        \
    "smlad    r12, r4, r6, r12\n\t"        \
    "smlad    lr, r5, r6, lr\n\t"          \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"       \
    "smlad    r8, r3, r7, r8\n\t"          \
    "smlad    r9, r4, r7, r9\n\t"          \
    "smlad    r10, r5, r7, r10\n\t"        \
    "sxtb16   r7, r7\n\t"                  \
    "smlad    r11, r3, r7, r11\n\t"        \
    "smlad    r12, r4, r7, r12\n\t"        \
    "smlad    lr, r5, r7, lr\n\t"

/* result = (round(x m) + addend - [x < 0]) before the last shift */
#define ROUNDED(x, multiplier, addend)                               \
    "add    r7, " addend ", " x ", asr #31\n\t"                      \
    "smmlar " x ", " x ", " multiplier ", " x "\n\t"                 \
    "add    " x ", " x ", r7\n\t"

/* All pairs for one block. Its fields are copied to the stack, where they can be reached with every
 * register in use: [sp] columns, count of loops, entry into the first loop, output, steps, end. */
static __attribute__((naked, noinline)) void run_block(const int32_t *stream __attribute__((unused)),
                                                       const block *b __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push   {r4-r11, lr}\n\t"
        "ldmia  r1, {r2-r7}\n\t" /* columns, quads, output, step 1, step 2, end */
        "sub    sp, #28\n\t"
        "strd   r4, r5, [sp, #12]\n\t"
        "strd   r6, r7, [sp, #20]\n\t"
        /* The first loop begins where the rest of quads / 4 is left. */
        "rsb    r4, r3, #0\n\t"
        "and    r4, r4, #3\n\t"
        "mov    r5, #68\n\t"
        "adr.w  r6, 2f\n\t"
        "orr    r6, r6, #1\n\t"
        "mla    r6, r4, r5, r6\n\t"
        "add    r3, r3, #3\n\t"
        "lsr    r3, r3, #2\n\t"
        "strd   r2, r3, [sp]\n\t"
        "str    r6, [sp, #8]\n"

        "1:\n\t" /* the next pair */
        "ldrd   r8, r11, [r0], #8\n\t"
        "mov    r9, r8\n\t"
        "mov    r10, r8\n\t"
        "mov    r12, r11\n\t"
        "mov    lr, r11\n\t"
        "ldmia.w sp, {r1, r2, pc}\n\t"
        ".balign 4\n"
        "2:\n\t" FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS
        "subs   r2, r2, #1\n\t"
        "bne.w  2b\n\t"

        "sub    r8, r8, r11\n\t"
        "sub    r9, r9, r12\n\t"
        "sub    r10, r10, lr\n\t"
        "ldmia  r0!, {r1-r6}\n\t"
        "cmp    r3, #0\n\t"
        "blt    4f\n\t"
        "smmla  r8, r8, r1, r2\n\t"
        "smmla  r9, r9, r1, r2\n\t"
        "smmla  r10, r10, r1, r2\n\t"
        "smmla  r11, r11, r4, r5\n\t"
        "smmla  r12, r12, r4, r5\n\t"
        "smmla  lr, lr, r4, r5\n"

        "ssat   r8, #8, r8, asr #12\n\t"
        "ssat   r9, #8, r9, asr #12\n\t"
        "ssat   r10, #8, r10, asr #12\n\t"
        "ssat   r11, #8, r11, asr #4\n\t"
        "ssat   r12, #8, r12, asr #4\n\t"
        "ssat   lr, #8, lr, asr #4\n"

        "3:\n\t" /* store */
        "ldrd   r4, r5, [sp, #12]\n\t"
        "ldrd   r7, r1, [sp, #20]\n\t"
        "add    r3, r4, r3, lsr #8\n\t"
        "add    r6, r4, r6, lsr #8\n\t"
        "strb   r8, [r3]\n\t"
        "strb   r9, [r3, r5]\n\t"
        "strb   r10, [r3, r7]\n\t"
        "strb   r11, [r6]\n\t"
        "strb   r12, [r6, r5]\n\t"
        "strb   lr, [r6, r7]\n\t"
        "cmp    r0, r1\n\t"
        "bne    1b\n\t"
        "add    sp, #28\n\t"
        "pop    {r4-r11, pc}\n"

        "4:\n\t" /* a form with a shift of its own */
        "lsls   r7, r3, #1\n\t"
        "bic    r3, r3, #0xC0000000\n\t"
        "bmi    5f\n\t"
        "smmla  r8, r8, r1, r2\n\t"
        "smmla  r9, r9, r1, r2\n\t"
        "smmla  r10, r10, r1, r2\n\t"
        "smmla  r11, r11, r4, r5\n\t"
        "smmla  r12, r12, r4, r5\n\t"
        "smmla  lr, lr, r4, r5\n\t"
        "b      6f\n"
        "5:\n\t" /* the form "rounded" */
        "asr    r8, r8, #8\n\t"
        "asr    r9, r9, #8\n\t"
        "asr    r10, r10, #8\n\t"
        ROUNDED("r8", "r1", "r2") ROUNDED("r9", "r1", "r2") ROUNDED("r10", "r1", "r2")
        ROUNDED("r11", "r4", "r5") ROUNDED("r12", "r4", "r5") ROUNDED("lr", "r4", "r5")
        "6:\n\t"
        "asr    r8, r8, r3\n\t"
        "asr    r9, r9, r3\n\t"
        "asr    r10, r10, r3\n\t"
        "asr    r11, r11, r6\n\t"
        "asr    r12, r12, r6\n\t"
        "asr    lr, lr, r6\n\t"
        "ssat   r8, #8, r8\n\t"
        "ssat   r9, #8, r9\n\t"
        "ssat   r10, #8, r10\n\t"
        "ssat   r11, #8, r11\n\t"
        "ssat   r12, #8, r12\n\t"
        "ssat   lr, #8, lr\n\t"
        "b      3b\n");
}

/* Widens runs of 4 * quads bytes (at least one), one for each pixel; returns the end of the columns.
 * Twelve values in twelve instructions. */
static __attribute__((naked, noinline)) uint32_t *widen(
    uint32_t *column __attribute__((unused)),
    const int8_t *const run[PIXELS] __attribute__((unused)), int32_t quads __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push   {r4-r9}\n\t"
        "ldmia  r1, {r1, r3, r12}\n"
        "1:\n\t"
        "ldr    r4, [r1], #4\n\t"
        "ldr    r5, [r3], #4\n\t"
        "ldr    r6, [r12], #4\n\t"
        "sxtb16 r7, r4, ror #8\n\t"
        "sxtb16 r8, r5, ror #8\n\t"
        "sxtb16 r9, r6, ror #8\n\t"
        "sxtb16 r4, r4\n\t"
        "sxtb16 r5, r5\n\t"
        "sxtb16 r6, r6\n\t"
        "stmia  r0!, {r4-r9}\n\t"
        "subs   r2, r2, #1\n\t"
        "bne    1b\n\t"
        "pop    {r4-r9}\n\t"
        "bx     lr\n");
}

#else

static void run_block(const int32_t *stream, const block *b)
{
    while (stream != b->end) {
        uint32_t r[PIXELS];
        uint32_t low[PIXELS];
        for (int32_t p = 0; p < PIXELS; ++p) {
            r[p] = (uint32_t)stream[0];
            low[p] = (uint32_t)stream[1];
        }
        stream += 2;
        for (int32_t word = 0; word < 2 * b->quads; ++word) {
            const uint32_t weights = (uint32_t)*stream++;
            for (int32_t p = 0; p < PIXELS; ++p) {
                const uint32_t x = b->columns[PIXELS * word + p];
                r[p] = tidepool_smlad(x, weights, r[p]);
                low[p] = tidepool_smlad(x, tidepool_sxtb16(weights), low[p]);
            }
        }
        tidepool_store_pair(r[0], low[0], stream, b->output);
        tidepool_store_pair(r[1], low[1], stream, b->output + b->step_1);
        tidepool_store_pair(r[2], low[2], stream, b->output + b->step_2);
        stream += 6;
    }
}

static uint32_t *widen(uint32_t *column, const int8_t *const run[PIXELS], int32_t quads)
{
    const int8_t *run_0 = run[0];
    const int8_t *run_1 = run[1];
    const int8_t *run_2 = run[2];
    for (int32_t quad = 0; quad < quads; ++quad) {
        const uint32_t x0 = tidepool_load_word(run_0);
        const uint32_t x1 = tidepool_load_word(run_1);
        const uint32_t x2 = tidepool_load_word(run_2);
        column[0] = tidepool_sxtb16(x0);
        column[1] = tidepool_sxtb16(x1);
        column[2] = tidepool_sxtb16(x2);
        column[3] = tidepool_sxtb16_odd(x0);
        column[4] = tidepool_sxtb16_odd(x1);
        column[5] = tidepool_sxtb16_odd(x2);
        column += 6;
        run_0 += 4;
        run_1 += 4;
        run_2 += 4;
    }
    return column;
}

#endif

/* A pixel of the output: where its window begins. */
typedef struct {
    const int8_t *image;
    int32_t x; /* in the output */
    int32_t top;
    int32_t left;
    int32_t offset; /* of (top, left) from the image */
} place;

/* Moves on by some pixels of a row, at most to the first one of the next row. */
static void advance(const tidepool_window *w, place *p, int32_t pixels)
{
    const int32_t columns = pixels * w->stride_width;
    p->x += pixels;
    p->left += columns;
    p->offset += columns * w->input_channels;
    if (p->x == w->output_width) {
        const int32_t row = w->input_width * w->input_channels;
        p->x = 0;
        p->left = -w->pad_left;
        p->top += w->stride_height;
        if (p->top == w->output_height * w->stride_height - w->pad_top) {
            p->top = -w->pad_top;
            p->image += w->input_height * row;
        }
        p->offset = p->top * row + p->left * w->input_channels;
    }
}

/* Copies a row of a window with a dilation. */
static void copy_dilated(const tidepool_conv_2d_dsp_params *p, const place *at, const int8_t *row,
                         int8_t *patch)
{
    const tidepool_window *w = &p->window;
    const int32_t channels = w->input_channels;
    for (int32_t filter_x = 0; filter_x < w->filter_width; ++filter_x) {
        const int32_t x = at->left + filter_x * w->dilation_width;
        if (x < 0 || x >= w->input_width) {
            tidepool_fill_bytes(patch, p->input_zero_point, channels);
        } else {
            tidepool_copy_bytes(patch, row + x * channels, channels);
        }
        patch += channels;
    }
}

/* Copies a window to `patch`, its padding as the input's zero point. */
static void copy_window(const tidepool_conv_2d_dsp_params *p, const place *at, int8_t *patch)
{
    const tidepool_window *w = &p->window;
    const int32_t channels = w->input_channels;
    const int32_t row_bytes = w->filter_width * channels;
    /* Without a dilation, the bytes of a row in front of the image, in it, and behind it. */
    const int32_t front = tidepool_clamp(-at->left, 0, w->filter_width) * channels;
    const int32_t end = tidepool_clamp(w->input_width - at->left, 0, w->filter_width) * channels;
    int32_t y = at->top;
    int32_t offset = at->offset;
    for (int32_t filter_y = 0; filter_y < w->filter_height; ++filter_y) {
        if (y < 0 || y >= w->input_height) {
            tidepool_fill_bytes(patch, p->input_zero_point, row_bytes);
        } else if (w->dilation_width == 1) {
            tidepool_fill_bytes(patch, p->input_zero_point, front);
            tidepool_copy_bytes(patch + front, at->image + (offset + front), end - front);
            tidepool_fill_bytes(patch + end, p->input_zero_point, row_bytes - end);
        } else {
            copy_dilated(p, at, at->image + y * w->input_width * channels, patch);
        }
        patch += row_bytes;
        y += w->dilation_height;
        offset += w->dilation_height * w->input_width * channels;
    }
}

/* The layer's windows. */
typedef struct {
    uint32_t tops;  /* windows that are read where they are: top and left in these ranges */
    uint32_t lefts;
    int32_t quads; /* of one row */
    int32_t tail;  /* bytes of a row behind its quads */
    int32_t rows;
    int32_t pitch; /* from one row to the next */
    int32_t step;  /* from one pixel's window to the next one's */
} windows;

/* Three windows and how far their rows lie apart. */
typedef struct {
    const int8_t *runs[PIXELS];
    int32_t pitches[PIXELS];
} rows;

static windows windows_of(const tidepool_window *w)
{
    const int32_t row_bytes = w->filter_width * w->input_channels;
    const int32_t tops = w->input_height - (w->filter_height - 1) * w->dilation_height;
    const int32_t lefts = w->input_width - (w->filter_width - 1);
    const int inside =
        tops > 0 && lefts > 0 && (w->dilation_width == 1 || w->filter_width == 1);
    const windows result = {inside ? (uint32_t)tops : 0,
                            inside ? (uint32_t)lefts : 0,
                            row_bytes / 4,
                            row_bytes % 4,
                            w->filter_height,
                            w->dilation_height * w->input_width * w->input_channels,
                            w->stride_width * w->input_channels};
    return result;
}

/* The bytes behind the rows' quads of one window, one row after the other, as words. */
static void widen_tail(uint32_t *column, const windows *v, const int8_t *tail, int32_t pitch)
{
    uint32_t word = 0;
    int32_t shift = 0;
    for (int32_t row = v->rows; row > 0; --row) {
        for (int32_t i = 0; i < v->tail; ++i) {
            word |= (uint32_t)(uint8_t)tail[i] << shift;
            shift += 8;
            if (shift == 32) {
                column[0] = tidepool_sxtb16(word);
                column[PIXELS] = tidepool_sxtb16_odd(word);
                column += 2 * PIXELS;
                word = 0;
                shift = 0;
            }
        }
        tail += pitch;
    }
    if (shift > 0) {
        column[0] = tidepool_sxtb16(word);
        column[PIXELS] = tidepool_sxtb16_odd(word);
    }
}

/* The columns of three windows. */
static void widen_windows(const windows *v, const rows *r, uint32_t *columns)
{
    const int8_t *runs[PIXELS] = {r->runs[0], r->runs[1], r->runs[2]};
    if (v->quads > 0) {
        columns = widen(columns, runs, v->quads);
        for (int32_t row = v->rows - 1; row > 0; --row) {
            for (int32_t i = 0; i < PIXELS; ++i) {
                runs[i] += r->pitches[i];
            }
            columns = widen(columns, runs, v->quads);
        }
    }
    if (v->tail == 1 && v->rows == 3) { /* 3x3 over RGB: worth its own lines */
        for (int32_t i = 0; i < PIXELS; ++i) {
            const int8_t *const tail = r->runs[i] + 4 * v->quads;
            const int32_t pitch = r->pitches[i];
            const uint32_t even = (uint8_t)tail[0] | (uint32_t)(uint8_t)tail[2 * pitch] << 16;
            columns[i] = tidepool_sxtb16(even);
            columns[PIXELS + i] = tidepool_sxtb16((uint8_t)tail[pitch]);
        }
    } else if (v->tail > 0) {
        for (int32_t i = 0; i < PIXELS; ++i) {
            widen_tail(columns + i, v, r->runs[i] + 4 * v->quads, r->pitches[i]);
        }
    }
}

/* Finds three windows of which some may reach into the padding: those are copied to patches. */
static void find_windows(const tidepool_conv_2d_dsp_params *p, const windows *v, place *next,
                         int32_t left, int8_t *patches, rows *r)
{
    const tidepool_window *w = &p->window;
    const int32_t row_bytes = w->filter_width * w->input_channels;
    for (int32_t i = 0; i < PIXELS; ++i) {
        if (i >= left) {
            r->runs[i] = r->runs[i - 1];
            r->pitches[i] = r->pitches[i - 1];
            continue;
        }
        if ((uint32_t)next->top < v->tops && (uint32_t)next->left < v->lefts) {
            r->runs[i] = next->image + next->offset;
            r->pitches[i] = v->pitch;
        } else {
            int8_t *const patch = patches + i * p->depth;
            copy_window(p, next, patch);
            r->runs[i] = patch;
            r->pitches[i] = row_bytes;
        }
        advance(w, next, 1);
    }
}

/* The columns of the next three pixels, of which `left` are left. */
static void gather(const tidepool_conv_2d_dsp_params *p, const windows *v, place *next, int32_t left,
                   uint32_t *columns, int8_t *patches)
{
    const tidepool_window *w = &p->window;
    rows r;
    if (next->x + PIXELS <= w->output_width && (uint32_t)next->top < v->tops && next->left >= 0 &&
        (uint32_t)(next->left + (PIXELS - 1) * w->stride_width) < v->lefts) {
        for (int32_t i = 0; i < PIXELS; ++i) {
            r.runs[i] = next->image + (next->offset + i * v->step);
            r.pitches[i] = v->pitch;
        }
        advance(w, next, PIXELS);
    } else {
        find_windows(p, v, next, left, patches, &r);
    }
    widen_windows(v, &r, columns);
}

/* Whether the windows are the pixels of the input, one after the other. */
static int is_pointwise(const tidepool_window *w)
{
    return w->filter_height == 1 && w->filter_width == 1 && w->stride_height == 1 &&
           w->stride_width == 1 && w->pad_top == 0 && w->pad_left == 0 &&
           w->output_height == w->input_height && w->output_width == w->input_width &&
           (w->input_channels & 3) == 0;
}

TIDEPOOL_KERNEL
void tidepool_conv_2d_dsp(const tidepool_conv_2d_dsp_params *params, const int8_t *input,
                          int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t pixels = w->batches * w->output_height * w->output_width;
    const int32_t depth = params->depth;
    const int pointwise = is_pointwise(w);
    const windows v = windows_of(w);
    uint32_t *const columns = (uint32_t *)(void *)scratch;
    int8_t *const patches = (int8_t *)scratch + 6 * depth;
    block b = {columns, depth / 4, output, w->output_channels, 2 * w->output_channels,
               params->stream + params->stream_words};
    place next = {input, 0, -w->pad_top, -w->pad_left,
                  -(w->pad_top * w->input_width + w->pad_left) * w->input_channels};
    for (int32_t left = pixels; left > 0; left -= PIXELS) {
        /* The last block may be short: its last pixel then counts several times. */
        if (left < PIXELS) {
            b.step_1 = (left == 2) ? w->output_channels : 0;
            b.step_2 = b.step_1;
        }
        if (pointwise) {
            const int8_t *const last = input + (left - 1) * depth;
            const int8_t *const runs[PIXELS] = {input, (left > 1) ? input + depth : last,
                                                (left > 2) ? input + 2 * depth : last};
            (void)widen(columns, runs, b.quads);
            input += PIXELS * depth;
        } else {
            gather(params, &v, &next, left, columns, patches);
        }
        run_block(params->stream, &b);
        b.output += PIXELS * w->output_channels;
    }
    tidepool_clamp_all(output, pixels * w->output_channels, params->output_min,
                       params->output_max);
}
