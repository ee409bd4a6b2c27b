// @ts-check
/** The launchers' own option, `--yes`, told apart from those that are passed on. */

/**
 * @param {readonly string[]} args
 * @returns {{ assumeYes: boolean, rest: string[] }}
 */
export function splitOptions(args) {
  const rest = args.filter((arg) => arg !== '--yes');
  const fromEnvironment = /^(1|y|yes|true)$/i.test(process.env['GODWIT_YES'] ?? '');
  return { assumeYes: fromEnvironment || rest.length < args.length, rest };
}
