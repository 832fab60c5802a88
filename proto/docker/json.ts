// JSON as Docker's API writes it: what is empty is left out, times are RFC 3339, durations nanoseconds.

export type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json }

type Field = Json | undefined

/** Drops fields that are undefined, "", 0, false or an empty list or map: Go's omitempty. */
export function omitEmpty(fields: Readonly<Record<string, Field>>): Readonly<Record<string, Json>> {
  const kept: Record<string, Json> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && !isEmpty(value)) kept[name] = value
  }
  return kept
}

function isEmpty(value: Json): boolean {
  if (typeof value !== 'object') return value === '' || value === 0 || value === false
  return Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0
}

/** RFC 3339 with nine digits after the second, as Docker writes times. */
export function dockerTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000000Z')
}

/** Docker's durations are nanoseconds. */
export function nanoseconds(ms: number): number {
  return ms * 1_000_000
}

interface Versioned {
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

/** The fields every object of Docker's API begins with. */
export function metaJson(object: Versioned): Readonly<Record<string, Json>> {
  return {
    Version: { Index: object.version },
    CreatedAt: dockerTime(object.createdAtMs),
    UpdatedAt: dockerTime(object.updatedAtMs),
  }
}
