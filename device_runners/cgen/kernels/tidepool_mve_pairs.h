/* Two pixels by four output channels, 128 products in 14 instructions. A file that includes this one
 * defines
 *   SIXTEEN_TAPS(x_0, x_1)  instructions that load a vector of each pixel, x_0 and x_1 being their
 *                addresses, and weights behind r5, and add up products: of the first pixel in r0, r2,
 *                r4 and r6, of the second one in r8, r10, r12 and lr (VMLADAVA takes even registers
 *                only, so that pointers are in odd ones); 56 bytes
 *   UNPACK_SUMS  instructions between the sums and their way to q0 and q1, one pixel each
 *   UNSCALED_SUMS  instructions behind it; then they are the four channels' sums
 * and without vector instructions
 *   tidepool_mve_sixteen_taps(sums, x, weights)  what adds 16 products for one pixel to four sums, and
 *                returns the address behind the weights
 *   tidepool_mve_unpack(sums)  what makes them the channels' sums */
#ifndef TIDEPOOL_MVE_PAIRS_H
#define TIDEPOOL_MVE_PAIRS_H

#include "tidepool_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_MVE_PIXELS 2
#define TIDEPOOL_MVE_CHANNELS 4

/* Pairs of pixels, and the groups of channels to compute for them. */
typedef struct {
    const int8_t *x_0; /* of the first pair */
    const int8_t *x_1;
    const int32_t *stream;
    int8_t *output;
    const int32_t *stream_end;
    int32_t zero_point;
    int32_t pairs;
    int32_t x_step;      /* from one pair to the next */
    int32_t output_step; /* the same, behind the last group */
    int32_t depth;
    int32_t ties;
    const uint16_t *places; /* of the outputs of a group: channel 0 of both pixels, channel 1, ... */
    int32_t low;
    int32_t high;
} tidepool_mve_pairs;

#if TIDEPOOL_HAS_MVE

#define BEFORE(distance) SIXTEEN_TAPS("[r1, #-" distance "]", "[r3, #-" distance "]")

#define NEXT SIXTEEN_TAPS("[r1], #16", "[r3], #16")

/* Where PRODUCTS go on: at 4, or at 6 if ties have to be corrected (r11 is not 0). */
#define CHOOSE_ROUNDING       \
    "adr.w    r0, 4f\n\t"     \
    "cmp      r11, #0\n\t"    \
    "it       ne\n\t"         \
    "adrne.w  r0, 6f\n\t"     \
    "orr      r0, r0, #1\n\t" \
    "str      r0, [sp, #20]\n\t"

/* The sums of a group as vectors, times their multipliers; at 6 minus 1 where one is negative and
 * will be shifted; at 4 shifted. */
#define PRODUCTS                         \
    UNPACK_SUMS                          \
    "vmov     q0[2], q0[0], r0, r4\n\t"  \
    "vmov     q0[3], q0[1], r2, r6\n\t"  \
    "vldrw.u32 q2, [r5], #16\n\t"        \
    "vmov     q1[2], q1[0], r8, r12\n\t" \
    "vmov     q1[3], q1[1], r10, lr\n\t" UNSCALED_SUMS \
    "vqrdmulh.s32 q0, q0, q2\n\t"        \
    "vldrw.u32 q3, [r5], #16\n\t"        \
    "vqrdmulh.s32 q1, q1, q2\n\t"        \
    "ldr      pc, [sp, #20]\n\t"         \
    ".balign  4\n6:\n\t"                 \
    "vand     q2, q0, q3\n\t"            \
    "vshr.s32 q2, q2, #31\n\t"           \
    "vadd.i32 q0, q0, q2\n\t"            \
    "vand     q2, q1, q3\n\t"            \
    "vshr.s32 q2, q2, #31\n\t"           \
    "vadd.i32 q1, q1, q2\n\t"            \
    ".balign  4\n4:\n\t"                 \
    "vrshl.s32 q0, q0, q3\n\t"           \
    "vrshl.s32 q1, q1, q3\n\t"

#define STORED(zero_point)                 \
    "vqmovnb.s32 q0, q0\n\t"               \
    "vqmovnt.s32 q0, q1\n\t"               \
    "vqadd.s16 q0, q0, " zero_point "\n\t" \
    "vmax.s16 q0, q0, q4\n\t"              \
    "vmin.s16 q0, q0, q5\n\t"              \
    "vstrb.16 q0, [r11, q6]\n\t"           \
    "add      r11, r11, #4\n\t"

/* Goes on behind it, or to `done` without a next pair. */
#define NEXT_PAIR(done)             \
    "ldrd     r2, r4, [sp]\n\t"     \
    "subs     r2, r2, #1\n\t"       \
    "beq      " done "\n\t"         \
    "str      r2, [sp]\n\t"         \
    "ldrd     r6, r5, [sp, #8]\n\t" \
    "add      r1, r1, r4\n\t"       \
    "add      r3, r3, r4\n\t"       \
    "add      r11, r11, r6\n\t"

/* On the stack: 0 pairs, x_step, 8 output_step, stream, 16 where the loop over taps is entered,
 * 20 how its sums are requantized, 24 stream_end, zero_point. */
