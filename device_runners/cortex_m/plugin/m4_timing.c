#include "m4_timing.h"

#include <stdbool.h>

/*
 * Where the manual leaves a range:
 * - P, the refill of the pipeline behind a taken branch, is 1 to 3, "depending on the alignment and
 *   width of the target instruction, and whether the processor manages to speculate the address
 *   early". Here it is always 2, so that an estimate doesn't move with the layout of the code;
 *   behind a load of PC it is 3, as the manual says there.
 * - A division takes 2 to 12 cycles, by its operands. Here it is 7.
 * - IT takes none if it folds into a 16-bit instruction before it. Here it always does.
 * Beyond the manual, for other cores: an instruction of MVE takes 2 cycles (a Cortex-M55 works on
 * two of its four beats at a time), the ends of low-overhead loops take 1.
 */
enum {
    REFILL = 2,
    REFILL_AFTER_LOAD = 3,
    TABLE_BRANCH = 3, /* two for the load, one for the addition */
    DIVISION = 7,
    FLOAT_MULTIPLY_ADD = 3,
    FLOAT_DIVISION = 14,
    SPECIAL_REGISTER = 2,
    VECTOR = 2,
    PC = 15,
    SP = 13
};

static uint16_t bit(unsigned int reg)
{
    return (uint16_t)(1u << reg);
}

static unsigned int ones(unsigned int registers)
{
    unsigned int count = 0;
    for (; registers != 0u; registers &= registers - 1u) {
        count++;
    }
    return count;
}

static struct timing other(unsigned int cycles)
{
    return (struct timing){.kind = TIMING_OTHER, .cycles = (uint8_t)cycles};
}

/* Computes core registers; PC among them is a branch. */
static struct timing data(unsigned int cycles, unsigned int writes)
{
    const bool branch = (writes & bit(PC)) != 0u;
    return (struct timing){.kind = TIMING_DATA,
                           .cycles = (uint8_t)cycles,
                           .refill = branch ? REFILL : 0,
                           .writes = (uint16_t)writes};
}

static struct timing branch(void)
{
    return (struct timing){.kind = TIMING_OTHER, .cycles = 1, .refill = REFILL};
}

static struct timing load(unsigned int target, unsigned int address)
{
    if (target == PC) {
        return (struct timing){.kind = TIMING_ACCESS,
                               .cycles = 2,
                               .refill = REFILL_AFTER_LOAD,
                               .address = (uint16_t)address};
    }
    return (struct timing){.kind = TIMING_LOAD,
                           .cycles = 2,
                           .writes = bit(target),
                           .address = (uint16_t)address};
}

static struct timing access_of(unsigned int cycles, unsigned int address)
{
    return (struct timing){
        .kind = TIMING_ACCESS, .cycles = (uint8_t)cycles, .address = (uint16_t)address};
}

/* With a constant offset a store always takes one cycle, with one in a register two. */
static struct timing store(unsigned int address, bool by_register)
{
    struct timing result = access_of(by_register ? 2u : 1u, address);
    result.kind = by_register ? TIMING_STORE : TIMING_ACCESS;
    return result;
}

/* LDM, STM, PUSH, POP: a cycle, and one for each register. */
static struct timing multiple(unsigned int registers, unsigned int base, bool loads)
{
    struct timing result = access_of(1u + ones(registers), bit(base));
    result.refill = loads && (registers & bit(PC)) != 0u ? REFILL_AFTER_LOAD : 0;
    return result;
}

static struct timing miscellaneous_16(unsigned int word)
{
    if ((word & 0xFF00u) == 0xB000u) { /* ADD, SUB of SP */
        return data(1, bit(SP));
    }
    if ((word & 0xF500u) == 0xB100u) { /* CBZ, CBNZ */
        return branch();
    }
    if ((word & 0xFF00u) == 0xB200u || (word & 0xFF00u) == 0xBA00u) { /* SXTB ... REVSH */
        return data(1, bit(word & 7u));
    }
    if ((word & 0xFE00u) == 0xB400u) { /* PUSH; bit 8 is LR */
        return multiple((word & 0xFFu) | ((word & 0x100u) << 6), SP, false);
    }
    if ((word & 0xFE00u) == 0xBC00u) { /* POP; bit 8 is PC */
        return multiple((word & 0xFFu) | ((word & 0x100u) << 7), SP, true);
    }
    if ((word & 0xFFE0u) == 0xB660u) { /* CPS */
        return other(SPECIAL_REGISTER);
    }
    if ((word & 0xFF00u) == 0xBF00u && (word & 0xFu) != 0u) {
        return (struct timing){.kind = TIMING_IT, .cycles = 1};
    }
    return other(1);
}

