// A running checksum of applied entries: two state machines that applied the same have the same digest.
import type { Entry } from '../core/types.ts'

/** A digest of nothing. */
export const emptyDigest = 0

/** The digest of a state and one more entry. 52 bits: collisions do not happen in a simulation. */
export function extendDigest(digest: number, entry: Entry): number {
  const low = mix(digest >>> 0, entry)
  const high = mix(Math.floor(digest / 2 ** 32) ^ 0x5bd1e995, entry)
  return (high & 0xfffff) * 2 ** 32 + low
}

/** A checksum of one entry's term and content. */
export function entryDigest(entry: Entry): number {
  return extendDigest(emptyDigest, entry)
}

function mix(seed: number, entry: Entry): number {
  let hash = Math.imul(seed ^ entry.term, 0x01000193) ^ entry.index
  if (entry.kind === 'data') {
    for (const byte of entry.data) hash = Math.imul(hash ^ byte, 0x01000193)
    return (hash ^ (hash >>> 13)) >>> 0
  }
  const { voters, outgoing, learners, learnersNext } = entry.conf
  const text = [voters, outgoing, learners, learnersNext].map((ids) => ids.join()).join(';')
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 13)) >>> 0
}
