/* The columns of conv_2d_dsp.c: windows of three pixels, widened to halves and interleaved.
 *
 * A column word holds two taps of one pixel; the words of three pixels lie beside each other. Taps
 * are in the order of the filter's rows, each cut down to a multiple of 4 (its quads); what is left
 * of all rows (their tails) comes behind them. */
#ifndef TIDEPOOL_DSP_COLUMNS_H
#define TIDEPOOL_DSP_COLUMNS_H

#include "tidepool_dsp.h"

#define PIXELS 3

/* Entry into a loop of four steps, so that `steps` of them are done in all. */
typedef struct {
    int32_t loops;
    int32_t skip; /* bytes behind the loop's begin, and 1 (it is Thumb code) */
} entry;

static inline entry enter(int32_t steps, int32_t step_bytes)
{
    const int32_t loops = (steps > 0) ? (steps + 3) / 4 : 1;
    const entry result = {loops, (4 * loops - steps) * step_bytes + 1};
    return result;
}

/* Three windows. */
typedef struct {
    entry quads;         /* of one row; only the instructions read it */
    const uint32_t *end; /* of the columns of all quads */
    const int8_t *runs[PIXELS];
    int32_t gaps[PIXELS]; /* from the end of a row's quads to the next row */
} rows;

#define WIDEN_STEP 40 /* bytes of FOUR_BYTES */

#if TIDEPOOL_HAS_DSP

/* Twelve values in ten instructions of 4 bytes. r0 columns; r1 to r3 runs. */
#define FOUR_BYTES                       \
    "ldr    r4, [r1], #4\n\t"            \
    "ldr    r5, [r2], #4\n\t"            \
    "ldr    r6, [r3], #4\n\t"            \
    "sxtb16 r7, r4, ror #8\n\t"          \
    "sxtb16 r8, r5, ror #8\n\t"          \
    "sxtb16 r9, r6, ror #8\n\t"          \
    "sxtb16 r4, r4\n\t"                  \
    "sxtb16 r5, r5\n\t"                  \
    "sxtb16 r6, r6\n\t"                  \
    "stmia.w r0!, {r4-r9}\n\t"

/* Widens the quads of all rows, of which there is one at least. On the stack: loops, entry, end. */
static __attribute__((naked, noinline)) void widen(uint32_t *columns __attribute__((unused)),
                                                   const rows *r __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push    {r4-r11, lr}\n\t"
        "ldmia   r1!, {r4, r5, r6}\n\t"
        "adr.w   r7, 2f\n\t"
        "add     r5, r5, r7\n\t"
        "push    {r4, r5, r6}\n\t"
        "ldmia   r1, {r1, r2, r3, r10, r11, lr}\n"
        "1:\n\t" /* the next row */
        "ldmia.w sp, {r12, pc}\n\t"
        ".balign 4\n"
        "2:\n\t" FOUR_BYTES FOUR_BYTES FOUR_BYTES FOUR_BYTES
        "subs    r12, r12, #1\n\t"
        "bne.w   2b\n\t"
        "ldr     r4, [sp, #8]\n\t"
        "add     r1, r1, r10\n\t"
        "add     r2, r2, r11\n\t"
        "add     r3, r3, lr\n\t"
        "cmp     r0, r4\n\t"
        "bne     1b\n\t"
        "add     sp, #12\n\t"
        "pop     {r4-r11, pc}\n");
}

#else

