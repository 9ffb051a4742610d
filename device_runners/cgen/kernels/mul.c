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

#define LANES 8

/* What the instructions get; all but the first three is the same for all runs. */
typedef struct {
    const int8_t *a;
    const int8_t *b;
    int8_t *output;
    int32_t step_1; /* of eight elements */
    int32_t step_2;
    int32_t zero_point_1;
    int32_t zero_point_2;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t eights;
    int32_t rest;
    uint16_t offsets_1[LANES]; /* of eight elements */
    uint16_t offsets_2[LANES];
} factor;

/* Of eight elements in q0 and q1. VQRDMULH and VRSHL are the reference's roundings but for halves below
 * zero, from which 1 is subtracted before. */
#define PRODUCTS                        \
    "vsub.i16  q0, q0, r6\n\t"          \
    "vsub.i16  q1, q1, r7\n\t"          \
    "vmullb.s16 q6, q0, q1\n\t"         \
    "vmullt.s16 q7, q0, q1\n\t"         \
    "vqrdmulh.s32 q6, q6, r8\n\t"       \
    "vqrdmulh.s32 q7, q7, r8\n\t"       \
    "vshr.s32  q0, q6, #31\n\t"         \
    "vshr.s32  q1, q7, #31\n\t"         \
    "vadd.i32  q6, q6, q0\n\t"          \
    "vadd.i32  q7, q7, q1\n\t"          \
    "vrshl.s32 q6, r9\n\t"              \
    "vrshl.s32 q7, r9\n\t"              \
    "vqmovnb.s32 q0, q6\n\t"            \
    "vqmovnt.s32 q0, q7\n\t"            \
    "vqadd.s16 q0, q0, r10\n\t"         \
    "vmax.s16  q0, q0, q2\n\t"          \
    "vmin.s16  q0, q0, q3\n\t"

/* Eight elements in 23 instructions. */
static __attribute__((naked, noinline)) void run_factor(const factor *f __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n\t"
                     "push      {r4-r11, lr}\n\t"
                     "vpush     {d8-d15}\n\t"
                     "ldmia     r0!, {r1-r12}\n\t"
                     "vdup.16   q2, r11\n\t"
                     "vdup.16   q3, r12\n\t"
                     "ldmia     r0!, {r11, r12}\n\t"
                     "vldrh.u16 q4, [r0]\n\t"
                     "vldrh.u16 q5, [r0, #16]\n\t"
                     "wls       lr, r11, 2f\n"
                     "1:\n\t"
                     "vldrb.s16 q0, [r1, q4]\n\t"
                     "vldrb.s16 q1, [r2, q5]\n\t" PRODUCTS
                     "vstrb.16  q0, [r3], #8\n\t"
                     "add       r1, r1, r4\n\t"
                     "add       r2, r2, r5\n\t"
                     "le        lr, 1b\n"
                     "2:\n\t"
                     "cmp       r12, #0\n\t"
                     "beq       3f\n\t"
                     "vctp.16   r12\n\t"
                     "vpstt\n\t"
                     "vldrbt.s16 q0, [r1, q4]\n\t"
                     "vldrbt.s16 q1, [r2, q5]\n\t" PRODUCTS
                     "vpst\n\t"
                     "vstrbt.16 q0, [r3]\n"
                     "3:\n\t"
                     "vpop      {d8-d15}\n\t"
                     "pop       {r4-r11, pc}\n");
}

static factor factor_of(const tidepool_mul_params *p, const run *r)
{
    factor f = {r->a, r->b, r->output, LANES * r->step_1, LANES * r->step_2, p->zero_point_1,
                p->zero_point_2, p->multiplier, p->shift, p->output_zero_point, p->output_min,
                p->output_max, r->count / LANES, r->count % LANES, {0}, {0}};
    for (int32_t i = 0; i < LANES; ++i) {
        f.offsets_1[i] = (uint16_t)(i * r->step_1);
        f.offsets_2[i] = (uint16_t)(i * r->step_2);
    }
    return f;
}

/* Factors with a shift to the right. */
static void mul_small(const tidepool_mul_params *p, factor *f, const run *r)
{
    (void)p;
    f->a = r->a;
    f->b = r->b;
    f->output = r->output;
    run_factor(f);
}

#else

/* What the elements of a run have in common: result = (round(product * multiplier / 2^31) + addend -
 * [product < 0]) >> right, clamped to int8; addend = 2^(right - 1) + zero point * 2^right. */
typedef struct {
    int32_t zero_point_1;
    int32_t zero_point_2;
    int32_t multiplier; /* of TIDEPOOL_HAS_DSP: twice it, less 2^32 */
    int32_t addend;
    int32_t right;
} factor;

static factor factor_of(const tidepool_mul_params *p, const run *r)
{
    const int is_small = p->shift < 0 && p->shift >= -LARGEST_SHIFT;
    const int32_t right = is_small ? -p->shift : 1;
    factor f = {p->zero_point_1, p->zero_point_2, p->multiplier,
                (INT32_C(1) << (right - 1)) + p->output_zero_point * (INT32_C(1) << right), right};
    (void)r;
#if TIDEPOOL_HAS_DSP
    f.multiplier = (int32_t)(2 * (uint32_t)p->multiplier);
#endif
    return f;
}

static inline int8_t mul_one(factor f, int32_t a, int32_t b)
{
    const int32_t product = (a - f.zero_point_1) * (b - f.zero_point_2);
#if TIDEPOOL_HAS_DSP
    int32_t high; /* <arm_acle.h> has no SMMLAR */
    __asm__("smmlar %0, %1, %2, %1" : "=r"(high) : "r"(product), "r"(f.multiplier));
#else
    const int32_t high = tidepool_high_mul(product, f.multiplier);
#endif
    return tidepool_saturate(high + (f.addend + tidepool_shift(product, 31)), f.right);
}

/* Steps of 0 or 1, known to the compiler. */
static inline void mul_steps(factor f, const run *r, int32_t step_1, int32_t step_2)
{
    const int8_t *a = r->a;
    const int8_t *b = r->b;
    int8_t *output = r->output;
    int32_t left = r->count;
    for (; left >= 2; left -= 2) {
        const int8_t first = mul_one(f, a[0], b[0]);
        output[1] = mul_one(f, a[step_1], b[step_2]);
        output[0] = first;
        a += 2 * step_1;
        b += 2 * step_2;
        output += 2;
    }
    if (left > 0) {
        *output = mul_one(f, *a, *b);
    }
}

/* Factors with a shift to the right. */
static void mul_small(const tidepool_mul_params *p, const factor *f, const run *r)
{
    if (r->step_1 != 0 && r->step_2 != 0) {
        mul_steps(*f, r, 1, 1);
    } else if (r->step_1 != 0) {
        mul_steps(*f, r, 1, 0);
    } else {
        mul_steps(*f, r, 0, 1);
    }
    tidepool_clamp_all(r->output, r->count, p->output_min, p->output_max);
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
    factor f = factor_of(params, &r);
    do {
        r.a = input_1 + place.offset_1;
        r.b = input_2 + place.offset_2;
        if (is_small) {
            mul_small(params, &f, &r);
        } else {
            mul_general(params, &r);
        }
        r.output += r.count;
    } while (tidepool_next_row(s, &place) != 0);
}
