/*
 * What an instruction takes on a Cortex-M4, as its Technical Reference Manual publishes it (ARM DDI
 * 0439: the instruction set summaries of the core and of the FPU, and the section on load and store
 * timings): memory without wait states, aligned accesses, no interrupts.
 */
#ifndef TIDEPOOL_M4_TIMING_H
#define TIDEPOOL_M4_TIMING_H

#include <stdint.h>

enum timing_kind {
    TIMING_OTHER,
    /* Writes core registers by computing: an address from one of them waits a cycle. */
    TIMING_DATA,
    /* One register from memory: a load or store behind it takes a cycle less. */
    TIMING_LOAD,
    /* One register to memory, address with an offset register: may follow a load for a cycle less. */
    TIMING_STORE,
    /* Any other access of memory: neither gives nor takes a cycle, but waits for its address. */
    TIMING_ACCESS,
    TIMING_IT
};

/*
 * kind      what its neighbours need to know
 * bytes     length: 2 or 4
 * cycles    behind an unrelated instruction, and with the next instruction in memory behind it
 * refill    cycles more when it is another one: the pipeline fills again
 * writes    core registers that it writes, one bit each (TIMING_DATA and TIMING_LOAD)
 * address   core registers that its address is computed from
 */
struct timing {
    uint8_t kind;
    uint8_t bytes;
    uint8_t cycles;
    uint8_t refill;
    uint16_t writes;
    uint16_t address;
};

/* The timing of the instruction whose halfwords these are; `second` is ignored if it has only one. */
struct timing timing_of(uint16_t first, uint16_t second);

/* Cycles that `next` takes more, or less, because `before` was executed immediately before it. */
int timing_between(const struct timing *before, const struct timing *next);

#endif
