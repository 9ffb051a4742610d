/* Tiles of a depthwise convolution of 3x3: four results of one channel from windows of its planes.
 *
 * A plane holds two rows of the input for eight channels: [columns][8] halves, the upper row in the
 * low byte. With the plane behind it, eight halves are a window of 4x4: four columns of the one, then
 * of the other. VLDRH gathers a window, and VMLADAV sums up its products with 16 weights:
 *     strides of 1: the window serves four results, two by two, each with weights of its own
 *     strides of 2: four windows, two columns apart, are four results of a row */
#ifndef TIDEPOOL_MVE_TILES_H
#define TIDEPOOL_MVE_TILES_H

#include "tidepool_mve.h"
#include "tidepool_mve_planes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_MVE_RECORD 7 /* words of a channel: bias, multiplier, shift, a vector of weights */

/* Some rows of the output, for the channels of the planes. */
typedef struct {
    const tidepool_depthwise_3x3_mve_params *params;
    const uint16_t *planes;
    int32_t plane_bytes;
    const int32_t *records; /* of the first channel */
    int32_t channels;       /* at most TIDEPOOL_MVE_LANES */
    int8_t *output;         /* of the first channel in the first row */
    int32_t rows;
} tidepool_mve_band;

#if TIDEPOOL_HAS_MVE

/* Where the window of a tile begins, and where its first result goes: in the first band, for the
 * first channel. */
typedef struct {
    const uint16_t *window;
    int8_t *output;
} tidepool_mve_tile;

/* What the instructions get. */
typedef struct {
    const int32_t *records;
    int32_t channels;
    const tidepool_mve_tile *tiles;
    int32_t whole;           /* tiles of which all results are stored */
    int32_t partial;         /* those behind them, of which `stored` are */
    uint32_t stored;         /* four bits for each result */
    int32_t zero_point;
    const uint16_t *window;  /* [8]: offsets of a window's halves */
    const uint32_t *places;  /* [4]: offsets of the results */
} tidepool_mve_tile_job;

/* r1 tiles, r3 channels or the flag of AWAY_FROM_ZERO, r8 bias, r9 zero point, r10 multiplier, r11 records, r12 shift.
 * Sums: r0, r2, r4, r6. q6 has the places of the results; on the stack: 0 tiles, whole, 8 partial,
 * stored, 16 channels. */
#define ENTER                                  \
    ".syntax  unified\n\t"                     \
    "push     {r4-r11, lr}\n\t"                \
    "vpush    {d8-d15}\n\t"                    \
    "ldmia    r0, {r1-r9}\n\t"                 \
    "push     {r2, r3}\n\t"                    \
    "push     {r3-r6}\n\t"                     \
    "mov      r11, r1\n\t"                     \
    "vldrw.u32 q6, [r9]\n\t"                   \
    "mov      r9, r7\n\t"

#define LEAVE                                  \
    "add      sp, #24\n\t"                     \
    "vpop     {d8-d15}\n\t"                    \
    "pop      {r4-r11, pc}\n"

/* Strides of 1. The record's weights are those of the tile's upper left result: column x has (w0,
 * w1) in its first half and (w2, 0) in its second one. A row further down they are (0, w0) and (w1, w2),
 * w1 from 7 bytes before; a column to the right, each is a half further. */
#define SETUP_1 "vldrh.u16 q5, [r8]\n\t"

#define WEIGHTS_1                              \
    "vldrb.u8 q1, [r11]\n\t"                   \
    "mov      r0, #0x1500\n\t"                 \
    "vmsr     p0, r0\n\t"                      \
    "vshl.i16 q3, q1, #8\n\t"                  \
    "vpst\n\t"                                 \
    "vldrbt.u8 q7, [r11, #-7]\n\t"             \
    "vorr     q3, q3, q7\n\t"                  \
    "mov      r0, #0\n\t"                      \
    "vmov     q2, q1\n\t"                      \
    "vshlc    q2, r0, #16\n\t"                 \
    "mov      r0, #0\n\t"                      \
    "vmov     q4, q3\n\t"                      \
    "vshlc    q4, r0, #16\n\t"

