/*
 * COM1 without interrupts. Output goes through a ring that drops whole lines when the host does not read:
 * the guest never waits.
 */
#include "machine.h"

#define COM1 0x3f8
#define RING 8192u
#define FIFO 16

static char ring[RING];
static u32 ring_head, ring_tail;    /* head: next to send; tail: next free */
static char line[512];
static u32 line_length;

void serial_start(void)
{
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 0x80);
    out8(COM1, 1);                  /* 115200 baud */
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 3);
    out8(COM1 + 2, 7);
    out8(COM1 + 4, 3);
}

/*
 * As long as the UART takes a whole FIFO at once; one string instruction, because each exit
 * is dear under KVM.
 */
void serial_pump(void)
{
    while (ring_head != ring_tail && (in8(COM1 + 5) & 0x20)) {
        u32 from = ring_head % RING;
        u64 count = ring_tail - ring_head;
        if (count > FIFO) count = FIFO;
        if (count > RING - from) count = RING - from;
        ring_head += count;
        const char *source = ring + from;
        __asm__ volatile("rep outsb" : "+S"(source), "+c"(count) : "d"(COM1) : "memory");
    }
}

int serial_receive(void) { return in8(COM1 + 5) & 1 ? in8(COM1) : -1; }

void line_text(const char *text)
{
    while (*text && line_length < sizeof line - 1) line[line_length++] = *text++;
}

void line_number(u64 value)
{
    char digits[21];
    int at = 20;
    digits[20] = 0;
    do digits[--at] = '0' + value % 10;
    while (value /= 10);
    line_text(digits + at);
}

void line_hex(u64 value)
{
    char digit[2] = {0, 0};
    for (int shift = 60; shift >= 0; shift -= 4) {
        digit[0] = "0123456789abcdef"[value >> shift & 15];
        line_text(digit);
    }
}

void line_pair(const char *key, u64 value)
{
    line_text(" ");
    line_text(key);
    line_text("=");
    line_number(value);
}

void line_end(void)
{
    line[line_length++] = '\n';
    if (RING - (ring_tail - ring_head) >= line_length) {
        for (u32 i = 0; i < line_length; i++) ring[ring_tail++ % RING] = line[i];
    }
    line_length = 0;
    serial_pump();
}

void die(const char *what, const char *detail)
{
    line_length = 0;
    line_text("E ");
    line_text(what);
    if (detail) line_text(" "), line_text(detail);
    line_end();
    for (;;) {
        serial_pump();
        __asm__ volatile("pause");
    }
}
