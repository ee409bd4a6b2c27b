/** A QEMU command line as its options. Not responsible for what they mean. */

export interface Argument {
  /** Without its dashes. A word without any is the image of the first disk: `hda`. */
  readonly flag: string;
  /** null: the option takes none. */
  readonly value: string | null;
}

/** Options without a value (QEMU: qemu-options.hx, those without HAS_ARG, of 5.2 to 11.1). */
const ALONE: ReadonlySet<string> = new Set([
  ...['h', 'help', 'version', 'S', 's', 'snapshot', 'daemonize', 'nographic', 'nodefaults', 'nodefconfig'],
  ...['no-user-config', 'enable-kvm', 'no-acpi', 'no-hpet', 'mem-prealloc', 'full-screen', 'curses', 'sdl'],
  ...['no-reboot', 'no-shutdown', 'no-fd-bootchk', 'usb', 'singlestep', 'one-insn-per-tb', 'preconfig'],
  ...['only-migratable', 'portrait', 'win2k-hack', 'no-quit', 'alt-grab', 'ctrl-grab', 'no-frame', 'perfmap'],
  ...['jitdump', 'xen-attach', 'xen-domid-restrict', 'semihosting', 'old-param', 'enable-fips', 'audio-help'],
  ...[
    'enable-sync-profile',
    'show-cursor',
    'no-kvm',
    'no-kvm-irqchip',
    'no-kvm-pit-reinjection',
    'rtc-td-hack',
  ],
]);

export function splitArguments(words: readonly string[]): Argument[] {
  const found: Argument[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    const flag = /^--?(.+)$/.exec(word)?.[1];
    if (flag === undefined) found.push({ flag: 'hda', value: word });
    else if (ALONE.has(flag)) found.push({ flag, value: null });
    else found.push({ flag, value: words[++index] ?? '' });
  }
  return found;
}

export function joinArguments(all: readonly Argument[]): string[] {
  return all.flatMap(({ flag, value }) => (value === null ? [`-${flag}`] : [`-${flag}`, value]));
}