#define SUMS_1                                 \
    "vldrh.u16 q0, [r5, q5]\n\t"               \
    "vmladav.s8 r0, q0, q1\n\t"                \
    "vmladav.s8 r2, q0, q2\n\t"                \
    "vmladav.s8 r4, q0, q3\n\t"                \
    "vmladav.s8 r6, q0, q4\n\t"

#define ADVANCE_1 "vadd.i16 q5, q5, r0\n\t"

/* Strides of 2: q2 to q5 have the four windows' offsets, q1 the weights. */
#define SETUP_2                                \
    "vldrh.u16 q2, [r8]\n\t"                   \
    "mov      r0, #32\n\t"                     \
    "vadd.i16 q3, q2, r0\n\t"                  \
    "vadd.i16 q4, q3, r0\n\t"                  \
    "vadd.i16 q5, q4, r0\n\t"

#define WEIGHTS_2 "vldrb.u8 q1, [r11]\n\t"

#define SUMS_2                                 \
    "vldrh.u16 q0, [r5, q2]\n\t"               \
    "vldrh.u16 q7, [r5, q3]\n\t"               \
    "vmladav.s8 r0, q0, q1\n\t"                \
    "vldrh.u16 q0, [r5, q4]\n\t"               \
    "vmladav.s8 r2, q7, q1\n\t"                \
    "vldrh.u16 q7, [r5, q5]\n\t"               \
    "vmladav.s8 r4, q0, q1\n\t"                \
    "vmladav.s8 r6, q7, q1\n\t"

#define ADVANCE_2                              \
    "vadd.i16 q2, q2, r0\n\t"                  \
    "vadd.i16 q3, q3, r0\n\t"                  \
    "vadd.i16 q4, q4, r0\n\t"                  \
    "vadd.i16 q5, q5, r0\n\t"

/* Halves below zero are rounded away from it, if there is a shift: then r3 is 1. */
#define AWAY_FROM_ZERO                         \
    "vshr.s32 q7, q0, #31\n\t"                 \
    "vmla.s32 q0, q7, r3\n\t"

/* Where channels are counted, what begins one, how they go on, and what corrects ties. */
#define PLAIN "mov      r3, r2\n\t", "", "subs     r3, #1\n\t",
#define WITH_TIES                              \
    "", "lsr      r3, r12, #31\n\t",           \
    "ldr      r0, [sp, #16]\n\t"               \
    "subs     r0, #1\n\t"                      \
    "str      r0, [sp, #16]\n\t", AWAY_FROM_ZERO
#define STRIDE_1 SETUP_1, WEIGHTS_1, SUMS_1, ADVANCE_1
#define STRIDE_2 SETUP_2, WEIGHTS_2, SUMS_2, ADVANCE_2

#define TILE(SUMS, TIES, STORE)                \
    "ldrd     r5, r7, [r1], #8\n\t" SUMS       \
    "vmov     q0[2], q0[0], r0, r4\n\t"        \
    "vmov     q0[3], q0[1], r2, r6\n\t"        \
    "vadd.i32 q0, q0, r8\n\t"                  \
    "vqrdmulh.s32 q0, q0, r10\n\t" TIES        \
    "vrshl.s32 q0, r12\n\t"                    \
    "vqadd.s32 q0, q0, r9\n\t"                 \
    "vqmovnb.s32 q0, q0\n\t"                   \
    "vqmovnb.s16 q0, q0\n\t" STORE

