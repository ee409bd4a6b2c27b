/*
 * The command line: key=value words. An unknown or malformed one stops the guest, so that no
 * run measures something else.
 */
#include "machine.h"

const char *const workload_names[WORKLOAD_COUNT] = {"idle", "stress", "uniform", "zipf", "sweep", "phased", "mixed"};
const char *const body_names[BODY_COUNT] = {"zero", "text", "random"};

/* The same defaults as GUEST_DEFAULTS in options.ts; a live test compares them. */
struct options options = {
    .workload = IDLE, .body = ALL, .memory = ALL, .fill = ALL, .fill_at = 0, .hot = ALL, .hot_at = 0, .rate = ALL, .seed = 1,
    .zipf_milli = 990, .busy_ms = 2000, .quiet_ms = 2000, .beat_ms = 10, .disk = 0, .disk_rate = 20, .disk_log = 1ul << 20,
};

static const struct { const char *name; u64 *value; char kind; u64 least, most; } arguments[] = {
    {"workload", &options.workload, 'w', 0, 0},
    {"body", &options.body, 'b', 0, 0},
    {"memory", &options.memory, 's', 1ul << 20, ALL},
    {"fill", &options.fill, 's', 0, ALL},
    {"fillat", &options.fill_at, 's', 0, ALL - 1},
    {"hot", &options.hot, 's', PAGE_BYTES, ALL},
    {"hotat", &options.hot_at, 's', 0, ALL - 1},
    {"rate", &options.rate, 's', PAGE_BYTES, ALL},
    {"seed", &options.seed, 'n', 0, 0xffffffff},
    {"zipf", &options.zipf_milli, 'm', 0, 2000},
    {"busy", &options.busy_ms, 'n', 1, 3600000},
    {"quiet", &options.quiet_ms, 'n', 1, 3600000},
    {"beat", &options.beat_ms, 'n', 1, 60000},
    {"disk", &options.disk, 'n', 0, 1},
    {"diskrate", &options.disk_rate, 'n', 1, 1000},
    {"disklog", &options.disk_log, 's', 4096, 1ul << 30},
};
#define ARGUMENT_COUNT (sizeof arguments / sizeof arguments[0])

static int parse_name(const char *text, const char *const *names, int count, u64 *value)
{
    for (int i = 0; i < count; i++) {
        if (same_text(text, names[i])) return *value = i, 1;
    }
    return 0;
}

/*
 * Digits; for kind 's' a suffix K, M, G or the words all and max; for 'm' up to
 * three decimals, in thousandths.
 */
static int parse_number(const char *text, char kind, u64 *value)
{
    u64 number = 0;
    int digits = 0;
    if (kind == 's' && (same_text(text, "all") || same_text(text, "max"))) return *value = ALL, 1;
    for (; *text >= '0' && *text <= '9' && digits < 16; text++, digits++) number = number * 10 + (*text - '0');
    if (digits == 0) return 0;
    if (kind == 'm') {
        number *= 1000;
        if (*text == '.') text++;
        for (u64 scale = 100; *text >= '0' && *text <= '9' && scale; text++, scale /= 10) number += (*text - '0') * scale;
    }
    if (kind == 's' && *text) {
        int shift = *text == 'K' ? 10 : *text == 'M' ? 20 : *text == 'G' ? 30 : 0;
        if (!shift || number >> (63 - shift)) return 0;
        number <<= shift;
        text++;
    }
    *value = number;
    return *text == 0;
}

static int parse_argument(const char *name, const char *text)
{
    for (u64 i = 0; i < ARGUMENT_COUNT; i++) {
        if (!same_text(name, arguments[i].name)) continue;
        u64 *value = arguments[i].value;
        if (arguments[i].kind == 'w') return parse_name(text, workload_names, WORKLOAD_COUNT, value);
        if (arguments[i].kind == 'b') return parse_name(text, body_names, BODY_COUNT, value);
        return parse_number(text, arguments[i].kind, value) && *value >= arguments[i].least && *value <= arguments[i].most;
    }
    return 0;
}

/*
 * Returns the word at fault, or 0. The loader puts its file name first; `--` ends a name that holds spaces.
 */
const char *parse_arguments(const char *line)
{
    static char word[128];
    const char *after_name = line;
    while (*after_name && *after_name != ' ') after_name++;
    for (const char *at = line; *at; at++) {
        if (at[0] == ' ' && at[1] == '-' && at[2] == '-' && (at[3] == ' ' || !at[3])) after_name = at + 3;
    }
    for (line = after_name; *line;) {
        while (*line == ' ') line++;
        if (!*line) break;
        u64 length = 0, equals = 0;
        for (; *line && *line != ' '; line++) {
            if (length + 1 == sizeof word) return "(longer than 127 characters)";
            if (*line == '=' && !equals) equals = length;
            word[length++] = *line;
        }
        word[length] = 0;
        if (!equals) return word;
        word[equals] = 0;
        if (!parse_argument(word, word + equals + 1)) return word[equals] = '=', word;
    }
    if (options.body == ALL) options.body = options.workload == MIXED ? BODY_TEXT : BODY_RANDOM;
    return 0;
}
