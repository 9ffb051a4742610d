#include "measure.h"

/* Naked: the compiler adds nothing, so that a marker is one instruction at any optimization. */
__attribute__((naked, noinline)) void tidepool_count_begin(void)
{
    __asm__ volatile("bx lr");
}

__attribute__((naked, noinline)) void tidepool_count_end(void)
{
    __asm__ volatile("bx lr");
}

/* Both run on no stack of their own: r0 to r3 only, so that a measurement is exact to the word. */
__attribute__((naked, noinline)) void measure_stack_paint(void)
{
    __asm__ volatile(".syntax unified\n\t"
                     "ldr   r0, =__stack_bottom\n\t"
                     "ldr   r1, =%c0\n\t"
                     "mov   r2, sp\n"
                     "1:\n\t"
                     "cmp   r0, r2\n\t"
                     "bhs   2f\n\t"
                     "str   r1, [r0]\n\t"
                     "adds  r0, #4\n\t"
                     "b     1b\n"
                     "2:\n\t"
                     "bx    lr\n\t"
                     ".ltorg" ::"i"(MEASURE_PAINT));
}

__attribute__((naked, noinline)) uint32_t measure_stack_bytes(void)
{
    __asm__ volatile(".syntax unified\n\t"
                     "ldr   r1, =__stack_bottom\n\t"
                     "ldr   r2, =%c0\n"
                     "1:\n\t"
                     "mov   r0, sp\n\t"
                     "cmp   r1, r0\n\t"
                     "bhs   2f\n\t"
                     "ldr   r3, [r1]\n\t"
                     "cmp   r3, r2\n\t"
                     "bne   2f\n\t"
                     "adds  r1, #4\n\t"
                     "b     1b\n"
                     "2:\n\t"
                     "subs  r0, r0, r1\n\t"
                     "bx    lr\n\t"
                     ".ltorg" ::"i"(MEASURE_PAINT));
}
