/* FULLY_CONNECTED of a row or two, int8, for cores with the DSP extension.
 *
 * A part of the row is widened to halves on the stack; then four output channels (two pairs) at a
 * time pass over it, 32 multiply-accumulates in 27 instructions. Rows of several parts keep their
 * sums in between. */
#include "tidepool_dsp.h"

#define PART 128        /* inputs that are widened at a time */
#define GROUPS 16       /* of four channels, whose sums are kept at a time */
#define RECORDS 12      /* words, of two pairs */

/* One part of the inputs for some groups of channels. */
typedef struct {
    const uint32_t *inputs;
    const uint32_t *inputs_end;
    const uint32_t *sums; /* R and B of the first pair, of the second pair; for each group */
    const uint32_t *sums_end;
    int8_t *output;
    const int32_t *records;
    uint32_t *partial; /* where the sums go; NULL: they are complete, finish them */
    int32_t output_step;
    int32_t record_step; /* bytes, behind the records that were read */
} part;

#if TIDEPOOL_HAS_DSP

/* Two words of one pair, then of the other. r10, r11: R, B of the first; r12, lr of the second. */
#define FOUR_TAPS(x0, x1)                      \
    "ldmia.w  r0!, {r6, r7, r8, r9}\n\t"       \
    "smlad    r10, " x0 ", r6, r10\n\t"        \
    "smlad    r12, " x0 ", r8, r12\n\t"        \
    "sxtb16   r6, r6\n\t"                      \
    "sxtb16   r8, r8\n\t"                      \
    "smlad    r11, " x0 ", r6, r11\n\t"        \
    "smlad    lr, " x0 ", r8, lr\n\t"          \
    "smlad    r10, " x1 ", r7, r10\n\t"        \
    "smlad    r12, " x1 ", r9, r12\n\t"        \
    "sxtb16   r7, r7\n\t"                      \
    "sxtb16   r9, r9\n\t"                      \
    "smlad    r11, " x1 ", r7, r11\n\t"        \
    "smlad    lr, " x1 ", r9, lr\n\t"

/* 27 instructions of 4 bytes. */
#define EIGHT_TAPS "ldmia.w  r1!, {r2, r3, r4, r5}\n\t" FOUR_TAPS("r2", "r3") FOUR_TAPS("r4", "r5")

#define ROUNDED(x, multiplier, addend)                               \
    "add    r7, " addend ", " x ", asr #31\n\t"                      \
    "smmlar " x ", " x ", " multiplier ", " x "\n\t"                 \
    "add    " x ", " x ", r7\n\t"

/* The results of a pair from R and B. */
#define FINISH(r, b, rounded, back)            \
    "ldmia    r9!, {r1-r6}\n\t"                \
    "sub      " r ", " r ", " b "\n\t"         \
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

#define FINISH_ROUNDED(r, b, rounded, back)    \
    rounded ":\n\t"                            \
    "bic      r3, r3, #0xC0000000\n\t"         \
    "asr      " r ", " r ", #8\n\t"            \
    ROUNDED(r, "r1", "r2")                     \
    ROUNDED(b, "r4", "r5")                     \
    "b        " back "b\n\t"

/* Returns the end of what it read of the stream. On the stack: 0 inputs, 4 their end, 8 sums, 12
 * their end, 16 output, 20 records, 24 partial, 28 and 32 steps, 36 entry into the first loop. */
static __attribute__((naked, noinline)) const int32_t *run_part(
    const int32_t *stream __attribute__((unused)), const part *p __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push     {r4-r11, lr}\n\t"
        "sub      sp, #44\n\t"
        "ldmia    r1, {r2-r10}\n\t"
        "stmia    sp, {r2-r10}\n\t"
        /* The first loop begins where the rest of (units / 4) is left; a unit is 16 bytes. */
        "sub      r3, r2, r3\n\t"
        "ubfx     r3, r3, #4, #2\n\t"
        "mov      r4, #108\n\t"
        "adr.w    r6, 2f\n\t"
        "orr      r6, r6, #1\n\t"
        "mla      r6, r3, r4, r6\n\t"
        "str      r6, [sp, #36]\n"

        "1:\n\t" /* the next four channels */
        "ldrd     r1, r3, [sp]\n\t"
        "ldr      r2, [sp, #8]\n\t"
        "ldr      r4, [sp, #36]\n\t"
        "ldmia    r2!, {r10, r11, r12, lr}\n\t"
        "str      r2, [sp, #8]\n\t"
        "bx       r4\n\t"
        ".balign 4\n"
        "2:\n\t" EIGHT_TAPS EIGHT_TAPS EIGHT_TAPS EIGHT_TAPS
        "ldr      r2, [sp, #4]\n\t"
        "cmp      r1, r2\n\t"
        "bne.w    2b\n\t"
        "ldr      r2, [sp, #24]\n\t"
        "cmp      r2, #0\n\t"
        "bne      5f\n\t"
        "ldrd     r8, r9, [sp, #16]\n\t"
        FINISH("r10", "r11", "6", "7")
        FINISH("r12", "lr", "8", "9")
        "ldrd     r2, r3, [sp, #28]\n\t"
        "add      r8, r8, r2\n\t"
        "add      r9, r9, r3\n\t"
        "strd     r8, r9, [sp, #16]\n"

        "3:\n\t"
        "ldrd     r2, r3, [sp, #8]\n\t"
        "cmp      r2, r3\n\t"
        "bne.w    1b\n\t"
        "add      sp, #44\n\t"
        "pop      {r4-r11, pc}\n"

        "5:\n\t"
        "stmia    r2!, {r10, r11, r12, lr}\n\t"
        "str      r2, [sp, #24]\n\t"
        "b        3b\n"
        FINISH_ROUNDED("r10", "r11", "6", "7")
        FINISH_ROUNDED("r12", "lr", "8", "9"));
}

#else

static const int32_t *run_part(const int32_t *stream, const part *p)
{
    uint32_t *partial = p->partial;
    const int32_t *records = p->records;
    int8_t *output = p->output;
    for (const uint32_t *start = p->sums; start != p->sums_end; start += 4) {
        uint32_t sums[4] = {start[0], start[1], start[2], start[3]};
        for (const uint32_t *x = p->inputs; x != p->inputs_end; x += 2) {
            for (int32_t pair = 0; pair < 2; ++pair) {
                for (int32_t i = 0; i < 2; ++i) {
                    const uint32_t weights = (uint32_t)*stream++;
                    uint32_t *r = sums + 2 * pair;
                    r[0] = tidepool_smlad(x[i], weights, r[0]);
                    r[1] = tidepool_smlad(x[i], tidepool_sxtb16(weights), r[1]);
                }
            }
        }
        if (partial != NULL) {
            memcpy(partial, sums, sizeof sums);
            partial += 4;
        } else {
            tidepool_store_pair(sums[0], sums[1], records, output);
            tidepool_store_pair(sums[2], sums[3], records + RECORDS / 2, output);
            output += p->output_step;
            records += RECORDS + p->record_step / 4;
        }
    }
    return stream;
}

#endif

/* Widens up to PART inputs, and zeros up to the next unit; returns the end. */
static uint32_t *widen(uint32_t *wide, const int8_t *inputs, int32_t count)
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

TIDEPOOL_KERNEL
void tidepool_fully_connected_dsp(const tidepool_fully_connected_dsp_params *params,
                                  const int8_t *input, int8_t *output)
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
                    p.inputs_end = widen(wide, input + done, (left < PART) ? left : PART);
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
