// Values below `x-` keys that the swarm reads: the format leaves them as they were written, so their kinds are checked here.
import { parseDurationNs } from './go-text.ts'
import { entryOf, kindText } from './node.ts'
import type { Section } from './section.ts'

/** Undefined: it is not there, or it is a fault. */
export function textOf(section: Section, key: string): string | undefined {
  return section.has(key) ? (section.text(key) ?? wrong(section, key, 'a string')) : undefined
}

/** A whole number. Undefined: it is not there, or it is a fault. */
export function countOf(section: Section, key: string): number | undefined {
  if (!section.has(key)) return undefined
  const value = section.number(key)
  return value === undefined || !Number.isInteger(value)
    ? wrong(section, key, 'a whole number')
    : value
}

/** In ms. Undefined: it is not there, or it is a fault. */
export function durationOf(section: Section, key: string): number | undefined {
  if (!section.has(key)) return undefined
  const ns = parseDurationNs(section.text(key) ?? '')
  return ns === undefined ? wrong(section, key, 'a duration such as 1h30m') : Math.ceil(ns / 1e6)
}

/** One text or a list of them; empty when it is a fault. */
export function textsOf(section: Section, key: string): readonly string[] {
  const node = entryOf(section.node, key)
  if (node === undefined) return []
  const items = node.kind === 'list' ? node.items : [node]
  const texts = items.flatMap((item) => (item.kind === 'text' ? [item.value] : []))
  if (texts.length === items.length) return texts
  return wrong(section, key, 'a string or a list of strings') ?? []
}

/** A fault for each key that is not known. */
export function refuseOthers(section: Section, known: readonly string[]): void {
  for (const key of section.keys()) {
    if (!known.includes(key)) {
      section.fault(key, `is not known here: there are ${known.join(', ')}`)
    }
  }
}

function wrong(section: Section, key: string, wanted: string): undefined {
  const node = entryOf(section.node, key)
  const given = node === undefined ? '' : `, not ${kindText(node)}`
  return section.fault(key, `must be ${wanted}${given}`)
}
