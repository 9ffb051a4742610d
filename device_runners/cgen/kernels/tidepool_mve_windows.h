/* Windows of a depthwise convolution of any size: a result from one channel of some planes.
 *
 * A window is cut into vectors of eight halves, two taps each, that VLDRH gathers from the planes
 * (tidepool_mve_planes.h) wherever they lie; VMLADAV sums up their products with 16 weights. Four windows
 * side by side are a tile, whose results are requantized and stored together. */
#ifndef TIDEPOOL_MVE_WINDOWS_H
#define TIDEPOOL_MVE_WINDOWS_H

#include "tidepool_mve_planes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_MVE_TILE 4     /* results of a tile */
#define TIDEPOOL_MVE_VECTORS 16 /* of a window, at most */

/* Results of some rows of the output, for some of its channels. */
typedef struct {
    const tidepool_depthwise_conv_2d_mve_params *params;
    const uint16_t *planes;
    int32_t plane_bytes;
    int32_t lane;           /* of the first channel in the planes */
    int32_t advance;        /* to the next channel's: 1, or 0 if all of them have the same input */
    int32_t channels;
    const int32_t *records; /* of the first channel */
    int8_t *output;         /* of the first channel in the first row */
    int32_t rows;
} tidepool_mve_results;

/* Planes from one row of the output to the next, and from one pair of rows of a window to the next. */
static inline int32_t tidepool_mve_planes_of_row(const tidepool_depthwise_conv_2d_mve_params *p)
{
    return p->window.stride_height / p->rows_of_plane;
}

static inline int32_t tidepool_mve_planes_of_pair(const tidepool_depthwise_conv_2d_mve_params *p)
{
    return 2 * p->window.dilation_height / p->rows_of_plane;
}

/* Halves of a window in one plane. */
static inline int32_t tidepool_mve_halves_of_row(const tidepool_window *w)
{
    return (w->filter_height > 1) ? w->filter_width : (w->filter_width + 1) / 2;
}

static inline int32_t tidepool_mve_half_step(const tidepool_window *w)
{
    return (w->filter_height > 1) ? w->dilation_width : 2 * w->dilation_width;
}

#if TIDEPOOL_HAS_MVE

/* Where the first window of a tile begins, and where its first result goes: in the first band, for the
 * first channel. */
typedef struct {
    const uint16_t *window;
    int8_t *output;
} tidepool_mve_tile_of_row;

/* What the instructions get. */
typedef struct {
    const int32_t *records;
    int32_t channels;
    const tidepool_mve_tile_of_row *tiles;
    int32_t count;
    int32_t advance; /* bytes to the next channel in the planes */
    int32_t step;    /* bytes from one window to the next */
    int32_t zero_point;
    const uint16_t *offsets; /* [vectors][8], of the halves of a window */
    const uint32_t *places;  /* [4], offsets of the results */
    uint32_t stored;         /* four bits for each result */
    int32_t vectors;
} tidepool_mve_window_job;

/* r1 tiles, r11 records, r5 window, r7 output; sums: r0, r2, r4, r6. On the stack: 0 channels, 4 tiles,
 * 8 their count, 12 advance. */
#define ENTER                                  \
    ".syntax  unified\n\t"                     \
    "push     {r4-r11, lr}\n\t"                \
    "vpush    {d8-d15}\n\t"                    \
    "ldmia    r0!, {r1-r9}\n\t"                \
    "push     {r2-r5}\n\t"                     \
    "mov      r11, r1\n\t"                     \
    "ldr      r2, [r0]\n\t"                    \
    "vmsr     p0, r2\n\t"

#define LEAVE                                  \
    "add      sp, #16\n\t"                     \
    "vpop     {d8-d15}\n\t"                    \
    "pop      {r4-r11, pc}\n"

#define NEXT_CHANNEL(again)                    \
    "ldr      r0, [sp]\n\t"                    \
    "subs     r0, #1\n\t"                      \
    "str      r0, [sp]\n\t"                    \
    "bne.w    " again "\n\t"

#define SUMS_TO_VECTOR                         \
    "vmov     q0[2], q0[0], r0, r4\n\t"        \
    "vmov     q0[3], q0[1], r2, r6\n\t"

