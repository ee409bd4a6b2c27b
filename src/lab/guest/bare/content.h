/*
 * The content of a data page as a function of (seed, page number, write counter) under the run's workload
 * and body. content.ts is its twin; a change here is a change there. u32 arithmetic wherever the twin would
 * need a BigInt product.
 *
 *   word 0       counter | tag << 32        the only word that `stress` changes
 *   word 1       page number (physical address / 4096)
 *   word 2       both lanes of (seed, page number)
 *   word 3..511  body: 8 segments of 64 words, each from the version of the page that last rewrote it
 */
#pragma once
#include "machine.h"

#define SEGMENT_COUNT 8
#define SEGMENT_WORDS 64
#define HEADER_WORDS 3
#define DICTIONARY_WORDS 32

struct lanes { u32 low, high; };
extern u64 dictionary[DICTIONARY_WORDS];

static inline u32 mix32(u32 h)
{
    h ^= h >> 16;
    h *= 0x85ebca6b;
    h ^= h >> 13;
    h *= 0xc2b2ae35;
    return h ^ h >> 16;
}

static inline u64 xorshift64(u64 x)
{
    x ^= x << 13;
    x ^= x >> 7;
    return x ^ x << 17;
}

static inline struct lanes page_lanes(u32 seed, u32 page_number)
{
    u32 low = mix32(seed ^ mix32(page_number + 0x9e3779b9));
    u32 high = mix32((low + 0x7f4a7c15) ^ mix32(page_number ^ 0x2545f491));
    return (struct lanes){low, high};
}

static inline u64 page_word0(struct lanes lanes, u32 counter)
{
    return (u64)mix32(lanes.high + counter) << 32 | counter;
}

static inline u64 segment_state(struct lanes lanes, u32 version, u32 segment)
{
    u32 key = version * SEGMENT_COUNT + segment;
    u32 low = mix32(lanes.low ^ mix32(key));
    u32 high = mix32(lanes.high + mix32(key ^ 0x68e31da4));
    return (u64)high << 32 | (low | 1);
}

/* The write that last rewrote a segment of a page written `counter` times. */
static inline u32 segment_version(u32 counter, u32 segment)
{
    if (options.workload == STRESS) return 0;
    if (options.workload != MIXED) return counter;
    u32 age = (counter - segment) & (SEGMENT_COUNT - 1);
    return counter < age ? 0 : counter - age;
}

void dictionary_start(void);
void write_segment(u64 *page, struct lanes lanes, u32 version, u32 segment);
void write_page(u64 *page, u64 page_number, u32 counter);
