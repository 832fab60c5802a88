// A small lab whose services change all the time: scaled, updated, made and removed, so many times a minute, while memory and
// descriptors of every daemon are looked at.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { pidsInGroup, residentBytes } from '../bench/host-memory.ts'
import { TestLab } from '../support/test-lab.ts'
import { heapProbeEnv, liveHeapBytes } from './live-heap.ts'
import type { Seen } from './slope.ts'

export interface SoakOptions {
  readonly minutes: number
  readonly changesPerMinute: number
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/** What is looked at of one daemon. */
export interface DaemonHistory {
  readonly host: string
  readonly residentMB: Seen[]
  /** In use after its garbage was collected, once a minute. */
  readonly heapMB: Seen[]
  readonly descriptors: Seen[]
  /** Of what it keeps running beside itself: bus, resolver, spawn helper, coprocesses. Short programs are caught at times. */
  readonly helpers: Seen[]
  readonly helpersMB: Seen[]
}

export interface SoakResult {
  readonly changes: number
  /** Commands that failed, with what they said; the first few. */
  readonly failures: readonly string[]
  readonly histories: readonly DaemonHistory[]
}

const hosts = ['m1', 'w1']
const services = ['one', 'two', 'three']
const lookEveryMs = 5_000
const sayEveryMs = 60_000
const failuresMax = 20
const megabyte = 1_000_000

/** Makes a lab of a manager and a worker, and removes it. */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), 'tsswarm-soak-'))
  const daemonEnv = heapProbeEnv(folder)
  const lab = await TestLab.up('soak', { managers: 1, workers: 1, daemonEnv })
  try {
    await lab.cli('m1', 'network', 'create', '--driver', 'overlay', 'soak')
    for (const name of services) await create(lab, name)
    return await soak(lab, folder, options)
  } finally {
    await lab.down()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function soak(lab: TestLab, folder: string, options: SoakOptions): Promise<SoakResult> {
  const { minutes, changesPerMinute, signal, say } = options
  const histories = hosts.map(
    (host): DaemonHistory => ({
      host,
      residentMB: [],
      heapMB: [],
      descriptors: [],
      helpers: [],
      helpersMB: [],
    }),
  )
  const failures: string[] = []
  const startMs = systemClock.monotonicMs()
  const endsAtMs = startMs + minutes * 60_000
  let [changes, lookAtMs, sayAtMs] = [0, startMs, startMs]
  while (systemClock.monotonicMs() < endsAtMs && !signal.aborted) {
    if (systemClock.monotonicMs() >= lookAtMs) {
      for (const history of histories) look(lab, history)
      lookAtMs += lookEveryMs
    }
    if (systemClock.monotonicMs() >= sayAtMs) {
      for (const history of histories) await lookInside(lab, folder, history)
      say(lineOf(histories, changes, systemClock.monotonicMs() - startMs))
      sayAtMs += sayEveryMs
    }
    const failure = await change(lab, changes)
    if (failure !== '' && failures.length < failuresMax) failures.push(failure)
    changes += 1
    const nextMs = startMs + (changes * 60_000) / changesPerMinute
    await wait(systemClock, Math.max(0, nextMs - systemClock.monotonicMs()), signal)
  }
  return { changes, failures, histories }
}

async function create(lab: TestLab, name: string): Promise<void> {
  const flags = ['--detach', '--quiet', '--replicas', '2', '--network', 'soak', '--name', name]
  await lab.cli('m1', 'service', 'create', ...flags, 'lab/hello')
}

/** One change after the other, in turn; what went wrong, or ''. */
async function change(lab: TestLab, number: number): Promise<string> {
  const name = services[number % services.length] ?? ''
  const step = Math.floor(number / services.length) % 4
  try {
    if (step === 0) await lab.look('m1', 'service', 'scale', '--detach', `${name}=4`)
    if (step === 1) await lab.look('m1', 'service', 'scale', '--detach', `${name}=2`)
    if (step === 2) await update(lab, name, number)
    if (step === 3) {
      await lab.look('m1', 'service', 'rm', name)
      await create(lab, name)
    }
    return ''
  } catch (err) {
    return err instanceof Error ? err.message : String(err)
  }
}

async function update(lab: TestLab, name: string, number: number): Promise<void> {
  const flags = ['--detach', '--quiet', '--update-parallelism', '0', '--env-add', `N=${number}`]
  await lab.look('m1', 'service', 'update', ...flags, name)
}

function look(lab: TestLab, { host, ...seen }: DaemonHistory): void {
  const pid = daemonPid(lab, host)
  const atMs = systemClock.monotonicMs()
  const helpers = helperPids(pid, lab.paths(host).cgroupParent)
  const helperBytes = helpers.reduce((sum, helper) => sum + residentBytes(helper), 0)
  seen.residentMB.push({ atMs, value: residentBytes(pid) / megabyte })
  seen.descriptors.push({ atMs, value: readdirSync(`/proc/${pid}/fd`).length })
  seen.helpers.push({ atMs, value: helpers.length })
  seen.helpersMB.push({ atMs, value: helperBytes / megabyte })
}

async function lookInside(lab: TestLab, folder: string, history: DaemonHistory): Promise<void> {
  const bytes = await liveHeapBytes(folder, daemonPid(lab, history.host))
  history.heapMB.push({ atMs: systemClock.monotonicMs(), value: bytes / megabyte })
}

function daemonPid(lab: TestLab, host: string): number {
  const pid = lab.pid(host)
  if (pid !== undefined) return pid
  throw new Error(`the daemon of ${host} has ended`)
}

/** Its children, and what lives beside the monitors of its containers. Source: proc(5), /proc/PID/task/TID/children. */
function helperPids(pid: number, cgroupParent: string): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    procText(`${pid}/task/${thread}/children`).split(' '),
  )
  const own = children.filter((one) => one !== '').map(Number)
  const all = new Set([...own, ...pidsInGroup(`${cgroupParent}/monitors`)])
  return [...all].filter((one) => !['', 'conmon\n'].includes(procText(`${one}/comm`)))
}

/** '' when the process is gone. */
function procText(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8')
  } catch {
    return ''
  }
}

function lineOf(histories: readonly DaemonHistory[], changes: number, ms: number): string {
  const parts = histories.map(({ host, residentMB, heapMB, descriptors, helpers, helpersMB }) => {
    const last = (seen: readonly Seen[]): string => `${Math.round(seen.at(-1)?.value ?? 0)}`
    const beside = `${last(helpers)} helpers ${last(helpersMB)} MB`
    const own = `${last(residentMB)} MB, ${last(heapMB)} of them in use`
    return `${host} ${own}, ${last(descriptors)} fd, ${beside}`
  })
  return `${Math.round(ms / 60_000)} min, ${changes} changes: ${parts.join('; ')}`
}
