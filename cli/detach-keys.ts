// The keys that leave a container: how they are written, and finding them in what is typed. Pure.
import { usage } from './parse-args.ts'

export const defaultDetachKeys = 'ctrl-p,ctrl-q'

const escapes = new Map([
  ['@', 0],
  ['[', 27],
  ['\\', 28],
  [']', 29],
  ['^', 30],
  ['_', 31],
])

/** Bytes of `a` or `ctrl-p,ctrl-q`; empty: none. Errors: USAGE. Source: docker's --detach-keys. */
export function parseDetachKeys(text: string): Uint8Array {
  if (text === '') return new Uint8Array()
  return Uint8Array.from(text.split(','), (key) => {
    if (/^[\x20-\x7e]$/.test(key)) return key.charCodeAt(0)
    if (key.toUpperCase() === 'DEL') return 127
    const control = /^ctrl-(.)$/i.exec(key)?.[1]?.toLowerCase() ?? ''
    if (/^[a-z]$/.test(control)) return control.charCodeAt(0) - 96
    const other = escapes.get(control)
    if (other !== undefined) return other
    throw usage(
      `invalid detach keys ${JSON.stringify(text)}: ${JSON.stringify(key)} is neither a character nor ctrl- with one of a-z @ [ \\ ] ^ _`,
    )
  })
}

export interface Typed {
  /** To be sent. */
  readonly passed: Uint8Array
  /** The keys were typed. */
  readonly leaves: boolean
}

/** Finds the keys in what is typed. The first of them are held back until it is known whether the rest comes. */
export function detachFilter(keys: Uint8Array): (chunk: Uint8Array) => Typed {
  let held = 0
  return (chunk) => {
    if (keys.length === 0) return { passed: chunk, leaves: false }
    const passed: number[] = []
    for (const byte of chunk) {
      while (held > 0 && byte !== keys[held]) {
        // They were not meant; but the end of them may be a beginning.
        const before = held
        held = longestStart(keys, held)
        passed.push(...keys.subarray(0, before - held))
      }
      if (byte === keys[held]) held += 1
      else passed.push(byte)
      if (held === keys.length) return { passed: Uint8Array.from(passed), leaves: true }
    }
    return { passed: Uint8Array.from(passed), leaves: false }
  }
}

/** Of the first `length` keys: how many at their end are the first ones again, but not all. */
function longestStart(keys: Uint8Array, length: number): number {
  for (let size = length - 1; size > 0; size -= 1) {
    const end = keys.subarray(length - size, length)
    if (end.every((key, i) => key === keys[i])) return size
  }
  return 0
}
