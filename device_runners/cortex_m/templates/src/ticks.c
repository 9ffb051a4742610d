#include "measure.h"

#include <stdbool.h>

/* A test puts its own registers here. */
#ifndef REGISTER
#define REGISTER(address) (*(volatile uint32_t *)(address))
#endif

#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)

/* Data watchpoint and trace unit, behind the trace switch of the debug registers. */
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)
#define DEMCR REGISTER(0xE000EDFCu)

enum {
    SYST_CSR_ENABLE = 1,
    SYST_CSR_CLKSOURCE_CORE = 4,
    SYST_CSR_COUNTFLAG = 1 << 16,
    SYST_MAXIMUM = 0xFFFFFF,
    DWT_CTRL_CYCCNTENA = 1,
    DEMCR_TRCENA = 1 << 24
};

/* The Cortex-M7 ignores writes of the program to the DWT before this; the others have no lock. */
#define DWT_LAR_UNLOCK 0xC5ACCE55u

static bool counted_by_dwt;

/*
 * The architecture has a bit for "no cycle counter", but an emulator without DWT reads it as zero,
 * and a counter that security settings hold still has it clear, too. So: does it move?
 */
static bool start_dwt(void)
{
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_UNLOCK;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
    const uint32_t first = DWT_CYCCNT;
    return DWT_CYCCNT != first;
}

static void start_systick(void)
{
    SYST_CSR = 0;
    SYST_RVR = SYST_MAXIMUM;
    SYST_CVR = 0; /* any write clears the counter and COUNTFLAG */
    SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_CLKSOURCE_CORE;
}

static uint32_t stop_systick(void)
{
    const uint32_t value = SYST_CVR;
    const uint32_t status = SYST_CSR;
    SYST_CSR = 0;
    if ((status & SYST_CSR_COUNTFLAG) != 0u) {
        return MEASURE_TICKS_WRAPPED;
    }
    /* Cleared, it reads 0; the first tick reloads it with the maximum. */
    return (SYST_MAXIMUM + 1u - value) & SYST_MAXIMUM;
}

void measure_ticks_start(void)
{
    counted_by_dwt = start_dwt();
    if (counted_by_dwt) {
        DWT_CYCCNT = 0;
    } else {
        start_systick();
    }
}

uint32_t measure_ticks_stop(void)
{
    return counted_by_dwt ? DWT_CYCCNT : stop_systick();
}
