/** What both halves of a migration between two hosts agree on. */

/**
 * TCP doubles its waiting time with every lost packet, so after a break it stays silent for about as long
 * again; a new connection does not. With a PING a second, this much silence means a broken connection.
 */
export const LINK_SILENCE_MS_MAX = 4_000;
