// Files of environment variables as Swarm's client reads them: KEY=VALUE a line, taken as it is, "#" begins a comment line.

export interface EnvLine {
  readonly key: string
  readonly value: string
}

/** A key alone takes its value from `variables`, or is left out. Errors: Error that names the line. */
export function envFileLines(
  text: string,
  variables: ReadonlyMap<string, string>,
): readonly EnvLine[] {
  return text
    .replace(/^\ufeff/, '')
    .split('\n')
    .flatMap((raw, i): readonly EnvLine[] => {
      const line = raw.replace(/\r$/, '').trimStart()
      if (line === '' || line.startsWith('#')) return []
      const equals = line.indexOf('=')
      const key = equals === -1 ? line : line.slice(0, equals)
      if (key === '') throw new Error(`line ${i + 1} has no name before "="`)
      if (/\s/.test(key)) throw new Error(`line ${i + 1}: the name "${key}" has a blank in it`)
      const value = equals === -1 ? variables.get(key) : line.slice(equals + 1)
      return value === undefined ? [] : [{ key, value }]
    })
}