#define NARROWED                               \
    "vqmovnb.s32 q0, q0\n\t"                   \
    "vqmovnb.s16 q0, q0\n\t"                   \
    "vpst\n\t"

/* Halves below zero are rounded away from it, if they will be shifted: then `flag` is 1. */
#define AWAY_FROM_ZERO(flag)                   \
    "vshr.s32 q7, q0, #31\n\t"                 \
    "vmla.s32 q0, q7, " flag "\n\t"

/* With one vector a window: q1 weights, q2 to q5 offsets of the four windows, q6 places; r8 bias, r9
 * zero point, r10 multiplier, r12 shift, r3 the flag. */
#define SETUP_1                                \
    "vldrw.u32 q6, [r9]\n\t"                   \
    "vldrh.u16 q2, [r8]\n\t"                   \
    "vadd.i16 q3, q2, r6\n\t"                  \
    "vadd.i16 q4, q3, r6\n\t"                  \
    "vadd.i16 q5, q4, r6\n\t"                  \
    "mov      r9, r7\n\t"

#define CHANNEL_1                              \
    "vldrb.u8 q1, [r11], #16\n\t"              \
    "lsr      r3, r12, #31\n\t"

#define SUMS_1                                 \
    "vldrh.u16 q0, [r5, q2]\n\t"               \
    "vldrh.u16 q7, [r5, q3]\n\t"               \
    "vmladav.s8 r0, q0, q1\n\t"                \
    "vldrh.u16 q0, [r5, q4]\n\t"               \
    "vmladav.s8 r2, q7, q1\n\t"                \
    "vldrh.u16 q7, [r5, q5]\n\t"               \
    "vmladav.s8 r4, q0, q1\n\t"                \
    "vmladav.s8 r6, q7, q1\n\t"

#define ADVANCE_1                              \
    "vadd.i16 q2, q2, r0\n\t"                  \
    "vadd.i16 q3, q3, r0\n\t"                  \
    "vadd.i16 q4, q4, r0\n\t"                  \
    "vadd.i16 q5, q5, r0\n\t"

/* With two: q1, q2 offsets, q3, q4 weights, q5 zero point, q6 places; r8 bias, r10 multiplier, r12 shift,
 * r3 step, r9 the flag. */
#define SETUP_2                                \
    "vldrw.u32 q6, [r9]\n\t"                   \
    "vldrh.u16 q1, [r8], #16\n\t"              \
    "vldrh.u16 q2, [r8]\n\t"                   \
    "vdup.32  q5, r7\n\t"                      \
    "mov      r3, r6\n\t"

#define CHANNEL_2                              \
    "vldrb.u8 q3, [r11], #16\n\t"              \
    "vldrb.u8 q4, [r11], #16\n\t"              \
    "lsr      r9, r12, #31\n\t"

#define WINDOW_2(sum)                          \
    "vldrh.u16 q0, [r5, q1]\n\t"               \
    "vldrh.u16 q7, [r5, q2]\n\t"               \
    "vmladav.s8 " sum ", q0, q3\n\t"           \
    "vmladava.s8 " sum ", q7, q4\n\t"

#define TO_NEXT "add      r5, r5, r3\n\t"
#define SUMS_2 WINDOW_2("r0") TO_NEXT WINDOW_2("r2") TO_NEXT WINDOW_2("r4") TO_NEXT WINDOW_2("r6")

#define ADVANCE_2                              \
    "vadd.i16 q1, q1, r0\n\t"                  \
    "vadd.i16 q2, q2, r0\n\t"

