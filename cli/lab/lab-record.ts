// A lab on disk: its hosts, and where their files lie. Written before anything is made, so that `lab down` finds it all.
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { SwarmError } from '../../proto/errors.ts'

/** What must outlive a reboot of the machine goes below the first, the rest below the second. */
export interface LabRoots {
  readonly stateRoot: string
  readonly runRoot: string
}

export const defaultLabRoots: LabRoots = {
  stateRoot: '/var/lib/tsswarm-labs',
  runRoot: '/run/tsswarm-labs',
}

const schema = z
  .object({
    name: z.string(),
    managers: z.number().int(),
    workers: z.number().int(),
    /** Second and third byte of its 10.A.B.0/24. */
    subnet: z.tuple([z.number().int(), z.number().int()]).readonly(),
    createdAtMs: z.number(),
  })
  .readonly()

export type LabRecord = z.infer<typeof schema>

/** m1…, then w1…. */
export function hostNames(record: LabRecord): readonly string[] {
  const numbered = (letter: string, count: number): string[] =>
    Array.from({ length: count }, (_, at) => `${letter}${at + 1}`)
  return [...numbered('m', record.managers), ...numbered('w', record.workers)]
}

export interface HostPaths {
  readonly stateDir: string
  readonly runDir: string
  readonly socket: string
  readonly pidFile: string
  readonly logFile: string
  readonly cgroupParent: string
}

export function labStateDir(roots: LabRoots, lab: string): string {
  return join(roots.stateRoot, lab)
}

export function labRunDir(roots: LabRoots, lab: string): string {
  return join(roots.runRoot, lab)
}

export function hostPaths(roots: LabRoots, lab: string, host: string): HostPaths {
  const stateDir = join(labStateDir(roots, lab), host)
  const runDir = join(labRunDir(roots, lab), host)
  return {
    stateDir,
    runDir,
    socket: join(runDir, 'tsswarm.sock'),
    pidFile: join(runDir, 'daemon.pid'),
    logFile: join(stateDir, 'daemon.log'),
    cgroupParent: `/tsswarm-lab-${lab}/${host}`,
  }
}

/** Errors: INVALID_ARGUMENT. */
export function checkLabName(name: string): void {
  if (/^[a-z0-9][a-z0-9-]{0,15}$/.test(name)) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `lab name ${JSON.stringify(name)}: must be 1 to 16 lower-case letters, digits or "-", beginning with a letter or digit`,
  )
}

/** Undefined when there is no such lab. */
export function readLab(roots: LabRoots, name: string): LabRecord | undefined {
  try {
    const text = readFileSync(join(labStateDir(roots, name), 'lab.json'), 'utf8')
    return schema.parse(JSON.parse(text))
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unreadable(err)
  }
}

function unreadable(err: unknown): unknown {
  if ((err as NodeJS.ErrnoException).code !== 'EACCES') return err
  const text = 'only root may look at the labs of this machine: run this as root'
  return new SwarmError('PERMISSION_DENIED', text, { cause: err })
}

/** Errors: NOT_FOUND naming the lab and the remedy. */
export function requireLab(roots: LabRoots, name: string): LabRecord {
  const record = readLab(roots, name)
  if (record !== undefined) return record
  throw new SwarmError(
    'NOT_FOUND',
    `no lab named ${name}: list them with \`tsswarm lab ls\`, make one with \`tsswarm lab up --name ${name}\``,
  )
}

/** Errors: NOT_FOUND naming the hosts there are. */
export function requireHost(record: LabRecord, host: string): void {
  const names = hostNames(record)
  if (names.includes(host)) return
  throw new SwarmError(
    'NOT_FOUND',
    `lab ${record.name} has no host ${host}: its hosts are ${names.join(', ')}`,
  )
}

export function writeLab(roots: LabRoots, record: LabRecord): void {
  const directory = labStateDir(roots, record.name)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  mkdirSync(labRunDir(roots, record.name), { recursive: true, mode: 0o711 })
  for (const one of [roots.runRoot, labRunDir(roots, record.name)]) letPass(one)
  writeFileSync(join(directory, 'lab.json.new'), JSON.stringify(record))
  renameSync(join(directory, 'lab.json.new'), join(directory, 'lab.json'))
}

/** With usernsRemap runc walks to the roots of containers as their users; folders of hosts are up to their daemons. */
function letPass(folder: string): void {
  const { mode } = statSync(folder)
  if ((mode & 0o001) === 0) chmodSync(folder, (mode & 0o7777) | 0o011)
}

export function removeLabFiles(roots: LabRoots, name: string): void {
  rmSync(labRunDir(roots, name), { recursive: true, force: true })
  rmSync(labStateDir(roots, name), { recursive: true, force: true })
}

export function listLabs(roots: LabRoots): readonly LabRecord[] {
  let names: readonly string[]
  try {
    names = readdirSync(roots.stateRoot)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw unreadable(err)
  }
  return names
    .flatMap((name) => readLab(roots, name) ?? [])
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
