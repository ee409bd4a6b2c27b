// @ts-check
/**
 * What this Linux distribution is, how QEMU comes to it, and apt's sources files as text.
 * Pure: text in, text out. Not responsible for reading files or running commands.
 */

/**
 * @typedef {object} Distribution
 * @property {string} name for people
 * @property {'debian' | 'fedora' | 'arch' | 'other'} family
 * @property {string} id
 * @property {string} codename empty where the distribution has none
 */

/**
 * @param {string} osRelease the text of /etc/os-release
 * @returns {Distribution}
 */
export function parseOsRelease(osRelease) {
  /** @type {Record<string, string>} */
  const fields = {};
  for (const line of osRelease.split('\n')) {
    const match = /^([A-Z_]+)=(?:"(.*)"|'(.*)'|(.*))$/.exec(line.trim());
    if (match?.[1] !== undefined) fields[match[1]] = match[2] ?? match[3] ?? match[4] ?? '';
  }
  const id = fields['ID'] ?? 'linux';
  const kin = [id, ...(fields['ID_LIKE'] ?? '').split(' ')];
  const family = kin.some((name) => name === 'debian' || name === 'ubuntu')
    ? 'debian'
    : kin.some((name) => name === 'fedora' || name === 'rhel')
      ? 'fedora'
      : kin.includes('arch')
        ? 'arch'
        : 'other';
  return { name: fields['PRETTY_NAME'] ?? id, family, id, codename: fields['VERSION_CODENAME'] ?? '' };
}

/**
 * The suite that holds QEMU 10 where the distribution's own has an older one; null where its own must do.
 * @param {Distribution} distribution
 */
export function backportsSuite(distribution) {
  return distribution.id === 'debian' && distribution.codename === 'bookworm' ? 'bookworm-backports' : null;
}

/**
 * The commands a person types to get the packages.
 * @param {Distribution} distribution
 * @param {readonly import('./needs.mjs').Package[]} packages
 * @param {string | null} addSources the command that adds the suite; null where it is there or not needed
 * @returns {string[]}
 */
export function installCommands(distribution, packages, addSources) {
  switch (distribution.family) {
    case 'debian':
      return [
        ...(addSources === null ? [] : [addSources]),
        'sudo apt-get update',
        ...aptInstalls(backportsSuite(distribution), packages).map(({ argv }) => ['sudo', ...argv].join(' ')),
      ];
    case 'fedora':
      return [`sudo dnf install ${packageNames(packages, 'fedora').join(' ')}`];
    case 'arch':
      return [`sudo pacman -S --needed ${packageNames(packages, 'arch').join(' ')}`];
    case 'other':
      return [`install, by this system's own means: ${packages.map((entry) => entry.program).join(', ')}`];
  }
}

/**
 * One command for what comes from `suite`, and one for what must not.
 * @param {string | null} suite
 * @param {readonly import('./needs.mjs').Package[]} packages
 * @returns {{ argv: string[], names: string[] }[]}
 */
export function aptInstalls(suite, packages) {
  const fromSuite = packages.filter((entry) => suite === null || entry.ownSuite !== true);
  const others = packages.filter((entry) => !fromSuite.includes(entry));
  return [
    { suite, names: packageNames(fromSuite, 'debian') },
    { suite: null, names: packageNames(others, 'debian') },
  ]
    .filter(({ names }) => names.length > 0)
    .map(({ suite: from, names }) => ({ argv: aptInstall(from, names), names }));
}

/**
 * @param {string | null} suite
 * @param {readonly string[]} names
 * @returns {string[]}
 */
function aptInstall(suite, names) {
  return [
    'apt-get',
    'install',
    '-y',
    ...(suite === null ? [] : ['-t', suite]),
    '--no-install-recommends',
    ...names,
  ];
}

/**
 * @param {readonly import('./needs.mjs').Package[]} packages
 * @param {'debian' | 'fedora' | 'arch'} family
 */
function packageNames(packages, family) {
  return [...new Set(packages.map((entry) => entry.names[family]))];
}

/**
 * @typedef {{ path: string, text: string }} SourcesFile one of apt's; the format follows from the name
 * @typedef {{ extension: 'sources' | 'list', text: string }} DerivedSources
 */

