/* Types, port access and the small things every part of the guest needs. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

#define PAGE_BYTES 4096ul
#define PAGE_WORDS 512ul
#define ALL (~0ul)

static inline void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out16(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out32(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static inline u8 in8(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u16 in16(u16 port) { u16 v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 in32(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }

static inline u64 read_tsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

/* Orders stores for a reader of a memory dump; costs nothing. */
static inline void in_order(void) { __asm__ volatile("" ::: "memory"); }
static inline void fence(void) { __asm__ volatile("mfence" ::: "memory"); }
static inline int same_text(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

/* What a run was asked for; args.c fills it. Sizes in bytes. */
enum { IDLE, STRESS, UNIFORM, ZIPF, SWEEP, PHASED, MIXED, WORKLOAD_COUNT };
enum { BODY_ZERO, BODY_TEXT, BODY_RANDOM, BODY_COUNT };

struct options {
    u64 workload, body, memory, fill, fill_at, hot, hot_at, rate, seed, zipf_milli, busy_ms, quiet_ms, beat_ms;
    u64 disk, disk_rate, disk_log;
};

extern struct options options;
extern const char *const workload_names[WORKLOAD_COUNT];
extern const char *const body_names[BODY_COUNT];
const char *parse_arguments(const char *command_line);

/* serial.c: COM1, polled, never waits for the host. */
void serial_start(void);
void serial_pump(void);
int serial_receive(void);
void line_text(const char *text);
void line_number(u64 value);
void line_hex(u64 value);
void line_pair(const char *key, u64 value);
void line_end(void);
void __attribute__((noreturn)) die(const char *what, const char *detail);

/* clock.c: the ACPI PM timer extended to 64 bits; it migrates, and stops while the VM is stopped. */
#define CLOCK_HZ 3579545ul
void clock_start(void);
u64 clock_now(void);            /* as of the last clock_due() that said yes */
int clock_due(void);            /* reads the timer about every 250 us, else returns 0 */
static inline u64 clock_ms(u64 ticks) { return ticks * 1000 / CLOCK_HZ; }

/* pci.c */
u32 pci_read(u32 device, u32 offset);
void pci_write(u32 device, u32 offset, u32 value);
u32 pci_find(u32 vendor_device);  /* device << 3 | function on bus 0, or ~0u */

/* interrupts.c: a 1 kHz tick that ends hlt, nothing else. */
void interrupts_start(void);
static inline void wait_for_tick(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }

/* power.c: fixed-point powers, so that every host draws the same pages. */
u64 zipf_rank(u32 uniform, u64 count, u64 exponent_milli);

/* disk.c */
void disk_start(void);
void disk_poll(void);

/* What the host reads in a RAM dump, at a fixed address. Keep in step with facts.ts. */
#define FACTS_MAGIC 0x3153544346574447ul /* "GDWFCTS1" */
#define REGION_COUNT 4
struct facts {
    u64 magic, seed, workload, body;
    u64 page_count, filled, fill_at, hot, hot_at;   /* in pages; hot_at counts from fill_at */
    u64 table_address, mirror_address;              /* u32 counters, and their complements */
    u64 written, in_flight;                         /* pages written so far; page number being written, or 0 */
    u64 beats, disk_sequence, running, verifying;
    u64 region_count;
    struct { u64 first_page, page_count; } regions[REGION_COUNT];
};
extern struct facts facts;

/* memory.c */
void memory_start(u32 multiboot_magic, const void *multiboot_info);
u64 page_number_of(u64 index);
int is_filled(u64 index);
static inline u64 *page_at(u64 page_number) { return (u64 *)(page_number * PAGE_BYTES); }
extern u32 *table, *mirror;
