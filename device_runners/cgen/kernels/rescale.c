/* RELU, RELU6 and QUANTIZE, int8 to int8: a change of scale and a clamp. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

#if TIDEPOOL_HAS_MVE

/* Four elements in six instructions: VMLAS is input * factor + addend, VSHL shifts to the right for a
 * negative count. */
static __attribute__((naked, noinline)) void rescale_all(
    const tidepool_rescale_params *p __attribute__((unused)),
    const int8_t *input __attribute__((unused)), int8_t *output __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n\t"
                     "push      {r4-r9, lr}\n\t"
                     "ldmia     r0, {r4-r9}\n\t"
                     "rsb       r7, r7, #0\n\t"
                     "vdup.32   q1, r5\n\t"
                     "vdup.32   q2, r8\n\t"
                     "vdup.32   q3, r9\n\t"
                     "dlstp.32  lr, r4\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [r1], #4\n\t"
                     "vmlas.s32 q0, q1, r6\n\t"
                     "vshl.s32  q0, r7\n\t"
                     "vmax.s32  q0, q0, q2\n\t"
                     "vmin.s32  q0, q0, q3\n\t"
                     "vstrb.32  q0, [r2], #4\n\t"
                     "letp      lr, 1b\n\t"
                     "pop       {r4-r9, pc}\n");
}

#else

static inline int8_t rescale(const tidepool_rescale_params *p, int32_t x)
{
    return tidepool_saturate(x * p->factor + p->addend, p->shift);
}

static void rescale_all(const tidepool_rescale_params *params, const int8_t *input,
                        int8_t *output)
{
    const tidepool_rescale_params p = *params;
    int32_t i = 0;
    for (; i + 4 <= p.count; i += 4) {
        output[i] = rescale(&p, input[i]);
        output[i + 1] = rescale(&p, input[i + 1]);
        output[i + 2] = rescale(&p, input[i + 2]);
        output[i + 3] = rescale(&p, input[i + 3]);
    }
    for (; i < p.count; ++i) {
        output[i] = rescale(&p, input[i]);
    }
    tidepool_clamp_all(output, p.count, p.output_min, p.output_max);
}

#endif

TIDEPOOL_KERNEL
void tidepool_rescale(const tidepool_rescale_params *params, const int8_t *input, int8_t *output)
{
    rescale_all(params, input, output);
}
