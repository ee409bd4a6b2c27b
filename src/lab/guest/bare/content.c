/* Generates page content. Not responsible for counters: main.c and verify.c own those. */
#include "content.h"

u64 dictionary[DICTIONARY_WORDS];

void dictionary_start(void)
{
    u64 x = 0x9e3779b97f4a7c15;
    for (int i = 0; i < DICTIONARY_WORDS; i++) dictionary[i] = x = xorshift64(x);
}

/* Always 64 words, so the loops unroll; write_page puts the header over the first three afterwards. */
static void random_segment(u64 *to, u64 x)
{
    for (int i = 0; i < SEGMENT_WORDS; i += 4) {
        to[i] = x = xorshift64(x);
        to[i + 1] = x = xorshift64(x);
        to[i + 2] = x = xorshift64(x);
        to[i + 3] = x = xorshift64(x);
    }
}

/* One fresh word, then three of 32 known ones: about 2.6 to 1 under zstd level 1, like code. */
static void text_segment(u64 *to, u64 x)
{
    for (int i = 0; i < SEGMENT_WORDS; i += 4) {
        to[i] = x = xorshift64(x);
        to[i + 1] = dictionary[x & 31];
        to[i + 2] = dictionary[x >> 8 & 31];
        to[i + 3] = dictionary[x >> 16 & 31];
    }
}

void write_segment(u64 *page, struct lanes lanes, u32 version, u32 segment)
{
    u64 *to = page + segment * SEGMENT_WORDS;
    u64 keep[HEADER_WORDS];
    if (segment == 0) for (int i = 0; i < HEADER_WORDS; i++) keep[i] = page[i];
    if (options.body == BODY_RANDOM) random_segment(to, segment_state(lanes, version, segment));
    else if (options.body == BODY_TEXT) text_segment(to, segment_state(lanes, version, segment));
    else for (int i = 0; i < SEGMENT_WORDS; i++) to[i] = 0;
    if (segment == 0) for (int i = 0; i < HEADER_WORDS; i++) page[i] = keep[i];
}

void write_page(u64 *page, u64 page_number, u32 counter)
{
    struct lanes lanes = page_lanes(options.seed, page_number);
    page[0] = page_word0(lanes, counter);
    page[1] = page_number;
    page[2] = (u64)lanes.high << 32 | lanes.low;
    for (u32 segment = 0; segment < SEGMENT_COUNT; segment++) {
        write_segment(page, lanes, segment_version(counter, segment), segment);
    }
}
