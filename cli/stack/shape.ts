// How the format describes a value: what may be written, and (normalise.ts, merge.ts) what becomes of it.

/** `since`: the second number of the first version 3.x that knows the key. */
export interface Field {
  readonly shape: Shape
  readonly since: number
}

export type Fields = Readonly<Record<string, Field>>

/**
 * Numbers, switches and durations that `isKept` are kept when they are zero (others are left out); of these only whole
 * numbers replace a value of an earlier file with zero.
 */
export type ScalarShape =
  | { readonly kind: 'text' | 'textOrNumber' | 'version' | 'bytes' | 'float' }
  | { readonly kind: 'bool' | 'integer' | 'duration'; readonly isKept: boolean }
  | { readonly kind: 'word'; readonly words: readonly string[] }

export type Shape =
  | ScalarShape
  | { readonly kind: 'any' }
  /** One text or a list of them. */
  | { readonly kind: 'texts' }
  | { readonly kind: 'list'; readonly of: Shape; readonly isUnique: boolean }
  /** A mapping of values that all become texts. */
  | { readonly kind: 'textMap'; readonly mayBeNull: boolean }
  /** KEY=VALUE, as mapping or list. `keepsNull`: a key without value is not an empty one. */
  | { readonly kind: 'assignments'; readonly keepsNull: boolean }
  /** NAME:ADDRESS, as mapping or list. */
  | { readonly kind: 'hosts' }
  /** A command line, as text or list. */
  | { readonly kind: 'words' | 'test' }
  | { readonly kind: 'ports' | 'mounts' | 'networks' | 'ulimits' | 'external' }
  /** Secrets or configs of a service. */
  | { readonly kind: 'references' }
  | Struct
  /** Named objects at the top level. */
  | { readonly kind: 'objects'; readonly of: Struct; readonly keepsExtras: boolean }

export interface Struct {
  readonly kind: 'struct'
  readonly fields: Fields
  /** Whether an empty one is kept. */
  readonly isKept: boolean
  readonly mayBeNull: boolean
  /** What becomes of keys that `fields` does not name. */
  readonly others: 'refused' | 'dropped'
  /** From which version on `x-` keys may be there; undefined: never. */
  readonly extrasSince: number | undefined
  /** What a text stands for, `build: .` for `build: {context: .}`. */
  readonly textIs?: string
}

export const newestMinor = 13

export function field(shape: Shape, since = 0): Field {
  return { shape, since }
}

export const text: Shape = { kind: 'text' }
export const bool: Shape = { kind: 'bool', isKept: false }
export const integer: Shape = { kind: 'integer', isKept: false }
export const count: Shape = { kind: 'integer', isKept: true }
export const duration: Shape = { kind: 'duration', isKept: false }
export const keptDuration: Shape = { kind: 'duration', isKept: true }
export const texts: Shape = { kind: 'texts' }
export const labels: Shape = { kind: 'assignments', keepsNull: false }
export const variables: Shape = { kind: 'assignments', keepsNull: true }

export function list(of: Shape, isUnique = true): Shape {
  return { kind: 'list', of, isUnique }
}

export function struct(
  fields: Fields,
  more: Partial<Omit<Struct, 'kind' | 'fields'>> = {},
): Struct {
  return {
    kind: 'struct',
    fields,
    isKept: false,
    mayBeNull: false,
    others: 'refused',
    extrasSince: undefined,
    ...more,
  }
}