static inline void widen(uint32_t *columns, const rows *r)
{
    const int32_t quads = 4 * r->quads.loops - (r->quads.skip - 1) / WIDEN_STEP;
    rows next = *r;
    while (columns != r->end) {
        for (int32_t quad = 0; quad < quads; ++quad) {
            for (int32_t i = 0; i < PIXELS; ++i) {
                const uint32_t x = tidepool_load_word(next.runs[i]);
                columns[i] = tidepool_sxtb16(x);
                columns[PIXELS + i] = tidepool_sxtb16_odd(x);
                next.runs[i] += 4;
            }
            columns += 2 * PIXELS;
        }
        for (int32_t i = 0; i < PIXELS; ++i) {
            next.runs[i] += next.gaps[i];
        }
    }
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
static inline void advance(const tidepool_window *w, place *p, int32_t pixels)
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
static inline void copy_dilated(const tidepool_conv_2d_dsp_params *p, const place *at, const int8_t *row,
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
static inline void copy_window(const tidepool_conv_2d_dsp_params *p, const place *at, int8_t *patch)
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

static inline windows windows_of(const tidepool_window *w)
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

/* The bytes behind the rows' quads of one window, one row after the other, as words: four rows of up to
 * three bytes at a time are as many words as a row has bytes. */
static inline void widen_tail(uint32_t *column, const windows *v, const int8_t *tail, int32_t pitch)
{
    for (int32_t left = v->rows; left > 0; left -= 4) {
        const int32_t count = (left < 4) ? left : 4;
        int8_t bytes[12] = {0};
        int8_t *to = bytes;
        for (int32_t row = count; row > 0; --row) {
            to[0] = tail[0];
            if (v->tail > 1) {
                to[1] = tail[1];
            }
            if (v->tail > 2) {
                to[2] = tail[2];
            }
            to += v->tail;
            tail += pitch;
        }
        for (int32_t i = 0; i < count * v->tail; i += 4) {
            const uint32_t word = tidepool_load_word(bytes + i);
            column[0] = tidepool_sxtb16(word);
            column[PIXELS] = tidepool_sxtb16_odd(word);
            column += 2 * PIXELS;
        }
    }
}

/* The columns of three windows. */
static inline void widen_windows(const windows *v, const rows *r, uint32_t *columns)
{
    if (v->quads > 0) {
        widen(columns, r);
        columns += 2 * PIXELS * v->quads * v->rows;
    }
    if (v->tail == 1 && v->rows == 3) { /* 3x3 over RGB: worth its own lines */
        for (int32_t i = 0; i < PIXELS; ++i) {
            const int8_t *const tail = r->runs[i] + 4 * v->quads;
            const int32_t pitch = r->gaps[i] + 4 * v->quads;
            columns[i] = tidepool_low_halves((uint32_t)tail[0], (uint32_t)tail[2 * pitch]);
            columns[PIXELS + i] = (uint32_t)tail[pitch]; /* the upper half has the weight 0 */
        }
    } else if (v->tail > 0) {
        for (int32_t i = 0; i < PIXELS; ++i) {
            widen_tail(columns + i, v, r->runs[i] + 4 * v->quads, r->gaps[i] + 4 * v->quads);
        }
    }
}

/* Finds three windows of which some may reach into the padding: those are copied to patches. */
static inline void find_windows(const tidepool_conv_2d_dsp_params *p, const windows *v, place *next,
                                int32_t left, int8_t *patches, rows *r)
{
    const tidepool_window *w = &p->window;
    for (int32_t i = 0; i < PIXELS; ++i) {
        if (i >= left) {
            r->runs[i] = r->runs[i - 1];
            r->gaps[i] = r->gaps[i - 1];
            continue;
        }
        if ((uint32_t)next->top < v->tops && (uint32_t)next->left < v->lefts) {
            r->runs[i] = next->image + next->offset;
            r->gaps[i] = v->pitch - 4 * v->quads;
        } else {
            int8_t *const patch = patches + i * p->depth;
            copy_window(p, next, patch);
            r->runs[i] = patch;
            r->gaps[i] = v->tail;
        }
        advance(w, next, 1);
    }
}

/* The columns of the next three pixels, of which `left` are left. */
static inline void gather(const tidepool_conv_2d_dsp_params *p, const windows *v, place *next,
                          int32_t left, uint32_t *columns, int8_t *patches, rows *r)
{
    const tidepool_window *w = &p->window;
    if (next->x + PIXELS <= w->output_width && (uint32_t)next->top < v->tops && next->left >= 0 &&
        (uint32_t)(next->left + (PIXELS - 1) * w->stride_width) < v->lefts) {
        const int8_t *const first = next->image + next->offset;
        const int32_t gap = v->pitch - 4 * v->quads;
        r->runs[0] = first;
        r->runs[1] = first + v->step;
        r->runs[2] = first + 2 * v->step;
        r->gaps[0] = gap;
        r->gaps[1] = gap;
        r->gaps[2] = gap;
        advance(w, next, PIXELS);
    } else {
        find_windows(p, v, next, left, patches, r);
    }
    widen_windows(v, r, columns);
}

#endif /* TIDEPOOL_DSP_COLUMNS_H */