static struct timing computing_16(unsigned int word)
{
    if (word < 0x2000u) { /* shifts, ADD and SUB of three operands */
        return data(1, bit(word & 7u));
    }
    if (word < 0x4000u) { /* MOV, CMP, ADD, SUB with eight bits */
        return (word & 0x1800u) == 0x0800u ? other(1) : data(1, bit((word >> 8) & 7u));
    }
    if (word < 0x4400u) { /* two low registers; TST, CMP and CMN write none */
        const unsigned int operation = (word >> 6) & 15u;
        return operation == 8u || operation == 10u || operation == 11u ? other(1)
                                                                       : data(1, bit(word & 7u));
    }
    switch ((word >> 8) & 3u) { /* any registers */
    case 1:
        return other(1); /* CMP */
    case 3:
        return branch(); /* BX, BLX */
    default:
        return data(1, bit(((word >> 4) & 8u) | (word & 7u)));
    }
}

static struct timing of_16_bits(unsigned int word)
{
    const unsigned int low = word & 7u;
    const unsigned int base = (word >> 3) & 7u;
    const unsigned int middle = (word >> 8) & 7u;
    const bool loads = (word & 0x0800u) != 0u;
    switch (word >> 12) {
    case 0x4:
        return word < 0x4800u ? computing_16(word) : load(middle, 0);
    case 0x5: { /* with an offset register; STR, STRH, STRB come first */
        const unsigned int address = bit(base) | bit((word >> 6) & 7u);
        return ((word >> 9) & 7u) < 3u ? store(address, true) : load(low, address);
    }
    case 0x6:
    case 0x7:
    case 0x8:
        return loads ? load(low, bit(base)) : store(bit(base), false);
    case 0x9:
        return loads ? load(middle, bit(SP)) : store(bit(SP), false);
    case 0xA: /* ADR, ADD of SP */
        return data(1, bit(middle));
    case 0xB:
        return miscellaneous_16(word);
    case 0xC:
        return multiple(word & 0xFFu, middle, loads);
    case 0xD:
        return ((word >> 8) & 15u) < 14u ? branch() : other(1);
    case 0xE:
        return branch();
    default:
        return computing_16(word);
    }
}

/* LDRD, STRD, exclusives, table branches. */
static struct timing dual(unsigned int first, unsigned int second)
{
    const unsigned int address = bit(first & 15u);
    if ((first & 0xFFF0u) == 0xE8D0u && (second & 0xFFE0u) == 0xF000u) {
        struct timing result = access_of(TABLE_BRANCH, address | bit(second & 15u));
        result.refill = REFILL_AFTER_LOAD;
        return result;
    }
    if ((first & 0x0120u) == 0u) { /* LDREX, STREX: like LDR */
        return load((first & 0x10u) != 0u ? second >> 12 : second & 15u, address);
    }
    return access_of(3, address);
}

static struct timing branch_or_control(unsigned int first, unsigned int second)
{
    if ((second & 0xD000u) == 0xC000u) { /* WLS, DLS, LE: not on a Cortex-M4 */
        return other(1);
    }
    if ((second & 0x5000u) != 0u) { /* B, BL */
        return branch();
    }
    if ((first & 0x0380u) != 0x0380u) { /* B of a condition */
        return branch();
    }
    if ((first & 0xFFE0u) == 0xF380u || (first & 0xFFE0u) == 0xF3E0u) { /* MSR, MRS */
        return other(SPECIAL_REGISTER);
    }
    if ((first & 0xFFF0u) == 0xF3B0u && (second & 0x00F0u) == 0x0060u) { /* ISB */
        return other(1 + REFILL);
    }
    return other(1);
}

