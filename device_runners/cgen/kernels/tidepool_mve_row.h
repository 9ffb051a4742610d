/* Dense layers of one row by eight output channels, 128 products in 17 instructions. A file that includes
 * this one defines
 *   WEIGHT_WORDS  of eight channels for 16 taps
 *   TWO_CHANNELS(sum_0, sum_1)  instructions of 16 bytes that load weights behind r5 and add up their
 *                products with q0
 *   UNPACK_SUMS  instructions that make the sums, of even channels in q0 and odd ones in q1, those of
 *                the channels
 * and without vector instructions functions that do the same
 *   two_channels(sums, x, weights)
 *   unpack_sums(sums)  for two channels */
#ifndef TIDEPOOL_MVE_ROW_H
#define TIDEPOOL_MVE_ROW_H

#include "tidepool_mve.h"

#define CHANNELS 8

/* The row, and the groups of channels to compute. */
typedef struct {
    const int8_t *x;
    int32_t bytes;       /* of whole vectors */
    const int8_t *rest;  /* the last vector, filled up with zeros; NULL: there is none */
    const int32_t *stream;
    const int32_t *stream_end;
    int32_t zero_point;
    int8_t *output;
    int32_t ties;
    int32_t low;
    int32_t high;
    const int32_t *records;
    int32_t record_bytes; /* from one to the next */
} row_job;

#if TIDEPOOL_HAS_MVE

#define EIGHT_CHANNELS        \
    TWO_CHANNELS("r0", "r2")  \
    TWO_CHANNELS("r4", "r6")  \
    TWO_CHANNELS("r8", "r10") \
    TWO_CHANNELS("r12", "lr")

/* 17 instructions of 4 bytes. VMLADAVA takes even registers only. */
#define SIXTEEN_TAPS "vldrb.u8 q0, [r1], #16\n\t" EIGHT_CHANNELS

/* On the stack: 0 end of the stream, 4 zero point, 8 where the loop over taps is entered, 12 how its
 * sums are requantized, 16 the next record and how far the one behind it lies. */
static __attribute__((naked, noinline)) void run_row(const row_job *job __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push     {r4-r11, lr}\n\t"
        "vpush    {d8-d11}\n\t"
        "sub      sp, #24\n\t"
        "ldmia    r0!, {r1, r2, r3, r5, r6, r8, r9, r10, r11, r12}\n\t"
        "ldrd     r0, lr, [r0]\n\t"
        "strd     r0, lr, [sp, #16]\n\t"
        "strd     r6, r8, [sp]\n\t"
        "mov      r7, r9\n\t"
        "vdup.16  q4, r11\n\t"
        "vdup.16  q5, r12\n\t"
        "adr.w    r4, 4f\n\t"
        "adr.w    r6, 6f\n\t"
        "cmp      r10, #0\n\t"
        "it       ne\n\t"
        "movne    r4, r6\n\t"
        "orr      r4, r4, #1\n\t"
        "str      r4, [sp, #12]\n\t"
        /* The loop begins where the rest of (vectors / 4) is left; without vectors at its end. */
        "rsb      r4, r2, #0\n\t"
        "ubfx     r4, r4, #4, #2\n\t"
        "adr.w    r6, 2f\n\t"
        "cmp      r2, #0\n\t"
        "it       eq\n\t"
        "addeq    r6, r6, #280\n\t"
        "orr      r6, r6, #1\n\t"
        "mov      r8, #68\n\t"
        "mla      r6, r4, r8, r6\n\t"
        "str      r6, [sp, #8]\n\t"
        "mov      r11, r2\n\t"
        "add      r9, r1, r11\n"

        "1:\n\t" /* the next eight channels */
        "ldmia    r5!, {r0, r2, r4, r6, r8, r10, r12, lr}\n\t"
        "ldr      pc, [sp, #8]\n\t"
        ".balign  4\n"
        "2:\n\t" SIXTEEN_TAPS SIXTEEN_TAPS SIXTEEN_TAPS SIXTEEN_TAPS
        "cmp.w    r1, r9\n\t"
        "bne.w    2b\n\t" /* ends 280 bytes behind the loop's begin */
        "cbz      r3, 3f\n\t"
        "vldrb.u8 q0, [r3]\n\t" EIGHT_CHANNELS
        "3:\n\t"
        "vmov     q0[2], q0[0], r0, r8\n\t"
        "vmov     q0[3], q0[1], r4, r12\n\t"
        "vmov     q1[2], q1[0], r2, r10\n\t"
        "vmov     q1[3], q1[1], r6, lr\n\t" UNPACK_SUMS
        "ldrd     r0, r2, [sp, #16]\n\t"
        "vldrw.u32 q2, [r0]\n\t"
        "vqrdmulh.s32 q0, q0, q2\n\t"
        "vldrw.u32 q3, [r0, #16]\n\t"
        "vqrdmulh.s32 q1, q1, q3\n\t"
        "vldrw.u32 q2, [r0, #32]\n\t"
        "vldrw.u32 q3, [r0, #48]\n\t"
        "add      r0, r0, r2\n\t"
        "str      r0, [sp, #16]\n\t"
        "ldr      pc, [sp, #12]\n\t"
        ".balign  4\n"
        "4:\n\t"
        "vrshl.s32 q0, q0, q2\n\t"
        "vrshl.s32 q1, q1, q3\n\t"
        "ldrd     r0, r2, [sp]\n\t"
        "vqmovnb.s32 q0, q0\n\t"
        "vqmovnt.s32 q0, q1\n\t"
        "vqadd.s16 q0, q0, r2\n\t"
        "sub      r1, r1, r11\n\t"
        "vmax.s16 q0, q0, q4\n\t"
        "cmp      r5, r0\n\t"
        "vmin.s16 q0, q0, q5\n\t"
        "vstrb.16 q0, [r7], #8\n\t"
        "bne.w    1b\n\t"
        "add      sp, #24\n\t"
        "vpop     {d8-d11}\n\t"
        "pop      {r4-r11, pc}\n\t"

        ".balign  4\n"
        "6:\n\t" /* minus 1 where it is negative and will be shifted */
        "vpush    {d8-d9}\n\t"
        "vand     q4, q0, q2\n\t"
        "vshr.s32 q4, q4, #31\n\t"
        "vadd.i32 q0, q0, q4\n\t"
        "vand     q4, q1, q3\n\t"
        "vshr.s32 q4, q4, #31\n\t"
        "vadd.i32 q1, q1, q4\n\t"
        "vpop     {d8-d9}\n\t"
        "b        4b\n\t");
}

