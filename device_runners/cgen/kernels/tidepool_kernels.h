/* Tidepool int8 kernels, portable C11.
 *
 * This file, the other tidepool_*.h and the tidepool_<kernel>.c beside it are the same, byte for byte, whatever model they
 * were written with. Models in one image may each bring a copy: see "Several models" below.
 *
 * Conventions of every kernel
 *   - Tensors are int8 unless said otherwise, dense, the last dimension innermost (NHWC).
 *       real value = scale * (q - zero_point), zero_point in [-128, 127].
 *   - output_min <= output_max, both in [-128, 127], hold the fused activation.
 *   - Counts and dimensions are at least 1 unless said otherwise.
 *   - `input` and `output` may overlap as far as a kernel's order of reads and writes allows it: it
 *     writes its output from the first element to the last, and an element only after it was last
 *     read. "In place": they may be the same address. The generated code's memory plan is proven to
 *     keep to that; by hand, keep them apart.
 *   - The accumulator fits in 32 bits for every input. The code generator proves it from the
 *     weights of the model and refuses a model for which it does not hold.
 *   - No kernel keeps state, allocates, or fails.
 *
 * A (multiplier, shift) pair stands for the real factor multiplier * 2^(shift - 31), with
 * multiplier 0 or in [2^30, 2^31) and shift in [-31, 30].
 */
#ifndef TIDEPOOL_KERNELS_H
#define TIDEPOOL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Several models in one image ---------------------------------------------------------- */

/* Weak: of equal kernels that several models bring, the linker keeps one; the copies take no flash
 * where unused sections are dropped (-ffunction-sections, --gc-sections). Only the definition is
 * weak: a reference that is would not load the kernel from an archive. */
#if defined(__GNUC__)
#define TIDEPOOL_KERNEL __attribute__((weak))
#elif defined(__ICCARM__)
#define TIDEPOOL_KERNEL __weak
#else
#define TIDEPOOL_KERNEL
#endif

/* A digest of all kernels' sources. It ends each kernel's name, so that kernels of another version
 * are other functions, and models of different versions fit in one image. */
#define TIDEPOOL_KERNELS_VERSION 0x0 /* the code generator fills this in */

#ifdef TIDEPOOL_TRACE
/* Called by the generated code after each operator, for each of its outputs, and for each graph
 * input before the first operator. `tensor_index` is the tensor's index in the model's file. */
extern void tidepool_trace(uint32_t tensor_index, const void *data, uint32_t bytes);
#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_KERNELS_H */