static struct timing single(unsigned int first, unsigned int second)
{
    const unsigned int base = first & 15u;
    const unsigned int target = second >> 12;
    const bool is_word = (first & 0x60u) == 0x40u;
    const bool by_register = base != PC && (first & 0x80u) == 0u && (second & 0x0FC0u) == 0u;
    unsigned int address = base == PC ? 0u : bit(base);
    address |= by_register ? bit(second & 15u) : 0u;
    if ((first & 0x10u) == 0u) {
        return store(address, by_register);
    }
    return target == PC && !is_word ? other(1) /* PLD */ : load(target, address);
}

static struct timing float_access(unsigned int first, unsigned int second)
{
    const bool is_double = (second & 0x0F00u) == 0x0B00u;
    const unsigned int address = (first & 15u) == PC ? 0u : bit(first & 15u);
    if ((first & 0xFFE0u) == 0xEC40u) { /* VMOV of two registers */
        return other(2);
    }
    if ((first & 0xFF20u) == 0xED00u) { /* VLDR, VSTR */
        return access_of(is_double ? 3u : 2u, address);
    }
    return access_of(1u + (second & 0xFEu) + (is_double ? 0u : second & 1u), address);
}

static struct timing float_computing(unsigned int first, unsigned int second)
{
    if ((second & 0x10u) != 0u) { /* VMOV, VMRS, VMSR */
        return other(1);
    }
    switch ((first >> 4) & 0xBu) {
    case 0x0: /* VMLA, VMLS */
    case 0x1: /* VNMLA, VNMLS */
    case 0x9: /* VFNMA, VFNMS */
    case 0xA: /* VFMA, VFMS */
        return other(FLOAT_MULTIPLY_ADD);
    case 0x8: /* VDIV */
        return other(FLOAT_DIVISION);
    case 0xB:
        return (first & 15u) == 1u && (second & 0xC0u) == 0xC0u ? other(FLOAT_DIVISION) /* VSQRT */
                                                                : other(1);
    default:
        return other(1);
    }
}

/* Floating point of the Cortex-M4 (coprocessors 10 and 11, and 9 for halves), or MVE. */
static struct timing coprocessor(unsigned int first, unsigned int second)
{
    const unsigned int number = (second >> 8) & 15u;
    const bool moves = (first & 0xEE00u) == 0xEC00u;
    if (first < 0xEF00u && number >= 9u && number <= 11u) {
        return moves ? float_access(first, second) : float_computing(first, second);
    }
    return moves ? access_of(VECTOR, bit(first & 15u)) : other(VECTOR);
}

static struct timing of_32_bits(unsigned int first, unsigned int second)
{
    const unsigned int target = (second >> 8) & 15u;
    const struct timing compute = target == PC ? other(1) : data(1, bit(target));
    if ((first & 0xEC00u) == 0xEC00u) {
        return coprocessor(first, second);
    }
    if ((first & 0xF800u) == 0xF000u) {
        return (second & 0x8000u) != 0u ? branch_or_control(first, second) : compute;
    }
    if ((first & 0xFE40u) == 0xE800u) {
        return multiple(second, first & 15u, (first & 0x10u) != 0u);
    }
    if ((first & 0xFE00u) == 0xE800u) {
        return dual(first, second);
    }
    if ((first & 0xFE00u) == 0xF800u) {
        return single(first, second);
    }
    if ((first & 0xFF80u) == 0xFB80u) { /* long multiplications, divisions */
        const bool divides = (first & 0x10u) != 0u && (second & 0xF0u) == 0xF0u;
        return divides ? data(DIVISION, bit(target)) : data(1, bit(target) | bit(second >> 12));
    }
    return compute;
}

struct timing timing_of(uint16_t first, uint16_t second)
{
    const bool is_long = first >= 0xE800u;
    struct timing result = is_long ? of_32_bits(first, second) : of_16_bits(first);
    result.bytes = is_long ? 4 : 2;
    return result;
}

int timing_between(const struct timing *before, const struct timing *next)
{
    if (next->kind == TIMING_IT) {
        return before->bytes == 2 ? -1 : 0;
    }
    const bool needed = (before->writes & next->address) != 0u;
    if (before->kind == TIMING_DATA) {
        return needed ? 1 : 0;
    }
    const bool pipelines = next->kind == TIMING_LOAD || next->kind == TIMING_STORE;
    return before->kind == TIMING_LOAD && pipelines && !needed ? -1 : 0;
}
