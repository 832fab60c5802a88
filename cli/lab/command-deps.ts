// What the `lab` commands share: their flags, and the deps of lab.ts made from a command's context.
import { realpathSync } from 'node:fs'
import { SwarmError } from '../../proto/errors.ts'
import type { CommandContext } from '../context.ts'
import { duration, text } from '../flags.ts'
import { nodeFlags } from '../node-flags.ts'
import type { LabDeps } from './lab.ts'
import {
  checkLabName,
  defaultLabRoots,
  type LabRecord,
  requireHost,
  requireLab,
} from './lab-record.ts'

export const nameFlag = text('Name of the lab', { short: 'n', shown: 'default' })

/** For slow machines. */
export const waitFlag = duration('How long a host may take to be ready', { shown: '1m0s' })

/** The lab a command is about. Errors: INVALID_ARGUMENT. */
export function labName(given: string | undefined): string {
  const name = given ?? 'default'
  checkLabName(name)
  return name
}

/** Errors: PERMISSION_DENIED when not root: namespaces and cgroups need it. */
export function labDeps(
  ctx: CommandContext,
  { quiet = false, wait }: { readonly quiet?: boolean; readonly wait?: number | undefined } = {},
): LabDeps {
  if (process.getuid?.() !== 0) {
    throw new SwarmError('PERMISSION_DENIED', 'a lab makes network namespaces: run this as root')
  }
  return {
    roots: defaultLabRoots,
    clock: ctx.clock,
    random: ctx.random,
    signal: ctx.signal,
    program: [process.execPath, ...nodeFlags, realpathSync(process.argv[1] ?? '')],
    progress: (line) => {
      if (!quiet) ctx.stderr.write(`${line}\n`)
    },
    ...(wait === undefined ? {} : { readyMs: wait }),
  }
}

/** The record of a lab and a host of it. Errors: NOT_FOUND. */
export function labAndHost(given: string | undefined, host: string): LabRecord {
  const record = requireLab(defaultLabRoots, labName(given))
  requireHost(record, host)
  return record
}