/* All tiles for one channel after the other. */
#define DEFINE_TILES(name, SETUP, WEIGHTS, SUMS, ADVANCE, COUNT, BEGIN, NEXT, TIES)       \
    static __attribute__((naked, noinline)) void name(                                   \
        const tidepool_mve_tile_job *job __attribute__((unused)))                        \
    {                                                                                    \
        __asm__ volatile(ENTER COUNT SETUP                                               \
            "1:\n\t"                                                                     \
            "ldmia    r11!, {r8, r10, r12}\n\t" WEIGHTS BEGIN                            \
            "add      r11, #16\n\t"                                                      \
            "ldrd     r1, r0, [sp]\n\t"                                                  \
            "wls      lr, r0, 3f\n"                                                      \
            "2:\n\t" TILE(SUMS, TIES, "vstrb.32 q0, [r7, q6]\n\t")                       \
            "le       lr, 2b\n"                                                          \
            "3:\n\t"                                                                     \
            "ldrd     r0, r2, [sp, #8]\n\t"                                              \
            "vmsr     p0, r2\n\t"                                                        \
            "wls      lr, r0, 5f\n"                                                      \
            "4:\n\t" TILE(SUMS, TIES, "vpst\n\tvstrbt.32 q0, [r7, q6]\n\t")              \
            "le       lr, 4b\n"                                                          \
            "5:\n\t"                                                                     \
            "mov      r0, #1\n\t"                                                        \
            "vadd.i32 q6, q6, r0\n\t"                                                    \
            "mov      r0, #2\n\t" ADVANCE NEXT                                           \
            "bne.w    1b\n\t" LEAVE);                                                    \
    }

#define DEFINE_OF(...) DEFINE_TILES(__VA_ARGS__)

DEFINE_OF(tidepool_mve_tiles_1, STRIDE_1, PLAIN)
DEFINE_OF(tidepool_mve_tiles_1_ties, STRIDE_1, WITH_TIES)
DEFINE_OF(tidepool_mve_tiles_2, STRIDE_2, PLAIN)
DEFINE_OF(tidepool_mve_tiles_2_ties, STRIDE_2, WITH_TIES)

#undef ENTER
#undef LEAVE
#undef SETUP_1
#undef WEIGHTS_1
#undef SUMS_1
#undef ADVANCE_1
#undef SETUP_2
#undef WEIGHTS_2
#undef SUMS_2
#undef ADVANCE_2
#undef AWAY_FROM_ZERO
#undef TILE
#undef DEFINE_TILES
#undef DEFINE_OF
#undef PLAIN
#undef WITH_TIES
#undef STRIDE_1
#undef STRIDE_2

/* Tiles of a row of the output, or of two for strides of 1. */
static inline int32_t tidepool_mve_tiles_of_row(const tidepool_window *w)
{
    return (w->stride_width == 1) ? (w->output_width + 1) / 2 : (w->output_width + 3) / 4;
}

/* The tiles of the first band: a row's last one begins so that it ends with the row. */
static inline void tidepool_mve_list_tiles(const tidepool_mve_band *band, tidepool_mve_tile *tiles)
{
    const tidepool_window *w = &band->params->window;
    const int32_t stride = w->stride_width;
    const int32_t across = (stride == 1) ? 2 : 4;
    const int32_t down = (stride == 1) ? 2 : 1;
    const int32_t row = w->output_width * w->output_channels;
    const int32_t last = (w->output_width > across) ? w->output_width - across : 0;
    for (int32_t plane = 0; plane < band->params->band; ++plane) {
        const uint16_t *const begin = band->planes + plane * (band->plane_bytes / 2);
        for (int32_t x = 0; x < w->output_width; x += across) {
            const int32_t first = (x < last) ? x : last;
            tiles->window = begin + first * stride * TIDEPOOL_MVE_LANES;
            tiles->output = band->output + plane * down * row + first * w->output_channels;
            ++tiles;
        }
    }
}

