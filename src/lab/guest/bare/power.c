/*
 * Bounded Pareto ranks by fixed-point logarithm and power (32 fraction bits): the continuous
 * form of Zipf's law.
 */
#include "machine.h"

typedef unsigned __int128 u128;
#define ONE (1ul << 32)
#define LN2 2977044472ul    /* ln 2 x 2^32 */

/* log2 of x / 2^32, in 1/2^32; x > 0. */
static s64 log2_fixed(u64 x)
{
    int top = 63 - __builtin_clzl(x);
    s64 result = ((s64)top - 32) * (s64)ONE;
    u64 mantissa = x << (63 - top);         /* 1.63 */
    for (u64 bit = ONE >> 1; bit; bit >>= 1) {
        u128 square = (u128)mantissa * mantissa;
        if (square >> 127) result += bit, mantissa = square >> 64;
        else mantissa = square >> 63;
    }
    return result;
}

/* 2^(y / 2^32) x 2^32; saturates. */
static u64 exp2_fixed(s64 y)
{
    s64 whole = y >> 32;
    if (whole < -33) return 0;
    if (whole > 30) return ~0ul;
    u64 z = (y & (ONE - 1)) * LN2 >> 32, term = ONE, sum = ONE;
    for (u64 k = 1; k < 14; k++) sum += term = (term * z >> 32) / k;
    return whole >= 0 ? sum << whole : sum >> -whole;
}

/* A rank in 0 .. count - 1 with weight about (rank + 1)^-s; `uniform` is a 32-bit random number. */
u64 zipf_rank(u32 uniform, u64 count, u64 exponent_milli)
{
    s64 log_most = log2_fixed((count + 1) << 32);
    u64 position;                           /* in 1 .. count + 1, 32 fraction bits */
    if (exponent_milli == 1000) {
        position = exp2_fixed((s64)((u128)log_most * uniform >> 32));
    } else {
        s64 power = 1000 - (s64)exponent_milli;
        s64 most = (s64)exp2_fixed(log_most * power / 1000);
        s64 mixed = (s64)ONE + (s64)(((__int128)(most - (s64)ONE) * uniform) >> 32);
        if (mixed < 1) mixed = 1;
        position = exp2_fixed(log2_fixed(mixed) * 1000 / power);
    }
    u64 rank = position >> 32;
    if (rank < 1) rank = 1;
    return rank > count ? count - 1 : rank - 1;
}
