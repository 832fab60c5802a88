// Goes over everything a former daemon left and makes it the present one's: living containers are adopted, ended ones
// kept for their logs and codes, half-made ones removed.

import { existsSync } from 'node:fs'
import { readdir, stat, unlink } from 'node:fs/promises'
import type { Clock } from '../../../proto/lib/clock.ts'
import type { Logger } from '../../../proto/lib/log.ts'
import type { ExitStatus } from '../executor.ts'
import { alive, findRecord, judge, leftBehindIds, type Verdict } from './adoption.ts'
import { type CleanupTools, destroyContainer } from './cleanup.ts'
import { Container } from './container.ts'
import { endCreation } from './creation-processes.ts'
import { type ContainerPaths, containerPaths, type ExecutorDirs, hostPaths } from './paths.ts'
import { signalProcess } from './processes.ts'
import type { ContainerRecord } from './record.ts'

export interface AdoptionOptions {
  readonly dirs: ExecutorDirs
  readonly clock: Clock
  readonly log: Logger
  readonly bootId: string
  readonly tools: CleanupTools
}

export interface Adopted {
  readonly container: Container
  /** Its end, not yet recorded. */
  readonly exit: ExitStatus | undefined
}

type ReadExit = (container: Container) => Promise<ExitStatus | undefined>

const sigkill = 9
/** conmon writes an exit file under another name first: a young unknown one may be that. */
const strayExitAgeMs = 60_000

export async function adoptAll(
  options: AdoptionOptions,
  readExit: ReadExit,
): Promise<readonly Adopted[]> {
  const { containersDir, bundlesDir, exitsDir } = hostPaths(options.dirs)
  const adopted: Adopted[] = []
  const ids = await leftBehindIds(containersDir, bundlesDir)
  for (const id of ids) {
    const one = await adoptOne(id, options, readExit)
    if (one !== undefined) adopted.push(one)
  }
  await removeStrayExits(exitsDir, new Set(ids), options.clock)
  return adopted
}

async function adoptOne(
  id: string,
  options: AdoptionOptions,
  readExit: ReadExit,
): Promise<Adopted | undefined> {
  const paths = containerPaths(options.dirs, id)
  const { record, hasBundle } = await findRecord(paths)
  const sameBoot = record?.bootId === options.bootId
  const verdict = judge({
    record,
    sameBoot,
    hasBundle,
    hasExitFile: existsSync(paths.exitPath),
    monitorAlive: sameBoot && alive(record?.monitor),
  })
  options.log.info({ containerId: id, verdict: verdict.kind }, 'container found')
  if (record === undefined || verdict.kind === 'discard') {
    await discard(id, paths, options)
    return undefined
  }
  const container = new Container(await knownPhase(record, verdict, options), paths, () =>
    Promise.resolve(),
  )
  return { container, exit: await endOf(container, verdict, options, readExit) }
}

/** A crash may lie between the start of the process and the note of it. */
async function knownPhase(
  record: ContainerRecord,
  verdict: Verdict,
  { tools, clock }: AdoptionOptions,
): Promise<ContainerRecord> {
  if (verdict.kind !== 'adopt' || record.phase !== 'created') return record
  const status = await tools.runtime.status({
    id: record.config.id,
    runtime: record.runtime ?? 'crun',
  })
  if (status !== 'running' && status !== 'stopped') return record
  return { ...record, phase: 'started', startedAtMs: clock.wallMs() }
}

async function endOf(
  container: Container,
  verdict: Verdict,
  options: AdoptionOptions,
  readExit: ReadExit,
): Promise<ExitStatus | undefined> {
  switch (verdict.kind) {
    case 'adopt':
    case 'ended':
    case 'discard':
      return undefined
    case 'exit file':
      return (await readExit(container)) ?? unknownExit('its exit file is damaged', options)
    case 'lost': {
      const { bootId, process } = container.record
      if (bootId === options.bootId && process !== undefined) signalProcess(process, sigkill)
      return unknownExit(verdict.error, options)
    }
  }
}

function unknownExit(error: string, { clock }: AdoptionOptions): ExitStatus {
  return { exitCode: -1, oomKilled: false, finishedAtMs: clock.wallMs(), error }
}

/** A creation that was cut off, or files that make no sense. Its conmon may still be at work. */
async function discard(id: string, paths: ContainerPaths, options: AdoptionOptions): Promise<void> {
  const { log, tools, clock } = options
  if (!(await endCreation(paths, tools.cgroups, clock))) {
    log.warn({ containerId: id }, 'processes of a creation that was cut off do not end')
  }
  const { record } = await findRecord(paths)
  const container = new Container(record ?? emptyRecord(id, options), paths, () =>
    Promise.resolve(),
  )
  await destroyContainer(tools, container)
}

function emptyRecord(id: string, { bootId, clock }: AdoptionOptions): ContainerRecord {
  return {
    format: 1,
    config: {
      id,
      name: id,
      image: '',
      env: [],
      labels: {},
      mounts: [],
      network: { kind: 'attached', endpoints: [], ports: [] },
    },
    image: { reference: '', id: '', sizeBytes: 0 },
    createdAtMs: clock.wallMs(),
    bootId,
    phase: 'creating',
    stopSignal: sigkill,
    stopGraceMs: 0,
    anonymousVolumes: [],
  }
}

async function removeStrayExits(
  dir: string,
  known: ReadonlySet<string>,
  clock: Clock,
): Promise<void> {
  for (const name of await readdir(dir)) {
    if (known.has(name)) continue
    const { mtimeMs } = await stat(`${dir}/${name}`)
    if (clock.wallMs() - mtimeMs > strayExitAgeMs) await unlink(`${dir}/${name}`)
  }
}