/* All tiles for one channel after the other. */
#define DEFINE_WINDOWS(name, SETUP, CHANNEL, SUMS, ADVANCE, ZERO_POINT, TIES)           \
    static __attribute__((naked, noinline)) void name(                                   \
        const tidepool_mve_window_job *job __attribute__((unused)))                      \
    {                                                                                    \
        __asm__ volatile(ENTER SETUP                                                     \
            "1:\n\t"                                                                     \
            "ldmia    r11!, {r8, r10, r12}\n\t" CHANNEL                                  \
            "ldrd     r1, r0, [sp, #4]\n\t"                                              \
            "dls      lr, r0\n"                                                          \
            "2:\n\t"                                                                     \
            "ldrd     r5, r7, [r1], #8\n\t" SUMS SUMS_TO_VECTOR                          \
            "vadd.i32 q0, q0, r8\n\t"                                                    \
            "vqrdmulh.s32 q0, q0, r10\n\t" TIES                                          \
            "vrshl.s32 q0, r12\n\t"                                                      \
            "vqadd.s32 q0, q0, " ZERO_POINT "\n\t" NARROWED                              \
            "vstrbt.32 q0, [r7, q6]\n\t"                                                 \
            "le       lr, 2b\n\t"                                                        \
            "mov      r0, #1\n\t"                                                        \
            "vadd.i32 q6, q6, r0\n\t"                                                    \
            "ldr      r0, [sp, #12]\n\t" ADVANCE NEXT_CHANNEL("1b") LEAVE);              \
    }

#define OF_1 SETUP_1, CHANNEL_1, SUMS_1, ADVANCE_1, "r9"
#define OF_2 SETUP_2, CHANNEL_2, SUMS_2, ADVANCE_2, "q5"
#define DEFINE_OF(...) DEFINE_WINDOWS(__VA_ARGS__)

DEFINE_OF(tidepool_mve_windows_1, OF_1, )
DEFINE_OF(tidepool_mve_windows_1_ties, OF_1, AWAY_FROM_ZERO("r3"))
DEFINE_OF(tidepool_mve_windows_2, OF_2, )
DEFINE_OF(tidepool_mve_windows_2_ties, OF_2, AWAY_FROM_ZERO("r9"))

#define SUMS_OF_VECTOR(window, sum)            \
    "vldrh.u16 q0, [" window ", q1]\n\t"       \
    "vmladava.s8 " sum ", q0, q2\n\t"

/* With any number: q1 offsets, q2 weights, q3 zero point, q4 multiplier, q5 shift, q6 places. Windows
 * begin at r5, r7, r8, r9; r10 offsets, r3 weights, r12 tiles left. On the stack behind the others: 16 bytes
 * to the channel, 20 step, 24 offsets, 28 vectors. */
static __attribute__((naked, noinline)) void tidepool_mve_windows_n(
    const tidepool_mve_window_job *job __attribute__((unused)))
{
    __asm__ volatile(ENTER
        "vldrw.u32 q6, [r9]\n\t"
        "vdup.32  q3, r7\n\t"
        "ldr      r9, [r0, #4]\n\t"
        "ldmia    sp, {r2-r5}\n\t"
        "mov      r7, r8\n\t"
        "mov      r8, r9\n\t"
        "mov      r9, r5\n\t" /* advance */
        "mov      r5, #0\n\t"
        "sub      sp, #16\n\t"
        "stmia    sp, {r2-r4, r9}\n\t"
        "add      r2, sp, #16\n\t"
        "stmia    r2, {r5-r8}\n"
        "1:\n\t"
        "add      r3, r11, #4\n\t"
        "ldrd     r2, r4, [r3]\n\t"
        "vdup.32  q4, r2\n\t"
        "vdup.32  q5, r4\n\t"
        "ldrd     r1, r12, [sp, #4]\n"
        "2:\n\t"
        "ldr      r5, [r1], #8\n\t"
        "ldrd     r3, r10, [sp, #16]\n\t"
        "add      r5, r5, r3\n\t"
        "add      r7, r5, r10\n\t"
        "add      r8, r7, r10\n\t"
        "add      r9, r8, r10\n\t"
        "ldrd     r10, r4, [sp, #24]\n\t"
        "dls      lr, r4\n\t"
        "ldr      r0, [r11]\n\t"
        "mov      r2, r0\n\t"
        "mov      r4, r0\n\t"
        "mov      r6, r0\n\t"
        "add      r3, r11, #12\n"
        "3:\n\t"
        "vldrh.u16 q1, [r10], #16\n\t"
        "vldrb.u8 q2, [r3], #16\n\t"
        SUMS_OF_VECTOR("r5", "r0")
        SUMS_OF_VECTOR("r7", "r2")
        SUMS_OF_VECTOR("r8", "r4")
        SUMS_OF_VECTOR("r9", "r6")
        "le       lr, 3b\n\t" SUMS_TO_VECTOR
        "vqrdmulh.s32 q0, q0, q4\n\t"
        "vand     q7, q0, q5\n\t"
        "vshr.s32 q7, q7, #31\n\t"
        "vadd.i32 q0, q0, q7\n\t"
        "vrshl.s32 q0, q0, q5\n\t"
        "vqadd.s32 q0, q0, q3\n\t"
        "ldr      r7, [r1, #-4]\n\t" NARROWED
        "vstrbt.32 q0, [r7, q6]\n\t"
        "subs     r12, #1\n\t"
        "bne      2b\n\t"
        "mov      r11, r3\n\t" /* behind the weights */
        "mov      r0, #1\n\t"
        "vadd.i32 q6, q6, r0\n\t"
        "ldrd     r0, r2, [sp, #12]\n\t"
        "add      r2, r2, r0\n\t"
        "str      r2, [sp, #16]\n\t" NEXT_CHANNEL("1b")
        "add      sp, #16\n\t" LEAVE);
}

