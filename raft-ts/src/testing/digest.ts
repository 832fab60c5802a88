// A running checksum of applied entries: two state machines that applied the same have the same digest.
import { crc32 } from 'node:zlib'
import type { Entry } from '../core/types.ts'

/** A digest of nothing. */
export const emptyDigest = 0

/** The digest of a state and one more entry. 52 bits: collisions do not happen in a simulation. */
export function extendDigest(digest: number, entry: Entry): number {
  const content = contentDigest(entry)
  const low = mix(digest >>> 0, entry, content)
  const high = mix(Math.floor(digest / 2 ** 32) ^ 0x5bd1e995, entry, content)
  return (high & 0xfffff) * 2 ** 32 + low
}

/** A checksum of one entry's place and content. */
export function entryDigest(entry: Entry): number {
  return extendDigest(emptyDigest, entry)
}

function mix(seed: number, entry: Entry, content: number): number {
  const hash = Math.imul(seed ^ entry.term, 0x01000193) ^ entry.index
  const mixed = Math.imul(hash ^ content, 0x01000193)
  return (mixed ^ (mixed >>> 13)) >>> 0
}

function contentDigest(entry: Entry): number {
  if (entry.kind === 'data') return crc32(entry.data)
  const { voters, outgoing, learners, learnersNext } = entry.conf
  return crc32([voters, outgoing, learners, learnersNext].map((ids) => ids.join()).join(';'), 1)
}
