/*
 * The guest: fills memory, runs one workload at its rate, beats, and answers the host's commands. Everything
 * is polled from one loop, so that there is no state outside RAM and registers that a migration could miss.
 */
#include "content.h"

#define COST_OF_PAGE (PAGE_BYTES * CLOCK_HZ)    /* credit is counted in bytes x ticks per second */
#define STRESS_BATCH 16

static u64 next_beat, credit, last_credit_at, draw_state, sweep_at;
static u64 zipf_stride = 1;

static void beat(void)
{
    u64 now = clock_now(), interval = options.beat_ms * CLOCK_HZ / 1000;
    if (now < next_beat) return;
    next_beat += interval;
    if (next_beat <= now) next_beat = now + interval;
    line_text("H ");
    line_number(++facts.beats);
    line_text(" ");
    line_number(clock_ms(now));
    line_text(" ");
    line_number(facts.written);
    if (options.disk) line_text(" "), line_number(facts.disk_sequence);
    line_end();
}

/* What must never wait for a workload or a verification; true when time has moved on. */
static int tick(void)
{
    if (!clock_due()) return 0;
    beat();
    serial_pump();
    if (options.disk) disk_poll();
    return 1;
}

static u32 draw(void)
{
    draw_state = xorshift64(draw_state);
    return draw_state >> 32;
}

/* The index of the next page to write. */
static u64 next_page(void)
{
    u64 hot = facts.hot, at;
    switch (options.workload) {
    case STRESS:
    case SWEEP:
        at = sweep_at;
        if (++sweep_at >= hot) sweep_at = 0;
        break;
    case ZIPF:
        at = zipf_rank(draw(), hot, options.zipf_milli) * zipf_stride % hot;
        break;
    default:
        at = (u64)draw() * hot >> 32;
    }
    return facts.fill_at + facts.hot_at + at;
}

static void write_next_page(void)
{
    u64 index = next_page(), page_number = page_number_of(index), *page = page_at(page_number);
    facts.in_flight = page_number;
    in_order();
    u32 counter = ++table[index];
    mirror[index] = ~counter;
    facts.written++;
    if (options.workload == STRESS) {
        page[0] = page_word0(page_lanes(options.seed, page_number), counter);
    } else if (options.workload == MIXED) {
        struct lanes lanes = page_lanes(options.seed, page_number);
        page[0] = page_word0(lanes, counter);
        write_segment(page, lanes, counter, counter % SEGMENT_COUNT);
    } else {
        write_page(page, page_number, counter);
    }
    in_order();
    facts.in_flight = 0;
}

static int quiet_phase(void)
{
    return options.workload == PHASED && clock_ms(clock_now()) % (options.busy_ms + options.quiet_ms) >= options.busy_ms;
}

/* Credit grows with the clock, at most 50 ms of it, so that nothing is caught up in a burst. */
static void earn(void)
{
    u64 now = clock_now(), passed = now - last_credit_at, most = options.rate * (CLOCK_HZ / 20);
    last_credit_at = now;
    if (options.rate == ALL) return;
    if (most < COST_OF_PAGE) most = COST_OF_PAGE;
    credit += passed > CLOCK_HZ ? most : passed * options.rate;
    if (credit > most) credit = most;
}

/* Writes until the clock is worth reading again, or the credit is spent: false if there was nothing to do. */
static int work(void)
{
    int batch = options.workload == STRESS ? STRESS_BATCH : 1;
    if (!facts.running || options.workload == IDLE) return 0;
    if (quiet_phase()) return credit = 0;
    if (options.rate != ALL && credit < COST_OF_PAGE) return 0;
    do {
        for (int i = 0; i < batch; i++) {
            if (options.rate != ALL) {
                if (credit < COST_OF_PAGE) return 1;
                credit -= COST_OF_PAGE;
            }
            write_next_page();
        }
    } while (!tick());
    return 1;
}

static u64 scratch[PAGE_WORDS] __attribute__((aligned(4096)));

static int page_is_good(u64 index, u64 *checksum)
{
    u64 page_number = page_number_of(index), *page = page_at(page_number), difference = 0;
    if (is_filled(index)) {
        write_page(scratch, page_number, table[index]);
        for (u64 i = 0; i < PAGE_WORDS; i++) difference |= page[i] ^ scratch[i];
    } else {
        for (u64 i = 0; i < PAGE_WORDS; i++) difference |= page[i];
    }
    *checksum = xorshift64(*checksum + page[0] + 1);
    return difference == 0 && table[index] == ~mirror[index];
}

/*
 * V <pages> <bad> <first bad or -1> <checksum> <table rows that disagree> <1 if the counters add
 * up to pages written>
 */
