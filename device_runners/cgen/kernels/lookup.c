/* LOGISTIC, TANH and the like, int8: one table of 256 results. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

#if TIDEPOOL_HAS_MVE

/* Sixteen elements in five instructions: a gathering load from the table. */
static __attribute__((naked, noinline)) void look_up(
    const tidepool_lookup_params *p __attribute__((unused)),
    const int8_t *input __attribute__((unused)), int8_t *output __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n\t"
                     "push      {r7, lr}\n\t"
                     "ldrd      r3, r0, [r0]\n\t"
                     "vmov.i8   q1, #0x80\n\t" /* -128 is the table's first place */
                     "dlstp.8   lr, r3\n"
                     "1:\n\t"
                     "vldrb.u8  q0, [r1], #16\n\t"
                     "veor      q0, q0, q1\n\t"
                     "vldrb.u8  q2, [r0, q0]\n\t"
                     "vstrb.8   q2, [r2], #16\n\t"
                     "letp      lr, 1b\n\t"
                     "pop       {r7, pc}\n");
}

#else

static void look_up(const tidepool_lookup_params *params, const int8_t *input, int8_t *output)
{
    /* The output might alias the parameters, for all that a compiler knows. */
    const int8_t *const table = params->table + 128;
    const int32_t count = params->count;
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        output[i] = table[input[i]];
        output[i + 1] = table[input[i + 1]];
        output[i + 2] = table[input[i + 2]];
        output[i + 3] = table[input[i + 3]];
    }
    for (; i < count; ++i) {
        output[i] = table[input[i]];
    }
}

#endif

TIDEPOOL_KERNEL
void tidepool_lookup(const tidepool_lookup_params *params, const int8_t *input, int8_t *output)
{
    look_up(params, input, output);
}