/**
 * Does one of the files offer `suite` already?
 * @param {readonly SourcesFile[]} files
 * @param {string} suite
 */
export function offersSuite(files, suite) {
  return files.some((file) => entriesOf(file).some((entry) => entry.suites.includes(suite)));
}

/**
 * The entry for `codename`, its suite replaced by `suite`: the same mirror, key and options that the machine
 * already trusts. Null where no file has such an entry.
 * @param {readonly SourcesFile[]} files
 * @param {string} codename
 * @param {string} suite
 * @returns {DerivedSources | null}
 */
export function deriveSources(files, codename, suite) {
  for (const file of files) {
    const entry = entriesOf(file).find((candidate) => candidate.suites.includes(codename));
    if (entry !== undefined) return entry.withSuite(suite);
  }
  return null;
}

/** @param {string} suite @param {DerivedSources} derived */
export function sourcesPath(suite, derived) {
  return `/etc/apt/sources.list.d/godwit-${suite}.${derived.extension}`;
}

/**
 * The one shell command that writes the derived entry.
 * @param {string} suite
 * @param {DerivedSources} derived
 */
export function addSourcesCommand(suite, derived) {
  const quoted = derived.text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/'/g, "'\\''");
  return `printf '%b' '${quoted}' | sudo tee ${sourcesPath(suite, derived)}`;
}

/**
 * @typedef {{ suites: readonly string[], withSuite: (suite: string) => DerivedSources }} Entry
 * @param {SourcesFile} file
 * @returns {Entry[]}
 */
function entriesOf(file) {
  return file.path.endsWith('.sources') ? deb822Entries(file.text) : oneLineEntries(file.text);
}

/** @param {string} text @returns {Entry[]} */
function deb822Entries(text) {
  const lines = text.split(/\r?\n/).filter((line) => !line.startsWith('#'));
  return lines
    .join('\n')
    .split(/\n\s*\n/)
    .map(parseStanza)
    .filter((stanza) => wordsOf(stanza, 'types').includes('deb') && !isDisabled(stanza))
    .map((stanza) => ({
      suites: wordsOf(stanza, 'suites'),
      withSuite: (suite) => ({ extension: 'sources', text: formatStanza(stanza, suite) }),
    }));
}

/**
 * @typedef {Map<string, { name: string, value: string }>} Stanza a field's value keeps its continuation lines
 * @param {string} text
 * @returns {Stanza}
 */
function parseStanza(text) {
  /** @type {Stanza} */
  const stanza = new Map();
  let last = '';
  for (const line of text.split('\n')) {
    const match = /^([A-Za-z][A-Za-z-]*):\s*(.*)$/.exec(line);
    const open = stanza.get(last);
    if (match?.[1] !== undefined) {
      last = match[1].toLowerCase();
      stanza.set(last, { name: match[1], value: match[2] ?? '' });
    } else if (open !== undefined && /^\s/.test(line)) {
      open.value += `\n${line}`;
    }
  }
  return stanza;
}

/** @param {Stanza} stanza @param {string} field */
function wordsOf(stanza, field) {
  return (stanza.get(field)?.value ?? '').split(/\s+/).filter((word) => word !== '');
}

/** @param {Stanza} stanza */
function isDisabled(stanza) {
  return /^(no|false|off|0)$/i.test(stanza.get('enabled')?.value.trim() ?? 'yes');
}

/** @param {Stanza} stanza @param {string} suite */
function formatStanza(stanza, suite) {
  /** @type {Record<string, string>} */
  const replaced = { types: 'deb', suites: suite, components: 'main' };
  return [...stanza].map(([key, field]) => `${field.name}: ${replaced[key] ?? field.value}\n`).join('');
}

/** @param {string} text @returns {Entry[]} */
function oneLineEntries(text) {
  /** @type {Entry[]} */
  const entries = [];
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+\S/.exec(line.replace(/\s#.*$/, ''));
    if (match === null || match[2] === undefined || match[3] === undefined || match[2].startsWith('cdrom:'))
      continue;
    const [, options = '', uri, name] = match;
    entries.push({
      suites: [name],
      withSuite: (suite) => ({ extension: 'list', text: `deb ${options}${uri} ${suite} main\n` }),
    });
  }
  return entries;
}
