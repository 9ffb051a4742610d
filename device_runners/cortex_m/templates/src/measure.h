/*
 * What is measured around one inference: executed instructions, cycles, stack.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The pattern of memory that nobody has written yet. */
#define MEASURE_PAINT 0xA5A5A5A5u

/* The value of measure_ticks_stop() when SysTick counted and its 24 bits weren't enough. */
#define MEASURE_TICKS_WRAPPED 0xFFFFFFFFu

/*
 * Markers for an instruction counter outside of the program (QEMU's TCG plugin). Each is one
 * `bx lr`, whatever the optimization, and that instruction itself isn't counted. What counts is
 * every instruction from the one after the call of tidepool_count_begin() up to and with the
 * `bl` that calls tidepool_count_end(): the inference, the call of it with its argument, and that
 * `bl`.
 */
void tidepool_count_begin(void);
void tidepool_count_end(void);

/*
 * Cycles of the core, by DWT's 32-bit CYCCNT where it counts and by the 24-bit SysTick elsewhere:
 * an emulator has no DWT, and a chip may have none or may lock it. CYCCNT wraps without a trace, so
 * whoever reads the figure has to know that 2^32 cycles can't have passed. Neither counts while a
 * debugger halts the core. Besides the function measured both count its call: some tens of cycles.
 * Under QEMU with `-icount shift=0`: executed instructions, in steps of 1e9 / clock; without, noise.
 */
void measure_ticks_start(void);
uint32_t measure_ticks_stop(void);

/* Paints the stack from its bottom up to the caller's frame. */
void measure_stack_paint(void);

/* Bytes between the caller's stack pointer and the deepest word that lost its paint. */
uint32_t measure_stack_bytes(void);

#ifdef __cplusplus
}
#endif

#endif
