/*
 * What main.c needs of a runtime. runtime_aot.c and runtime_tflm.cc implement it.
 */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint8_t *data;
    uint32_t bytes;
} runtime_buffer;

/* Called once, before anything else; not 0: the runtime can't start. */
int runtime_setup(void);

uint32_t runtime_input_count(void);
uint32_t runtime_output_count(void);

/* Valid after runtime_setup(). Fill every input before each runtime_invoke(): its memory may be
   used for something else meanwhile. */
runtime_buffer runtime_input(uint32_t index);
runtime_buffer runtime_output(uint32_t index);

/* Sets the model's state, if it has one, to its start. main.c does so before each sample. */
void runtime_reset(void);

/* One inference, between the markers of measure.h; not 0: it failed. */
int runtime_invoke(void);

/* Arena bytes in use. */
uint32_t runtime_arena_bytes(void);

#ifdef __cplusplus
}
#endif

#endif