#undef ENTER
#undef LEAVE
#undef NEXT_CHANNEL
#undef SUMS_TO_VECTOR
#undef NARROWED
#undef AWAY_FROM_ZERO
#undef SETUP_1
#undef CHANNEL_1
#undef SUMS_1
#undef ADVANCE_1
#undef SETUP_2
#undef CHANNEL_2
#undef WINDOW_2
#undef TO_NEXT
#undef SUMS_2
#undef ADVANCE_2
#undef DEFINE_WINDOWS
#undef OF_1
#undef OF_2
#undef DEFINE_OF
#undef SUMS_OF_VECTOR

/* The tiles of the first band: a row's last one begins so that it ends with the row. */
static inline void tidepool_mve_list_rows(const tidepool_mve_results *r,
                                          tidepool_mve_tile_of_row *tiles)
{
    const tidepool_window *w = &r->params->window;
    const int32_t row = w->output_width * w->output_channels;
    const int32_t last =
        (w->output_width > TIDEPOOL_MVE_TILE) ? w->output_width - TIDEPOOL_MVE_TILE : 0;
    const int32_t next_row = tidepool_mve_planes_of_row(r->params) * (r->plane_bytes / 2);
    for (int32_t y = 0; y < r->params->band; ++y) {
        for (int32_t x = 0; x < w->output_width; x += TIDEPOOL_MVE_TILE) {
            const int32_t first = (x < last) ? x : last;
            tiles->window = r->planes + y * next_row + first * w->stride_width * TIDEPOOL_MVE_LANES;
            tiles->output = r->output + y * row + first * w->output_channels;
            ++tiles;
        }
    }
}

/* Offsets of the halves of a window, from its first one in the first lane. */
static inline void tidepool_mve_list_halves(const tidepool_mve_results *r, uint16_t *offsets)
{
    const tidepool_window *w = &r->params->window;
    const int32_t across = tidepool_mve_halves_of_row(w);
    const int32_t pairs = (w->filter_height + 1) / 2;
    const int32_t column = tidepool_mve_half_step(w) * TIDEPOOL_MVE_LANES * 2;
    const int32_t pair = tidepool_mve_planes_of_pair(r->params) * r->plane_bytes;
    uint16_t *offset = offsets;
    for (int32_t y = 0; y < pairs; ++y) {
        for (int32_t x = 0; x < across; ++x) {
            *offset++ = (uint16_t)(y * pair + x * column);
        }
    }
    while (offset != offsets + r->params->vectors * TIDEPOOL_MVE_LANES) {
        *offset++ = 0; /* its weights are 0 */
    }
}

