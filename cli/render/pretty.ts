// Pieces of `inspect --pretty`.

/** A heading with ` - key=value` lines; nothing for an empty map. */
export function mapLines(
  heading: string,
  map: Readonly<Record<string, string>>,
): readonly string[] {
  const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1))
  if (entries.length === 0) return []
  return [heading, ...entries.map(([key, value]) => ` - ${key}=${value}`)]
}
