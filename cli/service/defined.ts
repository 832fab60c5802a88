// Fields of a spec that flags may leave out.
type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** Without the fields that are undefined. */
export function defined<T extends object>(fields: T): Partial<Defined<T>> {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(kept) as Partial<Defined<T>>
}