#else

static void run_row(const row_job *job)
{
    static const int32_t order[CHANNELS] = {0, 4, 1, 5, 2, 6, 3, 7}; /* even channels, odd ones */
    const int32_t *stream = job->stream;
    const int32_t *record = job->records;
    int8_t *output = job->output;
    while (stream != job->stream_end) {
        uint32_t sums[CHANNELS];
        memcpy(sums, stream, sizeof sums);
        stream += CHANNELS;
        for (int32_t i = 0; i < job->bytes + ((job->rest != NULL) ? TIDEPOOL_MVE_BYTES : 0);
             i += TIDEPOOL_MVE_BYTES) {
            const int8_t *const x = (i < job->bytes) ? job->x + i : job->rest;
            for (int32_t c = 0; c < CHANNELS; c += 2) {
                two_channels(sums + c, x, (const int8_t *)stream);
                stream += WEIGHT_WORDS / (CHANNELS / 2);
            }
        }
        for (int32_t c = 0; c < CHANNELS; c += 2) {
            unpack_sums(sums + c);
        }
        for (int32_t c = 0; c < CHANNELS; ++c) {
            *output++ = tidepool_mve_result(sums[c], record[order[c]], record[CHANNELS + order[c]],
                                            job->ties, job->zero_point, job->low, job->high);
        }
        record += job->record_bytes / 4;
    }
}

#endif

/* A layer. */
static inline void run_dense(const tidepool_fully_connected_mve_params *params, const int8_t *input,
                             int8_t *output)
{
    const int32_t depth = params->input_depth;
    const int32_t over = depth % TIDEPOOL_MVE_BYTES;
    const int32_t vectors = (depth + TIDEPOOL_MVE_BYTES - 1) / TIDEPOOL_MVE_BYTES;
    const int32_t group_words = CHANNELS + vectors * WEIGHT_WORDS;
    const int32_t groups = params->output_depth / CHANNELS;
    const int32_t last_channels = params->output_depth % CHANNELS;
    const int32_t *const end = params->stream + groups * group_words;
    int8_t rest[TIDEPOOL_MVE_BYTES] = {0};
    row_job job = {input, depth - over, (over > 0) ? rest : NULL, params->stream, end,
                   params->output_zero_point, output, params->ties, params->output_min,
                   params->output_max, params->records, 4 * params->record_words};
    for (int32_t i = 0; i < over; ++i) {
        rest[i] = input[depth - over + i];
    }
    if (groups > 0) {
        run_row(&job);
    }
    if (last_channels > 0) {
        int8_t results[CHANNELS];
        job.stream = end;
        job.stream_end = end + group_words;
        job.output = results;
        job.records += groups * params->record_words;
        run_row(&job);
        for (int32_t i = 0; i < last_channels; ++i) {
            output[groups * CHANNELS + i] = results[i];
        }
    }
}

#endif /* TIDEPOOL_MVE_ROW_H */
