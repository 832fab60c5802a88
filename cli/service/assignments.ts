// Lists of NAME=value on the command line: environment, labels, sysctls; and lists that are changed by adding and removing.

/** `NAME=value` pairs as a map; a later one wins. Errors: Error. */
export function parseMap(what: string, items: readonly string[]): Readonly<Record<string, string>> {
  const map: Record<string, string> = {}
  for (const item of items) {
    const equals = item.indexOf('=')
    const key = equals === -1 ? item : item.slice(0, equals)
    if (key === '') throw new Error(`${what} "${item}" must be NAME=value`)
    map[key] = equals === -1 ? '' : item.slice(equals + 1)
  }
  return map
}

/** The map with keys removed, then set. */
export function changeMap(
  current: Readonly<Record<string, string>>,
  removed: readonly string[],
  added: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const kept = Object.entries(current).filter(([key]) => !removed.includes(key))
  return { ...Object.fromEntries(kept), ...added }
}

/** Removes values and adds those that are missing; the order of what stays is kept. */
export function changeList(
  current: readonly string[],
  removed: readonly string[],
  added: readonly string[],
): readonly string[] {
  const kept = current.filter((value) => !removed.includes(value))
  return [
    ...kept,
    ...added.filter((value, i) => !kept.includes(value) && added.indexOf(value) === i),
  ]
}

/** Replaces the entries of the same key in place, removes keys, appends what is new. */
export function changeKeyed<T>(
  current: readonly T[],
  changes: { readonly removed: readonly string[]; readonly added: readonly T[] },
  keyOf: (item: T) => string,
): readonly T[] {
  const added = new Map(changes.added.map((item) => [keyOf(item), item]))
  const kept = current
    .filter((item) => !changes.removed.includes(keyOf(item)))
    .map((item) => {
      const replacement = added.get(keyOf(item))
      added.delete(keyOf(item))
      return replacement ?? item
    })
  return [...kept, ...added.values()]
}

/** `NAME=value`, or NAME alone for the value in the caller's own environment (left out when it has none). */
export function parseEnv(
  items: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  return items.flatMap((item) => {
    if (item === '' || item.startsWith('=')) {
      throw new Error(`environment variable "${item}" has no name`)
    }
    if (item.includes('=')) return [item]
    const value = environment[item]
    return value === undefined ? [] : [`${item}=${value}`]
  })
}

/** Lines of an --env-file; blank ones and comments are left out. Errors: Error. */
export function parseEnvFile(text: string): readonly string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const name = line.split('=')[0] ?? ''
      if (/\s/.test(name)) throw new Error(`variable "${name}" contains whitespace`)
      return line
    })
}

/** The last value of each name, in the order of first mention. */
export function uniqueEnv(env: readonly string[]): readonly string[] {
  const byName = new Map(env.map((item) => [envName(item), item]))
  return [...byName.values()]
}

export function envName(item: string): string {
  const equals = item.indexOf('=')
  return equals === -1 ? item : item.slice(0, equals)
}
