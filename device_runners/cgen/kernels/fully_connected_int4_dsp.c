/* FULLY_CONNECTED of a row or two, int8 with weights of four bits, for cores with the DSP extension.
 *
 * As fully_connected_dsp.c, but a word holds two taps of four channels: each of its halves has a nibble
 * of each. The sums of products with the whole word, with its lower three nibbles, two and one are
 * told apart when a part is done: 32 multiply-accumulates in 30 instructions.
 *
 * The uppermost nibble is signed, the others are weights + 8; what that adds, 8 times the sum of the
 * inputs, is taken off ahead. The uppermost channel's sum over a part fits 20 bits. */
#include "tidepool_dsp_parts.h"

_Static_assert(PART * 128 * 8 < 1 << 19, "the sum over a part must fit");

#if TIDEPOOL_HAS_DSP

/* r10, r11, r12, lr: the sums of one, two, three and four nibbles. */
#define TWO_TAPS(x, weights)                                     \
    "smlad    lr, " x ", " weights ", lr\n\t"                    \
    "bic      " weights ", " weights ", #0xF000F000\n\t"         \
    "smlad    r12, " x ", " weights ", r12\n\t"                  \
    "bic      " weights ", " weights ", #0x0F000F00\n\t"         \
    "smlad    r11, " x ", " weights ", r11\n\t"                  \
    "bic      " weights ", " weights ", #0x00F000F0\n\t"         \
    "smlad    r10, " x ", " weights ", r10\n\t"

/* 30 instructions of 4 bytes. */
#define EIGHT_TAPS                                               \
    "ldmia.w  r1!, {r2, r3, r4, r5}\n\t"                         \
    "ldmia.w  r0!, {r6, r7, r8, r9}\n\t"                         \
    TWO_TAPS("r2", "r6") TWO_TAPS("r3", "r7") TWO_TAPS("r4", "r8") TWO_TAPS("r5", "r9")

/* `starts` is what the four sums of a part start from. On the stack: 0 inputs, 4 their end, 8 sums, 12
 * their end, 16 output, 20 records, 24 partial, 28 and 32 steps, 36 entry into the first loop, 40
 * starts. */
static __attribute__((naked, noinline)) const int32_t *run_groups(
    const int32_t *stream __attribute__((unused)), const part *p __attribute__((unused)),
    const uint32_t *starts __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push     {r4-r11, lr}\n\t"
        "sub      sp, #44\n\t"
        "str      r2, [sp, #40]\n\t"
        "ldmia    r1, {r2-r10}\n\t"
        "stmia    sp, {r2-r10}\n\t"
        /* The first loop begins where the rest of (units / 4) is left; a unit is 16 bytes. */
        "sub      r3, r2, r3\n\t"
        "ubfx     r3, r3, #4, #2\n\t"
        "mov      r4, #120\n\t"
        "adr.w    r6, 2f\n\t"
        "orr      r6, r6, #1\n\t"
        "mla      r6, r3, r4, r6\n\t"
        "str      r6, [sp, #36]\n"

        "1:\n\t" /* the next four channels */
        "ldr      r1, [sp]\n\t"
        "ldrd     r4, r2, [sp, #36]\n\t"
        "ldmia    r2, {r10, r11, r12, lr}\n\t"
        "bx       r4\n\t"
        ".balign 4\n"
        "2:\n\t" EIGHT_TAPS EIGHT_TAPS EIGHT_TAPS EIGHT_TAPS
        "ldr      r2, [sp, #4]\n\t"
        "cmp      r1, r2\n\t"
        "bne.w    2b\n\t"
        /* Each sum without those below it goes to its channel's. */
        "ldr      r2, [sp, #8]\n\t"
        "sub      lr, lr, r12\n\t"
        "sub      r12, r12, r11\n\t"
        "sub      r11, r11, r10\n\t"
        "ldmia    r2!, {r3, r4, r5, r6}\n\t"
        "str      r2, [sp, #8]\n\t"
        "add      r10, r3, r10\n\t"
        "add      r11, r4, r11, asr #4\n\t"
        "add      r12, r5, r12, asr #8\n\t"
        "add      lr, r6, lr, asr #12\n\t"
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
        FINISH_ROUNDED("r10", "r11", "", "6", "7")
        FINISH_ROUNDED("r12", "lr", "", "8", "9"));
}

#else

static void store_result(uint32_t sum, const int32_t *record, uint32_t is_rounded, int8_t *output)
{
    const uint32_t position = ((uint32_t)record[2] & 0x3FFFFFFFu) >> 8;
    output[position] = (is_rounded != 0) ? tidepool_rounded_form((int32_t)sum, record)
                                         : tidepool_floor_form(sum, record);
}

static const int32_t *run_groups(const int32_t *stream, const part *p, const uint32_t *starts)
{
    uint32_t *partial = p->partial;
    const int32_t *records = p->records;
    int8_t *output = p->output;
    for (const uint32_t *sums = p->sums; sums != p->sums_end; sums += 4) {
        uint32_t nested[4] = {starts[0], starts[1], starts[2], starts[3]};
        for (const uint32_t *x = p->inputs; x != p->inputs_end; ++x) {
            const uint32_t weights = (uint32_t)*stream++;
            nested[0] = tidepool_smlad(*x, weights & 0x000F000Fu, nested[0]);
            nested[1] = tidepool_smlad(*x, weights & 0x00FF00FFu, nested[1]);
            nested[2] = tidepool_smlad(*x, weights & 0x0FFF0FFFu, nested[2]);
            nested[3] = tidepool_smlad(*x, weights, nested[3]);
        }
        uint32_t results[4] = {sums[0] + nested[0], 0, 0, 0};
        for (int32_t c = 1; c < 4; ++c) {
            const int32_t scaled = (int32_t)(nested[c] - nested[c - 1]);
            results[c] = sums[c] + (uint32_t)tidepool_asr(scaled, 4 * c);
        }
        if (partial != NULL) {
            memcpy(partial, results, sizeof results);
            partial += 4;
        } else {
            for (int32_t c = 0; c < 4; ++c) {
                const int32_t *const pair = records + c / 2 * (RECORDS / 2);
                store_result(results[c], pair + c % 2 * 3, (uint32_t)pair[2] >> 30 & 1u, output);
            }
            output += p->output_step;
            records += RECORDS + p->record_step / 4;
        }
    }
    return stream;
}

#endif

static const int32_t *run_part(const int32_t *stream, const part *p)
{
    uint32_t off = 0; /* -8 times the sum of the inputs */
    for (const uint32_t *x = p->inputs; x != p->inputs_end; x += 4) {
        off = tidepool_smlad(x[0], 0xFFF8FFF8u, off);
        off = tidepool_smlad(x[1], 0xFFF8FFF8u, off);
        off = tidepool_smlad(x[2], 0xFFF8FFF8u, off);
        off = tidepool_smlad(x[3], 0xFFF8FFF8u, off);
    }
    const uint32_t starts[4] = {off, 0x11u * off, 0x111u * off, 0x111u * off};
    return run_groups(stream, p, starts);
}

TIDEPOOL_KERNEL
void tidepool_fully_connected_int4_dsp(const tidepool_fully_connected_dsp_params *params,
                                       const int8_t *input, int8_t *output)
{
    run_rows(params, run_part, input, output);
}