static void verify(void)
{
    u64 bad = 0, first = ALL, rows = 0, sum = 0, checksum = 1;
    facts.verifying = 1;
    for (u64 index = 0; index < facts.page_count; index++) {
        if (!page_is_good(index, &checksum)) {
            if (bad++ == 0) first = index;
        }
        if (table[index] != ~mirror[index]) rows++;
        sum += table[index];
        tick();
    }
    facts.verifying = 0;
    line_text("V ");
    line_number(facts.page_count);
    line_text(" ");
    line_number(bad);
    line_text(" ");
    if (first == ALL) line_text("-1");
    else line_number(first);
    line_text(" ");
    line_hex(checksum);
    line_text(" ");
    line_number(rows);
    line_text(sum == facts.written ? " 1" : " 0");
    line_end();
}

static void answer(const char *what)
{
    line_text("S ");
    line_text(what);
    line_text(" ");
    line_number(facts.written);
    line_end();
}

/* Deliberate damage, so that tests can see the checks fail. */
static int damage(const char *command, u64 index)
{
    if (index >= facts.page_count || !is_filled(index)) return 0;
    u64 page_number = page_number_of(index);
    if (same_text(command, "poke")) page_at(page_number)[PAGE_WORDS - 1] ^= 1;
    else if (same_text(command, "stale") && table[index]) write_page(page_at(page_number), page_number, table[index] - 1);
    else if (same_text(command, "stalerow") && table[index]) table[index]--;
    else return 0;
    answer(command);
    return 1;
}

static void obey(char *command)
{
    u64 index = 0;
    char *space = command;
    while (*space && *space != ' ') space++;
    if (*space) {
        *space = 0;
        for (char *digit = space + 1; *digit >= '0' && *digit <= '9'; digit++) index = index * 10 + (*digit - '0');
        if (damage(command, index)) return;
    } else if (same_text(command, "verify")) {
        facts.running = 0;
        return verify();
    } else if (same_text(command, "stop")) {
        facts.running = 0;
        return answer("stopped");
    } else if (same_text(command, "resume")) {
        facts.running = 1;
        credit = 0;
        return answer("running");
    }
    line_text("E command ");
    line_text(command);
    line_end();
}

static void receive(void)
{
    static char command[64];
    static u32 length;
    for (int byte = serial_receive(); byte >= 0; byte = serial_receive()) {
        if (byte == '\r') continue;
        if (byte != '\n') {
            if (length < sizeof command - 1) command[length++] = byte;
            continue;
        }
        command[length] = 0;
        if (length) obey(command);
        length = 0;
    }
}

static void announce(u64 fill_ticks)
{
    line_text("G ready workload=");
    line_text(workload_names[options.workload]);
    line_text(" body=");
    line_text(body_names[options.body]);
    line_pair("seed", options.seed);
    line_pair("pages", facts.page_count);
    line_pair("filled", facts.filled);
    line_pair("fillat", facts.fill_at);
    line_pair("hot", facts.hot);
    line_pair("hotat", facts.hot_at);
    line_pair("rate", options.rate == ALL ? 0 : options.rate);
    line_pair("beat", options.beat_ms);
    line_pair("zipf", options.zipf_milli);
    line_pair("busy", options.busy_ms);
    line_pair("quiet", options.quiet_ms);
    line_pair("disk", options.disk);
    line_pair("diskrate", options.disk_rate);
    line_pair("disklog", options.disk_log);
    line_pair("facts", (u64)&facts);
    line_pair("fillms", clock_ms(fill_ticks));
    line_end();
}

/* Odd and near hot x 0.618, made coprime, so that neighbours in heat are far apart in address. */
static void choose_zipf_stride(void)
{
    for (zipf_stride = (facts.hot * 618 / 1000) | 1;; zipf_stride += 2) {
        u64 a = zipf_stride, b = facts.hot;
        while (b) { u64 rest = a % b; a = b; b = rest; }
        if (a == 1) return;
    }
}

void guest_main(u32 magic, const void *info)
{
    serial_start();
    interrupts_start();
    memory_start(magic, info);
    clock_start();
    dictionary_start();
    line_text("G boot");
    line_pair("pages", facts.page_count);
    line_end();
    draw_state = segment_state(page_lanes(options.seed, 0xffffffff), 0, 0);
    if (facts.hot) choose_zipf_stride();
    for (u64 at = 0; at < facts.filled; at++) {
        u64 page_number = page_number_of(facts.fill_at + at);
        write_page(page_at(page_number), page_number, 0);
        clock_due();
    }
    if (options.disk) disk_start();
    announce(clock_now());
    facts.running = 1;
    last_credit_at = clock_now();
    next_beat = clock_now();
    for (;;) {
        tick();
        earn();
        receive();
        if (!work()) {
            wait_for_tick();
        }
    }
}
