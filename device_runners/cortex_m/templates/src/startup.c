/*
 * Start-up: vector table, memory, FPU, and the report of a fault.
 *
 * Works on Armv7-M, Armv7E-M and Armv8(.1)-M Mainline. No interrupt is ever enabled, so that
 * the instructions executed are the same on each run.
 */
#include <stdint.h>

#include "measure.h"
#include "semihosting.h"

int main(void);
_Noreturn void Reset_Handler(void);
void Fault_Handler(void);
_Noreturn void report_fault(const uint32_t *frame, uint32_t exc_return);

/* Symbols of the linker script: only their addresses mean something. */
extern uint32_t __stack_guard[], __stack_bottom[], __stack_top[], __emergency_stack_top[];
extern uint32_t __data_start[], __data_end[], __data_load[];
extern uint32_t __bss_start[], __bss_end[];
extern uint32_t __arena_start[], __arena_end[];
typedef void (*initializer)(void);
extern const initializer __init_array_start[], __init_array_end[];

enum { EXIT_CODE_FAULT = 3 };

/* System control block: the same addresses on every M-profile core with a main extension. */
#define SCB_VTOR (*(volatile uint32_t *)0xE000ED08u)
#define SCB_SHCSR (*(volatile uint32_t *)0xE000ED24u)
#define SCB_CFSR (*(volatile uint32_t *)0xE000ED28u)
#define SCB_HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define SCB_MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define SCB_BFAR (*(volatile uint32_t *)0xE000ED38u)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)

/* MPU of Armv7-M. A region without access permissions (AP = 0) forbids every access. */
#define MPU_TYPE (*(volatile uint32_t *)0xE000ED90u)
#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RASR (*(volatile uint32_t *)0xE000EDA0u)
#define MPU_TYPE_DREGION (0xFFu << 8)
#define MPU_RASR_XN (1u << 28)
#define MPU_RASR_SIZE_1_MB (19u << 1)
#define MPU_RASR_ENABLE 1u
#define MPU_CTRL_PRIVDEFENA (1u << 2) /* all other addresses stay as they are without an MPU */
#define MPU_CTRL_ENABLE 1u

/* MemManage, BusFault and UsageFault get their own vectors instead of ending as a HardFault. */
#define SHCSR_MEMFAULTENA_BUSFAULTENA_USGFAULTENA (7u << 16)
/* Coprocessors 10 and 11: the FPU, and MVE, which shares its registers. */
#define CPACR_CP10_CP11_FULL_ACCESS (0xFu << 20)

typedef void (*vector)(void);

/* The first entry is no function: the core loads it into SP before anything else. */
typedef union {
    vector handler;
    uint32_t *stack;
} vector_entry;

/* Every exception that can be taken ends in Fault_Handler; external interrupts stay disabled. */
__attribute__((section(".vectors"), used)) static const vector_entry vectors[16] = {
    {.stack = __stack_top},
    {.handler = (vector)Reset_Handler},
    {.handler = Fault_Handler}, /* NMI */
    {.handler = Fault_Handler}, /* HardFault */
    {.handler = Fault_Handler}, /* MemManage */
    {.handler = Fault_Handler}, /* BusFault */
    {.handler = Fault_Handler}, /* UsageFault */
    {.handler = Fault_Handler}, /* SecureFault (Armv8-M) */
    {.handler = Fault_Handler},
    {.handler = Fault_Handler},
    {.handler = Fault_Handler},
    {.handler = Fault_Handler}, /* SVCall */
    {.handler = Fault_Handler}, /* DebugMonitor */
    {.handler = Fault_Handler},
    {.handler = Fault_Handler}, /* PendSV */
    {.handler = Fault_Handler}, /* SysTick */
};

static void enable_fpu_and_mve(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    SCB_CPACR |= CPACR_CP10_CP11_FULL_ACCESS;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
}

/*
 * From here on a stack that overflows faults. Armv8-M has a limit register for that. On Armv7-M the
 * MPU forbids the megabyte below the stack, which lies at the bottom of RAM: a bus need not answer
 * an access to nowhere with an error, and the emulated ones don't.
 */
