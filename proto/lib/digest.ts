// Digests as short texts.
import { createHash, timingSafeEqual } from 'node:crypto'
import { base36 } from './ids.ts'

/** SHA-256 as 50 base36 digits. */
export function sha256Base36(bytes: Uint8Array): string {
  return base36(new Uint8Array(createHash('sha256').update(bytes).digest()), 50)
}

/** SHA-256 of the UTF-8 text, as lower-case hex. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}

/** Compares two secrets in a time that does not depend on where they differ. */
export function secretsEqual(left: string, right: string): boolean {
  const a = createHash('sha256').update(left).digest()
  const b = createHash('sha256').update(right).digest()
  return timingSafeEqual(a, b)
}
