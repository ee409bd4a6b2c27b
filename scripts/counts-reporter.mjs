// @ts-check
/** A reporter for Node's test runner that writes only the run's counts, as JSON. */

/** @param {AsyncIterable<{ type: string, data: any }>} source */
export default async function* counts(source) {
  for await (const event of source) {
    // A file's own summary names the file; the whole run's does not.
    if (event.type !== 'test:summary' || event.data.file !== undefined) continue;
    const { passed, failed, cancelled, skipped, todo } = event.data.counts;
    yield JSON.stringify({ passed, failed: failed + cancelled, skipped: skipped + todo });
  }
}
