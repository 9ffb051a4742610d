/* Dense layers of a row or two by four output channels: what the kernels for weights of 8 and of 4 bits
 * have in common. */
#ifndef TIDEPOOL_DSP_PARTS_H
#define TIDEPOOL_DSP_PARTS_H

#include "tidepool_dsp.h"

#define PART 128        /* inputs that are widened at a time */
#define GROUPS 16       /* of four channels, whose sums are kept at a time */
#define RECORDS 12      /* words, of two pairs */

/* One part of the inputs for some groups of channels. */
typedef struct {
    const uint32_t *inputs;
    const uint32_t *inputs_end;
    const uint32_t *sums; /* four, of the first pair and of the second one; for each group */
    const uint32_t *sums_end;
    int8_t *output;
    const int32_t *records;
    uint32_t *partial; /* where the sums go; NULL: they are complete, finish them */
    int32_t output_step;
    int32_t record_step; /* bytes, behind the records that were read */
} part;

/* Computes a part; returns the end of what it read of the stream. */
typedef const int32_t *part_function(const int32_t *stream, const part *p);

#if TIDEPOOL_HAS_DSP

#define ROUNDED(x, multiplier, addend)                               \
    "add    r7, " addend ", " x ", asr #31\n\t"                      \
    "smmlar " x ", " x ", " multiplier ", " x "\n\t"                 \
    "add    " x ", " x ", r7\n\t"

/* The results of a pair from its sums; `unscaled` makes the first one of them A. */
#define FINISH(r, b, rounded, back)            \
    "ldmia    r9!, {r1-r6}\n\t"                \
    "cmp      r3, #0\n\t"                      \
    "blt      " rounded "f\n\t"                \
    "smmla    " r ", " r ", r1, r2\n\t"        \
    "smmla    " b ", " b ", r4, r5\n"          \
    back ":\n\t"                               \
    "asr      " r ", " r ", r3\n\t"            \
    "asr      " b ", " b ", r6\n\t"            \
    "ssat     " r ", #8, " r "\n\t"            \
    "ssat     " b ", #8, " b "\n\t"            \
    "lsrs     r3, r3, #8\n\t"                  \
    "lsrs     r6, r6, #8\n\t"                  \
    "strb     " r ", [r8, r3]\n\t"             \
    "strb     " b ", [r8, r6]\n\t"

#define FINISH_ROUNDED(r, b, unscaled, rounded, back) \
    rounded ":\n\t"                            \
    "bic      r3, r3, #0xC0000000\n\t"         \
    unscaled                                   \
    ROUNDED(r, "r1", "r2")                     \
    ROUNDED(b, "r4", "r5")                     \
    "b        " back "b\n\t"

#endif

/* Widens up to PART inputs, and zeros up to the next unit; returns the end. */
static inline uint32_t *widen_part(uint32_t *wide, const int8_t *inputs, int32_t count)
{
    int32_t left = count;
    for (; left >= 4; left -= 4) {
        const uint32_t x = tidepool_load_word(inputs);
        *wide++ = tidepool_sxtb16(x);
        *wide++ = tidepool_sxtb16_odd(x);
        inputs += 4;
    }
    if (left > 0) {
        int8_t rest[4] = {0, 0, 0, 0};
        for (int32_t i = 0; i < left; ++i) {
            rest[i] = inputs[i];
        }
        const uint32_t x = tidepool_load_word(rest);
        *wide++ = tidepool_sxtb16(x);
        *wide++ = tidepool_sxtb16_odd(x);
    }
    if ((count + 3) / 4 % 2 != 0) {
        *wide++ = 0;
        *wide++ = 0;
    }
    return wide;
}

/* A layer, part by part. */
static inline void run_rows(const tidepool_fully_connected_dsp_params *params,
                            part_function *run_part, const int8_t *input, int8_t *output)
{
    uint32_t wide[PART / 2];
    uint32_t sums[4 * GROUPS];
    const int32_t depth = params->input_depth;
    const int shared = params->shared_records != 0;
    part p = {wide,   wide, NULL, NULL, output, NULL, NULL, shared ? 4 : 0,
              shared ? -4 * RECORDS : 0};
    for (int32_t b = 0; b < params->batches; ++b) {
        const int32_t *stream = params->stream;
        p.records = params->records;
        p.output = output + b * params->output_depth;
        for (int32_t groups = params->groups; groups > 0; groups -= GROUPS) {
            const int32_t block = (groups < GROUPS) ? groups : GROUPS;
            p.sums = (const uint32_t *)(const void *)stream;
            p.sums_end = p.sums + 4 * block;
            stream += 4 * block;
            for (int32_t done = 0; done < depth; done += PART) {
                const int32_t left = depth - done;
                if (depth > PART || groups == params->groups) {
                    p.inputs_end = widen_part(wide, input + done, (left < PART) ? left : PART);
                }
                p.partial = (left > PART) ? sums : NULL;
                stream = run_part(stream, &p);
                if (left > PART) {
                    p.sums = sums;
                    p.sums_end = sums + 4 * block;
                }
            }
            p.records += shared ? 0 : RECORDS * block;
            p.output += shared ? 4 * block : 0;
        }
        input += depth;
    }
    tidepool_clamp_all(output, params->batches * params->output_depth, params->output_min,
                       params->output_max);
}

#endif /* TIDEPOOL_DSP_PARTS_H */
