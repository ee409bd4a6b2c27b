/*
 * Who owns which RAM: page tables, the two counter tables, then data pages, in this order above the image.
 * RAM below 1 MiB belongs to the firmware and is left alone.
 */
#include "machine.h"

#define MULTIBOOT_LOADED 0x2BADB002
#define GIB (1ul << 30)
#define LARGE_PAGE (1ul << 21)
#define TRACES_PAGES (32ul << 20 >> 12)
#define RANGES_MAX 32

struct __attribute__((packed)) map_entry { u32 size; u64 base, length; u32 type; };
struct __attribute__((packed)) loader_info { u32 flags, lower, upper, device, command_line, modules[2], symbols[4], map_length, map_address; };

struct range { u64 base, end; };

struct facts facts __attribute__((section(".bss.facts"), aligned(4096)));
u32 *table, *mirror;
extern u64 page_directory_pointers[];
extern const char image_end[];

static struct range ranges[RANGES_MAX];
static u64 range_count;

static void read_map(const struct loader_info *info)
{
    u64 at = info->map_address, end = at + info->map_length;
    while (at < end) {
        const struct map_entry *entry = (const struct map_entry *)at;
        u64 base = entry->base, top = base + entry->length;
        if (entry->type == 1 && base < (u64)image_end && top > (u64)image_end) base = (u64)image_end;
        base = (base + PAGE_BYTES - 1) & -PAGE_BYTES;
        top &= -PAGE_BYTES;
        if (entry->type == 1 && base >= (u64)image_end && top > base) {
            if (range_count == RANGES_MAX) die("memory: too many RAM ranges", 0);
            ranges[range_count++] = (struct range){base, top};
        }
        at += entry->size + 4;
    }
    if (range_count == 0) die("memory: the loader named no RAM above 1 MiB", 0);
}

/* Zeroed pages from the first range, which lies right above the image. */
static u64 take(u64 bytes, const char *what)
{
    u64 address = ranges[0].base;
    bytes = (bytes + PAGE_BYTES - 1) & -PAGE_BYTES;
    if (ranges[0].end - address < bytes) die("memory: too little RAM below 4 GiB for", what);
    ranges[0].base += bytes;
    for (u64 *word = (u64 *)address; word < (u64 *)(address + bytes); word++) *word = 0;
    return address;
}

static void map_everything(void)
{
    u64 top = ranges[range_count - 1].end;
    for (u64 i = 0; i < range_count; i++) if (ranges[i].end > top) top = ranges[i].end;
    if (top > 512 * GIB) die("memory: more than 512 GiB", 0);
    for (u64 gib = 1; gib * GIB < top; gib++) {
        u64 *directory = (u64 *)take(PAGE_BYTES, "page tables");
        for (u64 i = 0; i < 512; i++) directory[i] = gib * GIB + i * LARGE_PAGE + 0x83;
        page_directory_pointers[gib] = (u64)directory + 3;
    }
    u64 cr3;
    __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3)::"memory");
}

static void name_data_pages(void)
{
    u64 left = options.memory / PAGE_BYTES;
    for (u64 i = 0; i < range_count && left; i++) {
        u64 count = (ranges[i].end - ranges[i].base) / PAGE_BYTES;
        if (count == 0) continue;
        if (facts.region_count == REGION_COUNT) die("memory: RAM is in too many pieces", 0);
        if (count > left) count = left;
        facts.regions[facts.region_count].first_page = ranges[i].base / PAGE_BYTES;
        facts.regions[facts.region_count++].page_count = count;
        facts.page_count += count;
        left -= count;
    }
}

u64 page_number_of(u64 index)
{
    u64 region = 0;
    while (index >= facts.regions[region].page_count) index -= facts.regions[region++].page_count;
    return facts.regions[region].first_page + index;
}

static u64 least(u64 a, u64 b) { return a < b ? a : b; }

int is_filled(u64 index) { return index - facts.fill_at < facts.filled; }

/*
 * Firmware and loader leave traces at both ends of the RAM below 4 GiB. Only those ends are read and only
 * pages that hold any are written: reading alone makes a shared memory backend allocate. A trace elsewhere
 * would show as a bad page.
 */
static void clear_unfilled(void)
{
    for (u64 index = 0; index < facts.page_count; index++) {
        u64 from_end = facts.regions[0].page_count - 1 - index;
        if (from_end >= facts.page_count) return;
        if (is_filled(index) || (index >= TRACES_PAGES && from_end >= TRACES_PAGES)) continue;
        u64 number = page_number_of(index), *page = page_at(number), seen = 0;
        for (u64 i = 0; i < PAGE_WORDS; i += 4) seen |= page[i] | page[i + 1] | page[i + 2] | page[i + 3];
        if (seen) for (u64 i = 0; i < PAGE_WORDS; i++) page[i] = 0;
    }
}

/*
 * Options are rounded to what there is, and the rounded figures are what `G ready` and the facts page tell.
 */
void memory_start(u32 magic, const void *info)
{
    static char command_line[2048];
    const struct loader_info *loader = info;
    if (magic != MULTIBOOT_LOADED || (loader->flags & 0x44) != 0x44) die("loader: not multiboot, or no map or command line", 0);
    const char *from = (const char *)(u64)loader->command_line;
    for (u64 i = 0; i < sizeof command_line - 1 && from[i]; i++) command_line[i] = from[i];
    read_map(loader);
    const char *wrong = parse_arguments(command_line);
    if (wrong) die("argument", wrong);
    map_everything();

    u64 rows = 0;
    for (u64 i = 0; i < range_count; i++) rows += (ranges[i].end - ranges[i].base) / PAGE_BYTES;
    rows = least(rows, options.memory / PAGE_BYTES);
    facts.table_address = take(rows * 4, "the counter table");
    facts.mirror_address = take(rows * 4, "the counter mirror");
    table = (u32 *)facts.table_address;
    mirror = (u32 *)facts.mirror_address;
    name_data_pages();
    for (u64 i = 0; i < facts.page_count; i++) mirror[i] = ~0u;

    facts.seed = options.seed;
    facts.workload = options.workload;
    facts.body = options.body;
    facts.fill_at = least(options.fill_at / PAGE_BYTES, facts.page_count);
    facts.filled = least(options.fill / PAGE_BYTES, facts.page_count - facts.fill_at);
    facts.hot_at = options.hot_at / PAGE_BYTES;
    if (facts.hot_at >= facts.filled && options.workload != IDLE) die("argument hotat: no filled page there", 0);
    facts.hot = least(options.hot / PAGE_BYTES, facts.filled - least(facts.hot_at, facts.filled));
    clear_unfilled();
    facts.magic = FACTS_MAGIC;
}