/* The results of a band; `tiles` as those of the first one, whose output was `first`. */
static inline void tidepool_mve_run_band(const tidepool_mve_band *band,
                                         const tidepool_mve_tile *tiles, const int8_t *first)
{
    const tidepool_depthwise_3x3_mve_params *p = band->params;
    const tidepool_window *w = &p->window;
    const uint32_t channels = (uint32_t)w->output_channels;
    const uint32_t row = channels * (uint32_t)w->output_width;
    const uint32_t begin = (uint32_t)(band->output - first);
    const int32_t tiles_of_row = tidepool_mve_tiles_of_row(w);
    uint16_t window[8];
    uint32_t places[4] = {begin, begin + channels, begin + row, begin + row + channels};
    for (int32_t i = 0; i < 4; ++i) {
        window[i] = (uint16_t)(TIDEPOOL_MVE_LANES * 2 * i);
        window[4 + i] = (uint16_t)(window[i] + band->plane_bytes);
    }
    tidepool_mve_tile_job job = {band->records, band->channels, tiles, 0, 0, 0x00FF,
                                 p->output_zero_point, window, places};
    if (w->stride_width == 1) { /* of an odd number of rows, the last tiles store their upper ones */
        job.whole = band->rows / 2 * tiles_of_row;
        job.partial = band->rows % 2 * tiles_of_row;
        if (p->ties) {
            tidepool_mve_tiles_1_ties(&job);
        } else {
            tidepool_mve_tiles_1(&job);
        }
        return;
    }
    places[2] = places[1] + channels;
    places[3] = places[2] + channels;
    if (w->output_width < 4) {
        job.partial = band->rows;
        job.stored = (UINT32_C(1) << (4 * w->output_width)) - 1;
    } else {
        job.whole = band->rows * tiles_of_row;
    }
    if (p->ties) {
        tidepool_mve_tiles_2_ties(&job);
    } else {
        tidepool_mve_tiles_2(&job);
    }
}

#else

/* One result: `window` is its channel's half in the upper left of the window, whose rows begin in the
 * plane's lower row if `down` is 1. */
static inline int8_t tidepool_mve_window_result(const tidepool_mve_band *band, const uint16_t *window,
                                                int32_t down, const int32_t *record)
{
    const tidepool_depthwise_3x3_mve_params *p = band->params;
    const int8_t *const weights = (const int8_t *)(record + 3);
    uint32_t sum = (uint32_t)record[0];
    for (int32_t x = 0; x < 3; ++x) {
        const int32_t taps[3] = {weights[2 * x], weights[2 * x + 1], weights[8 + 2 * x]};
        for (int32_t y = 0; y < 3; ++y) {
            const uint16_t half = window[(y + down) / 2 * (band->plane_bytes / 2)];
            const uint32_t byte = ((y + down) % 2 == 0) ? half & 0xFFu : (uint32_t)half >> 8;
            sum += (uint32_t)((int8_t)(uint8_t)byte * taps[y]);
        }
        window += TIDEPOOL_MVE_LANES;
    }
    return tidepool_mve_result(sum, record[1], record[2], p->ties, p->output_zero_point, INT8_MIN,
                               INT8_MAX);
}

/* The results of a band. */
static inline void tidepool_mve_run_band(const tidepool_mve_band *band)
{
    const tidepool_window *w = &band->params->window;
    const int32_t row = w->output_width * w->output_channels;
    const int32_t rows_of_plane = (w->stride_height == 1) ? 2 : 1;
    for (int32_t c = 0; c < band->channels; ++c) {
        const int32_t *const record = band->records + c * TIDEPOOL_MVE_RECORD;
        for (int32_t y = 0; y < band->rows; ++y) {
            const uint16_t *const plane =
                band->planes + y / rows_of_plane * (band->plane_bytes / 2) + c;
            for (int32_t x = 0; x < w->output_width; ++x) {
                band->output[y * row + x * w->output_channels + c] = tidepool_mve_window_result(
                    band, plane + x * w->stride_width * TIDEPOOL_MVE_LANES, y % rows_of_plane,
                    record);
            }
        }
    }
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_MVE_TILES_H */
