/* FULLY_CONNECTED of a row or two, int8, for cores with the DSP extension.
 *
 * A part of the row is widened to halves on the stack; then four output channels (two pairs) at a
 * time pass over it, 32 multiply-accumulates in 27 instructions. Rows of several parts keep their
 * sums in between. */
#include "tidepool_dsp_parts.h"

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
        "sub      r10, r10, r11\n\t"
        "sub      r12, r12, lr\n\t"
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
        FINISH_ROUNDED("r10", "r11", "asr      r10, r10, #8\n\t", "6", "7")
        FINISH_ROUNDED("r12", "lr", "asr      r12, r12, #8\n\t", "8", "9"));
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

TIDEPOOL_KERNEL
void tidepool_fully_connected_dsp(const tidepool_fully_connected_dsp_params *params,
                                  const int8_t *input, int8_t *output)
{
    run_rows(params, run_part, input, output);
}
