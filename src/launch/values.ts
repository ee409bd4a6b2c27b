/**
 * The value of a QEMU option: `key=value,key=value` with doubled commas, or JSON. Read, changed and written
 * again, with what nobody asks for left as it was. Not responsible for what an option means.
 */

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface Value {
  get(key: string): string | null;
  /** In the place that the key had, else at the end. */
  set(key: string, value: string): Value;
  remove(key: string): Value;
  /** With each of its texts changed. */
  map(change: (text: string) => string): Value;
  readonly text: string;
}

/** `implied`: the key of a first word without one. */
export function parseValue(text: string, implied: string): Value {
  if (text.startsWith('{')) {
    const parsed = parseObject(text);
    if (parsed !== null) return new JsonValue(parsed);
  }
  return new ListValue(splitOptions(text, implied));
}

interface Option {
  readonly key: string;
  /** null: a word that stands alone: `server` is `server=on`, `nowait` is `wait=off`. */
  readonly value: string | null;
  /** The first word, whose key is not written. */
  readonly isImplied: boolean;
}

function splitOptions(text: string, implied: string): readonly Option[] {
  const words = text.match(/(?:[^,]|,,)+/g) ?? [];
  return words.map((word, index) => {
    const [, key, value] = /^([^=,]+)=(.*)$/s.exec(word) ?? [];
    if (key !== undefined && value !== undefined) {
      return { key, value: value.replaceAll(',,', ','), isImplied: false };
    }
    if (index === 0) return { key: implied, value: word.replaceAll(',,', ','), isImplied: true };
    return { key: word, value: null, isImplied: false };
  });
}

class ListValue implements Value {
  readonly #options: readonly Option[];

  constructor(options: readonly Option[]) {
    this.#options = options;
  }

  get(key: string): string | null {
    // The last one counts.
    for (const option of this.#options.toReversed()) {
      if (option.key === key) return option.value ?? 'on';
      if (option.value === null && option.key === `no${key}`) return 'off';
    }
    return null;
  }

  set(key: string, value: string): Value {
    const isKey = (option: Option) =>
      option.key === key || (option.value === null && option.key === `no${key}`);
    const first = this.#options.findIndex(isKey);
    if (first < 0) return new ListValue([...this.#options, { key, value, isImplied: false }]);
    const changed = { key, value, isImplied: this.#options[first]!.isImplied };
    return new ListValue(
      this.#options.flatMap((option, index) => (index === first ? [changed] : isKey(option) ? [] : [option])),
    );
  }

  remove(key: string): Value {
    return new ListValue(this.#options.filter((option) => option.key !== key));
  }

  map(change: (text: string) => string): Value {
    return new ListValue(
      this.#options.map((option) =>
        option.value === null ? option : { ...option, value: change(option.value) },
      ),
    );
  }

  get text(): string {
    const words = this.#options.map(({ key, value, isImplied }) => {
      if (value === null) return key;
      const escaped = value.replaceAll(',', ',,');
      return isImplied ? escaped : `${key}=${escaped}`;
    });
    return words.join(',');
  }
}

function parseObject(text: string): { readonly [key: string]: Json } | null {
  try {
    const value = JSON.parse(text) as Json;
    return value !== null && typeof value === 'object' && !Array.isArray(value)
      ? (value as { readonly [key: string]: Json })
      : null;
  } catch {
    return null;
  }
}

/** `file.filename` is the member of a member. */
class JsonValue implements Value {
  readonly #object: { readonly [key: string]: Json };

  constructor(object: { readonly [key: string]: Json }) {
    this.#object = object;
  }

  get(key: string): string | null {
    let found: Json | undefined = this.#object;
    for (const name of key.split('.')) {
      if (found === null || typeof found !== 'object' || Array.isArray(found)) return null;
      found = (found as { readonly [key: string]: Json })[name];
    }
    if (found === undefined || found === null || typeof found === 'object') return null;
    return typeof found === 'boolean' ? (found ? 'on' : 'off') : String(found);
  }

  set(key: string, value: string): Value {
    return new JsonValue(withMember(this.#object, key.split('.'), value));
  }

  remove(key: string): Value {
    const { [key]: _removed, ...rest } = this.#object;
    return new JsonValue(rest);
  }

  map(change: (text: string) => string): Value {
    const inside = (value: Json): Json => {
      if (typeof value === 'string') return change(value);
      if (Array.isArray(value)) return value.map(inside);
      if (value === null || typeof value !== 'object') return value;
      return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, inside(member)]));
    };
    return new JsonValue(inside(this.#object) as { readonly [key: string]: Json });
  }

  get text(): string {
    return JSON.stringify(this.#object);
  }
}

/** A switch stays a switch. */
function withMember(
  object: { readonly [key: string]: Json },
  [name = '', ...rest]: readonly string[],
  value: string,
): { readonly [key: string]: Json } {
  const before = object[name];
  if (rest.length > 0) {
    const inner = before !== null && typeof before === 'object' && !Array.isArray(before) ? before : {};
    return { ...object, [name]: withMember(inner as { readonly [key: string]: Json }, rest, value) };
  }
  const isSwitch = typeof before === 'boolean' || (before === undefined && /^(on|off)$/.test(value));
  return { ...object, [name]: isSwitch ? value === 'on' : value };
}