/* The results; `tiles` as those of the first band, whose output was `first`. */
static inline void tidepool_mve_run_windows(const tidepool_mve_results *r,
                                            const tidepool_mve_tile_of_row *tiles,
                                            const uint16_t *offsets, const int8_t *first)
{
    const tidepool_depthwise_conv_2d_mve_params *p = r->params;
    const tidepool_window *w = &p->window;
    const uint32_t channels = (uint32_t)w->output_channels;
    const int32_t tiles_of_row = (w->output_width + TIDEPOOL_MVE_TILE - 1) / TIDEPOOL_MVE_TILE;
    uint32_t places[TIDEPOOL_MVE_TILE];
    uint16_t of_lane[TIDEPOOL_MVE_VECTORS * TIDEPOOL_MVE_LANES];
    places[0] = (uint32_t)(r->output - first);
    for (int32_t i = 1; i < TIDEPOOL_MVE_TILE; ++i) {
        places[i] = places[i - 1] + channels;
    }
    if (r->lane > 0) {
        for (int32_t i = 0; i < p->vectors * TIDEPOOL_MVE_LANES; ++i) {
            of_lane[i] = (uint16_t)(offsets[i] + 2 * r->lane);
        }
        offsets = of_lane;
    }
    const uint32_t stored =
        (w->output_width < TIDEPOOL_MVE_TILE) ? (UINT32_C(1) << (4 * w->output_width)) - 1 : 0xFFFFu;
    const tidepool_mve_window_job job = {r->records,
                                         r->channels,
                                         tiles,
                                         r->rows * tiles_of_row,
                                         2 * r->advance,
                                         2 * TIDEPOOL_MVE_LANES * w->stride_width,
                                         p->output_zero_point,
                                         offsets,
                                         places,
                                         stored,
                                         p->vectors};
    if (p->vectors > 2) {
        tidepool_mve_windows_n(&job);
    } else if (p->vectors == 2) {
        if (p->ties) {
            tidepool_mve_windows_2_ties(&job);
        } else {
            tidepool_mve_windows_2(&job);
        }
    } else if (p->ties) {
        tidepool_mve_windows_1_ties(&job);
    } else {
        tidepool_mve_windows_1(&job);
    }
}

#else

/* One result: `window` is the first half of its channel. */
static inline int8_t tidepool_mve_result_of_window(const tidepool_mve_results *r,
                                                   const uint16_t *window, const int32_t *record)
{
    const tidepool_depthwise_conv_2d_mve_params *p = r->params;
    const tidepool_window *w = &p->window;
    const int32_t across = tidepool_mve_halves_of_row(w);
    const int32_t column = tidepool_mve_half_step(w) * TIDEPOOL_MVE_LANES;
    const int32_t pair = tidepool_mve_planes_of_pair(p) * (r->plane_bytes / 2);
    const int8_t *weights = (const int8_t *)(record + 3);
    uint32_t sum = (uint32_t)record[0];
    for (int32_t y = 0; y < (w->filter_height + 1) / 2; ++y) {
        for (int32_t x = 0; x < across; ++x) {
            const uint32_t half = window[y * pair + x * column];
            sum += (uint32_t)((int8_t)(uint8_t)(half & 0xFFu) * weights[0]);
            sum += (uint32_t)((int8_t)(uint8_t)(half >> 8) * weights[1]);
            weights += 2;
        }
    }
    return tidepool_mve_result(sum, record[1], record[2], p->ties, p->output_zero_point, INT8_MIN,
                               INT8_MAX);
}

/* The results. */
static inline void tidepool_mve_run_windows(const tidepool_mve_results *r)
{
    const tidepool_depthwise_conv_2d_mve_params *p = r->params;
    const tidepool_window *w = &p->window;
    const int32_t next_row = tidepool_mve_planes_of_row(p) * (r->plane_bytes / 2);
    for (int32_t c = 0; c < r->channels; ++c) {
        const int32_t *const record = r->records + c * (3 + 4 * p->vectors);
        const uint16_t *const first = r->planes + r->lane + c * r->advance;
        for (int32_t y = 0; y < r->rows; ++y) {
            int8_t *const output = r->output + y * w->output_width * w->output_channels + c;
            for (int32_t x = 0; x < w->output_width; ++x) {
                output[x * w->output_channels] = tidepool_mve_result_of_window(
                    r, first + y * next_row + x * w->stride_width * TIDEPOOL_MVE_LANES, record);
            }
        }
    }
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_MVE_WINDOWS_H */
