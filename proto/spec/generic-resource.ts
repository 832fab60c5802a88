// Generic resources as users write them: what a service reserves, and what a node offers.
import { z } from 'zod'

const perKindMax = 4096
const kind = z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,62}$/, 'must be a word such as NVIDIA-GPU')
const name = z
  .string()
  .regex(/^[^\s,=]{1,128}$/, 'must be a name without blanks, commas and equals signs')

export const genericResource = z
  .object({
    kind,
    count: z.number().int().min(1).max(1e9),
    /** Each by its own name, as many as count; empty: only their number is known. */
    names: z.array(name).max(perKindMax).readonly().default([]),
  })
  .readonly()

export const kindsMax = 64

export type GenericResource = z.infer<typeof genericResource>

/**
 * Reads `KIND=N` and `KIND=NAME`, several of one kind as one resource with several names.
 * Errors: Error that names the text and what would be right.
 */
export function parseGenericResources(texts: readonly string[]): readonly GenericResource[] {
  const known = new Map<string, GenericResource>()
  for (const text of texts) {
    const one = parseOne(text)
    const other = known.get(one.kind)
    known.set(one.kind, other === undefined ? one : joined(other, one))
  }
  return [...known.values()]
}

function parseOne(text: string): GenericResource {
  const at = text.indexOf('=')
  const [kindText, value] = [text.slice(0, at).trim(), text.slice(at + 1).trim()]
  if (at < 1 || value === '' || !kind.safeParse(kindText).success) {
    throw new Error(`"${text}" is no generic resource: write KIND=NUMBER, or KIND=NAME`)
  }
  if (/^-?\d+$/.test(value)) {
    const one = genericResource.safeParse({ kind: kindText, count: Number(value) })
    if (one.success) return one.data
    throw new Error(`"${text}": there must be at least 1 and at most 1000000000`)
  }
  if (!name.safeParse(value).success) {
    throw new Error(`"${text}": "${value}" is no name: leave out blanks, commas and equals signs`)
  }
  return { kind: kindText, count: 1, names: [value] }
}

function joined(a: GenericResource, b: GenericResource): GenericResource {
  const names = [...a.names, ...b.names]
  if (a.names.length === 0 || b.names.length === 0) {
    const why = a.names.length === b.names.length ? 'is numbered twice' : 'has a number and names'
    throw new Error(`generic resource ${a.kind} ${why}: give it one number, or names only`)
  }
  if (new Set(names).size < names.length) {
    throw new Error(`generic resource ${a.kind}=${b.names.join(',')} is given twice: remove one`)
  }
  if (names.length > perKindMax) {
    throw new Error(`generic resource ${a.kind} has more than ${perKindMax} names: give a number`)
  }
  return { kind: a.kind, count: names.length, names }
}
