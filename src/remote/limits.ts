/** What both halves of a migration between two hosts agree on. */

/**
 * TCP doubles its patience with every packet that is lost, and so is late by as long as the network was
 * broken; a new connection is not. A PING a second makes this silence certain.
 */
export const LINK_SILENCE_MS_MAX = 4_000;
