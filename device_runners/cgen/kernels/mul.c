/* MUL, int8, with broadcasting. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

#define LARGEST_SHIFT 22 /* to the right, of factors that mul_small takes */

/* A run of the innermost dimension: `step_1` and `step_2` from one element of an operand to the next,
 * 0 where it is repeated. */
typedef struct {
    const int8_t *a;
    const int8_t *b;
    int8_t *output;
    int32_t step_1;
    int32_t step_2;
    int32_t count;
} run;

/* Any factor. */
static void mul_general(const tidepool_mul_params *p, const run *r)
{
    for (int32_t i = 0; i < r->count; ++i) {
        const int32_t product =
            (r->a[i * r->step_1] - p->zero_point_1) * (r->b[i * r->step_2] - p->zero_point_2);
        const int32_t scaled = tidepool_requantize(product, p->multiplier, p->shift);
        r->output[i] = (int8_t)tidepool_clamp(scaled + p->output_zero_point, p->output_min,
                                              p->output_max);
    }
}

#if TIDEPOOL_HAS_MVE

typedef struct {
    const int8_t *a;
    const int8_t *b;
    int8_t *output;
    int32_t step_1; /* of four elements */
    int32_t step_2;
    int32_t zero_point_1;
    int32_t zero_point_2;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t count;
    uint32_t offsets_1[4]; /* of four elements */
    uint32_t offsets_2[4];
} job;

/* Four elements in 16 instructions. VQRDMULH and VRSHL are the reference's roundings but for halves
 * below zero, from which 1 is subtracted before. */
static __attribute__((naked, noinline)) void run_job(const job *j __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n\t"
                     "push      {r4-r11, lr}\n\t"
                     "vpush     {d8-d11}\n\t"
                     "ldmia     r0!, {r1-r12}\n\t"
                     "vdup.32   q2, r11\n\t"
                     "vdup.32   q3, r12\n\t"
                     "ldr       r11, [r0], #4\n\t"
                     "vldrw.u32 q4, [r0]\n\t"
                     "vldrw.u32 q5, [r0, #16]\n\t"
                     "dlstp.32  lr, r11\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [r1, q4]\n\t"
                     "vldrb.s32 q1, [r2, q5]\n\t"
                     "vsub.i32  q0, q0, r6\n\t"
                     "vsub.i32  q1, q1, r7\n\t"
                     "vmul.i32  q0, q0, q1\n\t"
                     "vqrdmulh.s32 q0, q0, r8\n\t"
                     "vshr.s32  q1, q0, #31\n\t"
                     "vadd.i32  q0, q0, q1\n\t"
                     "vrshl.s32 q0, r9\n\t"
                     "vadd.i32  q0, q0, r10\n\t"
                     "vmax.s32  q0, q0, q2\n\t"
                     "vmin.s32  q0, q0, q3\n\t"
                     "vstrb.32  q0, [r3], #4\n\t"
                     "add       r1, r1, r4\n\t"
                     "add       r2, r2, r5\n\t"
                     "letp      lr, 1b\n\t"
                     "vpop      {d8-d11}\n\t"
                     "pop       {r4-r11, pc}\n");
}

/* Factors with a shift to the right. */
static void mul_small(const tidepool_mul_params *p, const run *r)
{
    job j = {r->a, r->b, r->output, 4 * r->step_1, 4 * r->step_2, p->zero_point_1, p->zero_point_2,
             p->multiplier, p->shift, p->output_zero_point, p->output_min, p->output_max, r->count,
             {0}, {0}};
    for (int32_t i = 0; i < 4; ++i) {
        j.offsets_1[i] = (uint32_t)(i * r->step_1);
        j.offsets_2[i] = (uint32_t)(i * r->step_2);
    }
    run_job(&j);
}

#else

/* Factors with a shift to the right. */
static void mul_small(const tidepool_mul_params *params, const run *r)
{
    const tidepool_mul_params p = *params;
    const int32_t right = -p.shift;
    const int32_t half = INT32_C(1) << (right - 1);
    const int8_t *a = r->a;
    const int8_t *b = r->b;
    int8_t *output = r->output;
    for (int32_t left = r->count; left > 0; --left) {
        const int32_t product = (*a - p.zero_point_1) * (*b - p.zero_point_2);
        const int32_t high = tidepool_high_mul(product, p.multiplier);
        const int32_t rounded = high + half - ((high < 0) ? 1 : 0);
        const int32_t scaled = tidepool_shift(rounded, right);
        *output++ = (int8_t)tidepool_clamp(scaled + p.output_zero_point, p.output_min, p.output_max);
        a += r->step_1;
        b += r->step_2;
    }
}

#endif

TIDEPOOL_KERNEL
void tidepool_mul(const tidepool_mul_params *params, const int8_t *input_1, const int8_t *input_2,
                  int8_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    const int is_small = params->shift < 0 && params->shift >= -LARGEST_SHIFT;
    tidepool_broadcast_place place = {{0}, 0, 0};
    run r = {input_1, input_2, output, s->strides_1[last], s->strides_2[last], s->sizes[last]};
    do {
        r.a = input_1 + place.offset_1;
        r.b = input_2 + place.offset_2;
        if (is_small) {
            mul_small(params, &r);
        } else {
            mul_general(params, &r);
        }
        r.output += r.count;
    } while (tidepool_next_row(s, &place) != 0);
}
