/* ADD of two tensors of one shape, int8: a multiplication for each operand, one sum, one shift. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

#if TIDEPOOL_HAS_MVE

/* Four elements in nine instructions: VMLAS is operand 2 * factor 2 + addend, VSHL shifts to the right
 * for a negative count. */
static __attribute__((naked, noinline)) void add_all(
    const tidepool_add_affine_params *p __attribute__((unused)),
    const int8_t *input_1 __attribute__((unused)), const int8_t *input_2 __attribute__((unused)),
    int8_t *output __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n\t"
                     "push      {r4-r10, lr}\n\t"
                     "vpush     {d8-d9}\n\t"
                     "ldmia     r0, {r4-r10}\n\t"
                     "rsb       r8, r8, #0\n\t"
                     "vdup.32   q2, r6\n\t"
                     "vdup.32   q3, r9\n\t"
                     "vdup.32   q4, r10\n\t"
                     "dlstp.32  lr, r4\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [r2], #4\n\t"
                     "vldrb.s32 q1, [r1], #4\n\t"
                     "vmlas.s32 q0, q2, r7\n\t"
                     "vmla.s32  q0, q1, r5\n\t"
                     "vshl.s32  q0, r8\n\t"
                     "vmax.s32  q0, q0, q3\n\t"
                     "vmin.s32  q0, q0, q4\n\t"
                     "vstrb.32  q0, [r3], #4\n\t"
                     "letp      lr, 1b\n\t"
                     "vpop      {d8-d9}\n\t"
                     "pop       {r4-r10, pc}\n");
}

#else

static inline int8_t add(const tidepool_add_affine_params *p, int32_t a, int32_t b)
{
    return tidepool_saturate(a * p->factor_1 + p->addend + b * p->factor_2, p->shift);
}

static void add_all(const tidepool_add_affine_params *params, const int8_t *input_1,
                    const int8_t *input_2, int8_t *output)
{
    const tidepool_add_affine_params p = *params;
    int32_t i = 0;
    for (; i + 4 <= p.count; i += 4) {
        output[i] = add(&p, input_1[i], input_2[i]);
        output[i + 1] = add(&p, input_1[i + 1], input_2[i + 1]);
        output[i + 2] = add(&p, input_1[i + 2], input_2[i + 2]);
        output[i + 3] = add(&p, input_1[i + 3], input_2[i + 3]);
    }
    for (; i < p.count; ++i) {
        output[i] = add(&p, input_1[i], input_2[i]);
    }
    tidepool_clamp_all(output, p.count, p.output_min, p.output_max);
}

#endif

TIDEPOOL_KERNEL
void tidepool_add_affine(const tidepool_add_affine_params *params, const int8_t *input_1,
                         const int8_t *input_2, int8_t *output)
{
    add_all(params, input_1, input_2, output);
}
