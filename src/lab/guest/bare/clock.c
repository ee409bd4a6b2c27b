/*
 * Time from the ACPI PM timer. The TSC only decides how often the timer is worth reading, so a TSC that runs
 * at another rate, or jumps, after a migration changes nothing but that: any surprise is an early reading.
 */
#include "machine.h"

#define PIIX4_PM 0x71138086u
#define ICH9_LPC 0x29188086u
#define READ_EVERY_TICKS (CLOCK_HZ / 4000)
#define QUANTUM_MIN 1000ul
#define QUANTUM_MAX 10000000ul

static u16 timer_port;
static u32 last_timer;
static u64 ticks, last_tsc, quantum = QUANTUM_MIN;

void clock_start(void)
{
    u32 device = pci_find(PIIX4_PM);
    if (device == ~0u) device = pci_find(ICH9_LPC);
    if (device == ~0u) die("clock: neither a PIIX4 nor an ICH9 power management device", 0);
    u32 base = pci_read(device, 0x40) & 0xff80;
    if (base == 0) die("clock: the firmware did not place the ACPI PM timer", 0);
    timer_port = base + 8;
    last_timer = in32(timer_port) & 0xffffff;
    last_tsc = read_tsc();
}

u64 clock_now(void) { return ticks; }

int clock_due(void)
{
    u64 tsc = read_tsc(), since = tsc - last_tsc;
    if (since < quantum) return 0;
    u32 timer = in32(timer_port) & 0xffffff, passed = (timer - last_timer) & 0xffffff;
    last_timer = timer;
    last_tsc = tsc;
    ticks += passed;
    if (passed >= 64) {
        quantum = since / passed * READ_EVERY_TICKS;
        if (quantum < QUANTUM_MIN) quantum = QUANTUM_MIN;
        if (quantum > QUANTUM_MAX) quantum = QUANTUM_MAX;
    } else {
        quantum += quantum / 8 + 1;
    }
    return 1;
}
