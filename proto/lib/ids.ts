// Identifiers: 25 base36 digits of 128 random bits, the form Swarm's users know.
import type { Random } from './random.ts'

const idLength = 25

/** Big-endian bytes as base36 digits, padded with zeros on the left to `length`. */
export function base36(bytes: Uint8Array, length: number): string {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value.toString(36).padStart(length, '0')
}

/** A new id of 25 characters [0-9a-z]. */
export function newId(random: Random): string {
  return base36(random.bytes(16), idLength)
}

/** Whether the text has the form of an id. */
export function isId(text: string): boolean {
  return /^[0-9a-z]{25}$/.test(text)
}
