// Damage done to the files of a Raft member, and what it says about it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
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

/** Changes one bit of the byte there. */
export function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 16
  writeFileSync(path, bytes)
}
