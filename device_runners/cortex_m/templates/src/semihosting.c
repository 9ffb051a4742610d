#include "semihosting.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_FLEN = 0x0C,
    SYS_EXIT_EXTENDED = 0x20
};

/* "Application exit": the reason for which SYS_EXIT_EXTENDED passes on the exit code. */
static const uint32_t ADP_STOPPED_APPLICATION_EXIT = 0x20026u;

/* Operation in r0, its parameter (block) in r1, result in r0; BKPT 0xAB is the M profile's call. */
static int32_t call(uint32_t operation, const void *parameter)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameter;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static uint32_t address_of(const void *pointer)
{
    return (uint32_t)(uintptr_t)pointer;
}

int32_t semihosting_open(const char *path, semihosting_mode mode)
{
    uint32_t length = 0;
    while (path[length] != '\0') {
        length++;
    }
    const uint32_t block[3] = {address_of(path), (uint32_t)mode, length};
    return call(SYS_OPEN, block);
}

int32_t semihosting_close(int32_t handle)
{
    const uint32_t block[1] = {(uint32_t)handle};
    return call(SYS_CLOSE, block);
}

int32_t semihosting_length(int32_t handle)
{
    const uint32_t block[1] = {(uint32_t)handle};
    return call(SYS_FLEN, block);
}

uint32_t semihosting_read(int32_t handle, void *buffer, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)handle, address_of(buffer), bytes};
    return (uint32_t)call(SYS_READ, block);
}

uint32_t semihosting_write(int32_t handle, const void *buffer, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)handle, address_of(buffer), bytes};
    return (uint32_t)call(SYS_WRITE, block);
}

void semihosting_print(const char *text)
{
    (void)call(SYS_WRITE0, text);
}

void semihosting_print_hex(uint32_t value)
{
    char text[11] = "0x00000000";
    for (uint32_t digit = 0; digit < 8u; digit++) {
        text[9u - digit] = "0123456789abcdef"[(value >> (4u * digit)) & 0xFu];
    }
    semihosting_print(text);
}

/* value / 10. Cores without a division would take it from a library, whose code would count as the
 * model's: hence shifts, 0.8 * value from below, and a correction. */
static uint32_t tenth(uint32_t value)
{
    uint32_t result = (value >> 1) + (value >> 2);
    result += result >> 4;
    result += result >> 8;
    result += result >> 16;
    result >>= 3;
    return result + ((value - 10u * result > 9u) ? 1u : 0u);
}

void semihosting_print_decimal(uint32_t value)
{
    char text[11]; /* 4294967295 has ten digits */
    uint32_t position = sizeof(text) - 1u;
    text[position] = '\0';
    do {
        const uint32_t rest = tenth(value);
        position--;
        text[position] = (char)('0' + (char)(value - 10u * rest));
        value = rest;
    } while (value != 0u);
    semihosting_print(&text[position]);
}

void semihosting_exit(uint32_t code)
{
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, code};
    for (;;) {
        (void)call(SYS_EXIT_EXTENDED, block);
    }
}
