// Damage done to the files of a Raft member, and what it says about it.
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Member } from './raft-members.ts'

export const damaged = 'the Raft log is damaged: repairing it from the others'
export const catchingUp = 'no part until the log holds'

/** Paths of its files whose names begin so, oldest first. */
export const filesOf = (member: Member, prefix: string): readonly string[] =>
  readdirSync(member.directory)
    .filter((name) => name.startsWith(prefix))
    .sort()
    .map((name) => join(member.directory, name))

/** Where what was written ends: behind it are zeros that were written ahead, which nobody reads. */
export const contentBytes = (path: string): number =>
  readFileSync(path).findLastIndex((byte) => byte !== 0) + 1

/** Changes one bit in the middle of what was written. */
export function flip(path: string): void {
  const bytes = readFileSync(path)
  const at = Math.floor(contentBytes(path) / 2)
  bytes[at] = (bytes[at] ?? 0) ^ 16
  writeFileSync(path, bytes)
}

/** Cuts off the second half of what was written. */
export function halve(path: string): void {
  truncateSync(path, Math.floor(contentBytes(path) / 2))
}
