/*
 * IDT, PIC and PIT: exceptions are reported and end the run; a periodic tick ends hlt. Periodic, so that a
 * lost one costs 1 ms.
 */
#include "machine.h"

struct gate { u16 low, selector, type; u16 middle; u32 high, reserved; };
static struct gate idt[256];
extern const char exception_stubs[], irq_timer[], irq_ignored[];

static void set_gate(int vector, const char *handler)
{
    u64 address = (u64)handler;
    idt[vector] = (struct gate){address, 8, 0x8e00, address >> 16, address >> 32, 0};
}

void guest_fault(u64 vector, u64 top, u64 second, u64 cr2)
{
    line_text("E fault");
    line_pair("vector", vector);
    line_text(" stack=");
    line_hex(top);
    line_text(",");
    line_hex(second);
    line_text(" cr2=");
    line_hex(cr2);
    line_end();
}

void interrupts_start(void)
{
    for (int vector = 0; vector < 256; vector++) set_gate(vector, irq_ignored);
    for (int vector = 0; vector < 32; vector++) set_gate(vector, exception_stubs + vector * 16);
    set_gate(0x20, irq_timer);
    struct __attribute__((packed)) { u16 limit; u64 base; } pointer = {sizeof idt - 1, (u64)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer));
    out8(0x20, 0x11), out8(0xa0, 0x11);     /* PIC: vectors 0x20 and 0x28, only IRQ 0 open */
    out8(0x21, 0x20), out8(0xa1, 0x28);
    out8(0x21, 4), out8(0xa1, 2);
    out8(0x21, 1), out8(0xa1, 1);
    out8(0x21, 0xfe), out8(0xa1, 0xff);
    out8(0x43, 0x34);                       /* PIT channel 0, mode 2, 1193182 / 1193 = 1 kHz */
    out8(0x40, 1193 & 255), out8(0x40, 1193 >> 8);
}