static __attribute__((naked, noinline)) void
tidepool_mve_run_pairs(const tidepool_mve_pairs *job __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push     {r4-r11, lr}\n\t"
        "vpush    {d8-d13}\n\t"
        "sub      sp, #36\n\t"
        "ldmia    r0!, {r1-r12}\n\t"
        "ldrd     r0, lr, [r0]\n\t"
        "vdup.16  q4, r0\n\t"
        "vdup.16  q5, lr\n\t"
        "vldrh.u16 q6, [r12]\n\t"
        "strd     r7, r8, [sp]\n\t"
        "strd     r9, r3, [sp, #8]\n\t"
        "strd     r5, r6, [sp, #24]\n\t"
        "mov      r12, #56\n\t"
        "cmp      r10, #64\n\t"
        "bhi.w    3f\n\t"

        /* At most four vectors: x_0 and x_1 stay at their ends. */
        CHOOSE_ROUNDING
        "rsb      r8, r10, #64\n\t"
        "lsr      r8, r8, #4\n\t"
        "adr.w    r0, 2f\n\t"
        "orr      r0, r0, #1\n\t"
        "mla      r8, r8, r12, r0\n\t"
        "str      r8, [sp, #16]\n\t"
        "mov      r11, r4\n\t"
        "mov      r9, r6\n\t"
        "mov      r7, r5\n\t"
        "mov      r5, r3\n\t"
        "add      r1, r1, r10\n\t"
        "add      r3, r2, r10\n"
        "1:\n\t" /* the next four channels */
        "ldmia    r5, {r0, r2, r4, r6}\n\t"
        "ldmia    r5!, {r8, r10, r12, lr}\n\t"
        "ldr      pc, [sp, #16]\n\t"
        ".balign  4\n"
        "2:\n\t" BEFORE("64") BEFORE("48") BEFORE("32") BEFORE("16")
        PRODUCTS
        STORED("r9")
        "cmp      r5, r7\n\t"
        "bne.w    1b\n\t"
        NEXT_PAIR("9f")
        "b        1b\n"
        "9:\n\t"
        "add      sp, #36\n\t"
        "vpop     {d8-d13}\n\t"
        "pop      {r4-r11, pc}\n"

        /* More: r7 depth, r9 the end of x_0's window. The loop begins where the rest of
         * (vectors / 4) is left. */
        "3:\n\t"
        CHOOSE_ROUNDING
        "rsb      r8, r10, #0\n\t"
        "ubfx     r8, r8, #4, #2\n\t"
        "adr.w    r0, 2f\n\t"
        "orr      r0, r0, #1\n\t"
        "mla      r8, r8, r12, r0\n\t"
        "str      r8, [sp, #16]\n\t"
        "mov      r11, r4\n\t"
        "mov      r7, r10\n\t"
        "mov      r5, r3\n\t"
        "mov      r3, r2\n\t"
        "add      r9, r1, r7\n"
        "1:\n\t"
        "ldmia    r5, {r0, r2, r4, r6}\n\t"
        "ldmia    r5!, {r8, r10, r12, lr}\n\t"
        "ldr      pc, [sp, #16]\n\t"
        ".balign  4\n"
        "2:\n\t" NEXT NEXT NEXT NEXT
        "cmp      r1, r9\n\t"
        "bne.w    2b\n\t"
        PRODUCTS
        "ldrd     r0, r2, [sp, #24]\n\t"
        "sub      r1, r1, r7\n\t"
        "sub      r3, r3, r7\n\t"
        STORED("r2")
        "cmp      r5, r0\n\t"
        "bne.w    1b\n\t"
        NEXT_PAIR("9b")
        "add      r9, r1, r7\n\t"
        "b        1b\n");
}

#undef BEFORE
#undef NEXT
#undef CHOOSE_ROUNDING
#undef PRODUCTS
#undef STORED
#undef NEXT_PAIR

#else

/* One group of channels for one pair. */
static inline const int32_t *tidepool_mve_run_group(const tidepool_mve_pairs *job,
                                                    const int8_t *const *x, const int32_t *stream,
                                                    int8_t *output)
{
    const int32_t *record = NULL;
    for (int32_t i = 0; i < TIDEPOOL_MVE_PIXELS; ++i) {
        uint32_t sums[TIDEPOOL_MVE_CHANNELS];
        const int8_t *weights = (const int8_t *)(stream + TIDEPOOL_MVE_CHANNELS);
        memcpy(sums, stream, sizeof sums);
        for (int32_t tap = 0; tap < job->depth; tap += TIDEPOOL_MVE_BYTES) {
            weights = tidepool_mve_sixteen_taps(sums, x[i] + tap, weights);
        }
        tidepool_mve_unpack(sums);
        record = (const int32_t *)(const void *)weights;
        for (int32_t c = 0; c < TIDEPOOL_MVE_CHANNELS; ++c) {
            output[job->places[TIDEPOOL_MVE_PIXELS * c + i]] =
                tidepool_mve_result(sums[c], record[c], record[TIDEPOOL_MVE_CHANNELS + c], job->ties,
                                    job->zero_point, job->low, job->high);
        }
    }
    return record + 2 * TIDEPOOL_MVE_CHANNELS;
}

static inline void tidepool_mve_run_pairs(const tidepool_mve_pairs *job)
{
    const int8_t *x[TIDEPOOL_MVE_PIXELS] = {job->x_0, job->x_1};
    int8_t *output = job->output;
    for (int32_t pair = 0; pair < job->pairs; ++pair) {
        const int32_t *stream = job->stream;
        do {
            stream = tidepool_mve_run_group(job, x, stream, output);
            output += TIDEPOOL_MVE_CHANNELS;
        } while (stream != job->stream_end);
        if (pair + 1 < job->pairs) {
            x[0] += job->x_step;
            x[1] += job->x_step;
            output += job->output_step;
        }
    }
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_MVE_PAIRS_H */
