/*
 * A sequenced log on a virtio-blk disk (legacy I/O interface, which transitional devices offer), one request
 * at a time, polled. Each record's sector is read first: a record there that is as new as ours means that
 * another copy of this guest writes.
 */
#include "content.h"

#define VIRTIO_BLK_TRANSITIONAL 0x10011af4u
#define SECTOR 512
#define SECTOR_WORDS 64
#define QUEUE_MAX 1024
#define LOG_MAGIC 0x31474f4c57444f47ul /* "GODWLOG1" */
enum { TYPE_IN = 0, TYPE_OUT = 1 };
enum { NEXT = 1, DEVICE_WRITES = 2 };
enum { RESTING, READING, WRITING };

struct descriptor { u64 address; u32 length; u16 flags, next; };
struct used_ring { u16 flags, index; struct { u32 id, length; } ring[]; };
struct avail_ring { u16 flags, index, ring[]; };

/* Legacy layout: descriptors and avail, then used on the next page. */
static u8 queue[16 * QUEUE_MAX + PAGE_BYTES + 8 * QUEUE_MAX + 2 * PAGE_BYTES] __attribute__((aligned(4096)));
static u64 sector[SECTOR_WORDS] __attribute__((aligned(512)));
static struct { u32 type, reserved; u64 sector; } request;
static volatile u8 request_status;

static u16 port, queue_size, used_seen;
static struct descriptor *descriptors;
static volatile struct avail_ring *avail;
static volatile struct used_ring *used;
static int phase;
static u64 next_due, records;

void disk_start(void)
{
    u32 device = pci_find(VIRTIO_BLK_TRANSITIONAL);
    if (device == ~0u) die("disk: no transitional virtio-blk device on PCI bus 0", 0);
    u32 bar = pci_read(device, 0x10);
    if (!(bar & 1) || !(bar & 0xfffc)) die("disk: its I/O ports were not placed", 0);
    port = bar & 0xfffc;
    pci_write(device, 4, (pci_read(device, 4) & 0xffff) | 5);   /* I/O decoding, bus master */
    out8(port + 18, 0);
    out8(port + 18, 3);
    out32(port + 4, 0);
    out16(port + 14, 0);
    queue_size = in16(port + 12);
    if (queue_size < 3 || queue_size > QUEUE_MAX) die("disk: unusable queue size", 0);
    records = options.disk_log / SECTOR;
    u64 capacity = in32(port + 20) | (u64)in32(port + 24) << 32;
    if (capacity < records) die("disk: smaller than its log", 0);

    descriptors = (struct descriptor *)queue;
    avail = (struct avail_ring *)(queue + 16 * queue_size);
    used = (struct used_ring *)(queue + ((16 * queue_size + 6 + 2 * queue_size + PAGE_BYTES - 1) & -PAGE_BYTES));
    avail->flags = 1;               /* no interrupts */
    out32(port + 8, (u64)queue / PAGE_BYTES);
    out8(port + 18, 7);
    next_due = clock_now();
}

static void submit(u32 type, u64 sector_number)
{
    request.type = type;
    request.sector = sector_number;
    request_status = 0xff;
    descriptors[0] = (struct descriptor){(u64)&request, 16, NEXT, 1};
    descriptors[1] = (struct descriptor){(u64)sector, SECTOR, NEXT | (type == TYPE_IN ? DEVICE_WRITES : 0), 2};
    descriptors[2] = (struct descriptor){(u64)&request_status, 1, DEVICE_WRITES, 0};
    avail->ring[avail->index % queue_size] = 0;
    fence();
    avail->index++;
    fence();
    out16(port + 16, 0);
}

static u64 record_checksum(const u64 *record)
{
    u64 sum = LOG_MAGIC;
    for (int i = 0; i < SECTOR_WORDS - 1; i++) sum = (sum << 7 | sum >> 57) ^ record[i];
    return sum;
}

static void build_record(u64 sequence)
{
    struct lanes lanes = page_lanes(options.seed, sequence);
    u64 x = segment_state(lanes, 0, 0);
    for (int i = 0; i < SECTOR_WORDS; i++) sector[i] = x = xorshift64(x);
    sector[0] = LOG_MAGIC;
    sector[1] = sequence;
    sector[2] = options.seed;
    sector[3] = records;
    sector[4] = clock_ms(clock_now());
    sector[SECTOR_WORDS - 1] = record_checksum(sector);
}

static void disk_error(const char *what, u64 sequence)
{
    line_text("E disk ");
    line_text(what);
    line_pair("sequence", sequence);
    line_pair("status", request_status);
    line_end();
    phase = RESTING;
}

void disk_poll(void)
{
    static int retrying;
    u64 sequence = facts.disk_sequence + 1, place = (sequence - 1) % records;
    if (phase == RESTING) {
        if (clock_now() < next_due) return;
        next_due += CLOCK_HZ / options.disk_rate;
        if (next_due + CLOCK_HZ < clock_now()) next_due = clock_now();
        submit(TYPE_IN, place);
        phase = READING;
        return;
    }
    if (used->index == used_seen) return;
    fence();
    used_seen = used->index;
    if (request_status != 0) {
        if (phase == WRITING) retrying = 1;     /* it may be on the disk all the same */
        disk_error(phase == READING ? "read failed" : "write failed", sequence);
        return;
    }
    if (phase == READING) {
        u64 found = sector[0] == LOG_MAGIC && sector[2] == options.seed ? sector[1] : 0;
        if (found > sequence || (found == sequence && !retrying)) disk_error("foreign record", found);
        build_record(sequence);
        submit(TYPE_OUT, place);
        phase = WRITING;
    } else {
        facts.disk_sequence = sequence;
        retrying = 0;
        phase = RESTING;
    }
}