static void limit_stack(void)
{
#if __ARM_ARCH >= 8
    __asm__ volatile("msr msplim, %0" ::"r"(__stack_bottom));
#else
    if ((MPU_TYPE & MPU_TYPE_DREGION) != 0u) {
        MPU_RNR = 0;
        MPU_RBAR = (uint32_t)(uintptr_t)__stack_guard;
        MPU_RASR = MPU_RASR_XN | MPU_RASR_SIZE_1_MB | MPU_RASR_ENABLE;
        MPU_CTRL = MPU_CTRL_PRIVDEFENA | MPU_CTRL_ENABLE;
        __asm__ volatile("dsb\n\tisb" ::: "memory");
    }
#endif
}

static void initialize_memory(void)
{
    const uint32_t *load = __data_load;
    for (uint32_t *word = __data_start; word < __data_end; word++) {
        *word = *load++;
    }
    for (uint32_t *word = __bss_start; word < __bss_end; word++) {
        *word = 0;
    }
    /* An arena is not promised to be zero: code that relies on it shall fail here, not in
       the field. */
    for (uint32_t *word = __arena_start; word < __arena_end; word++) {
        *word = MEASURE_PAINT;
    }
}

_Noreturn void Reset_Handler(void)
{
    limit_stack();
    /* A boot loader in front of this image may have left its own table in use. */
    SCB_VTOR = (uint32_t)(uintptr_t)vectors;
    enable_fpu_and_mve();
    SCB_SHCSR |= SHCSR_MEMFAULTENA_BUSFAULTENA_USGFAULTENA;
    initialize_memory();
    for (const initializer *function = __init_array_start; function < __init_array_end;
         function++) {
        (*function)();
    }
    semihosting_exit((uint32_t)main());
}

/*
 * Moves to a stack of its own before it runs any C: the usual one may be what overflowed, and a
 * fault inside of a fault locks the core up.
 */
__attribute__((naked, used)) void Fault_Handler(void)
{
    __asm__ volatile("mrs   r0, msp\n\t"
                     "mov   r1, lr\n\t"
#if __ARM_ARCH >= 8
                     "movs  r2, #0\n\t"
                     "msr   msplim, r2\n\t"
#endif
                     "ldr   r2, =__emergency_stack_top\n\t"
                     "msr   msp, r2\n\t"
                     "b     report_fault\n\t"
                     ".ltorg");
}

static const char *exception_name(uint32_t number)
{
    static const char *const names[16] = {
        "thread mode", "Reset",        "NMI",       "HardFault",    "MemManage",  "BusFault",
        "UsageFault",  "SecureFault",  "reserved",  "reserved",     "reserved",   "SVCall",
        "DebugMonitor", "reserved",    "PendSV",    "SysTick"};
    return number < 16u ? names[number] : "interrupt";
}

static void print_register(const char *name, uint32_t value)
{
    semihosting_print(" ");
    semihosting_print(name);
    semihosting_print("=");
    semihosting_print_hex(value);
}

/* One line: FAULT <name> CFSR=... ..., where PC and LR are those that the core stacked. */
_Noreturn void report_fault(const uint32_t *frame, uint32_t exc_return)
{
    uint32_t exception;
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));

    semihosting_print("FAULT ");
    semihosting_print(exception_name(exception & 0x1FFu));
    print_register("CFSR", SCB_CFSR);
    print_register("HFSR", SCB_HFSR);
    print_register("MMFAR", SCB_MMFAR);
    print_register("BFAR", SCB_BFAR);
    print_register("SP", (uint32_t)(uintptr_t)frame);
    print_register("EXC_RETURN", exc_return);
    /* r0-r3, r12, LR, PC, xPSR; after a stack overflow there is no frame to read. */
    if (frame < __stack_bottom) {
        semihosting_print(" STACK_OVERFLOW");
    } else if (frame + 8 <= __stack_top) {
        print_register("PC", frame[6]);
        print_register("LR", frame[5]);
        print_register("XPSR", frame[7]);
    }
    semihosting_print("\n");
    semihosting_exit(EXIT_CODE_FAULT);
}
