// How many questions the resolver of a node answers over loopback, how long they wait, what each costs, and how soon a
// change is answered; beside dnsmasq and unbound with the same names where they are installed.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NetworkView } from '../../proto/objects/overlay.ts'
import type { ResolverProcess } from '../../worker/network/dns/resolver-process.ts'
import { until } from '../support/until.ts'
import type { LoadFigures, LoadOptions } from './dns/load.ts'
import {
  installedPeers,
  type MeasuredServer,
  type Names,
  serviceName,
  startOurs,
  startPeer,
  viewOf,
} from './dns/servers.ts'
import type { BenchContext } from './side-by-side.ts'

interface QueryFigure extends LoadFigures {
  readonly server: string
  readonly addresses: number
  /** Of the server's process, for one answer. */
  readonly cpuMicroseconds: number
  readonly memoryMb: number
}

const port = 15_353
const services = 1_000
const addressCounts: readonly number[] = [1, 10]
const changeCounts: readonly number[] = [100, 1_000, 10_000]
const changeCount = 200

const load: Omit<LoadOptions, 'names' | 'port'> = {
  askers: 16,
  open: 4,
  warmUpMs: 2_000,
  measureMs: 5_000,
}

export async function runDnsBench({ peer }: BenchContext): Promise<object> {
  const dir = mkdtempSync(join(tmpdir(), 'tsswarm-bench-dns-'))
  const machine = { cpus: cpus().length, load: Number(loadavg()[0]?.toFixed(2)) }
  const peers = peer ? installedPeers() : []
  try {
    const queries: QueryFigure[] = []
    for (const addresses of addressCounts) {
      const names = { services, addresses }
      queries.push(await measureOurs(dir, names))
      for (const name of peers) {
        queries.push(await measure(await startPeer(name, dir, { ...names, port }), names))
      }
    }
    const changes = await measureChanges(dir)
    return { machine, peers: peers.join(', '), queries, changes }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function measureOurs(dir: string, names: Names): Promise<QueryFigure> {
  const server = await startOurs(dir, port)
  await show(server.resolver, viewOf(names), 1)
  return await measure(server, names)
}

async function show(resolver: ResolverProcess, view: NetworkView, index: number): Promise<void> {
  resolver.setViews([view], { epoch: 1, index: index })
  await until(() => resolver.applied()?.index === index, 'the names are known', 30_000)
}

async function measure(server: MeasuredServer, { addresses }: Names): Promise<QueryFigure> {
  try {
    const names = Array.from({ length: services }, (_, n) => serviceName(n))
    let beforeMs = 0
    const figures = await runLoad({ ...load, names, port: server.port }, () => {
      beforeMs = cpuMs(server.pid)
    })
    const usedMs = cpuMs(server.pid) - beforeMs
    const answers = (figures.answersPerSecond * load.measureMs) / 1_000
    const cpuMicroseconds = Number(((usedMs * 1_000) / answers).toFixed(1))
    const memoryMb = memoryOf(server.pid)
    return { server: server.name, addresses, ...figures, cpuMicroseconds, memoryMb }
  } finally {
    await server.stop()
  }
}

function runLoad(options: LoadOptions, onMeasuring: () => void): Promise<LoadFigures> {
  const file = fileURLToPath(new URL('./dns/load.js', import.meta.url))
  const child = spawn(process.execPath, [file, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (said === '') onMeasuring()
    said += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(said.split('\n')[1] ?? ''))
      else reject(new Error(`the client of the benchmark ended with exit code ${code}`))
    })
  })
}

/** One task after the other stops serving and serves again: until the resolver has it, in a zone of so many tasks. */
async function measureChanges(dir: string): Promise<readonly object[]> {
  const figures: object[] = []
  for (const tasks of changeCounts) {
    const { resolver, stop } = await startOurs(dir, port)
    try {
      const view = viewOf({ services: tasks / 10, addresses: 10 })
      await show(resolver, view, 1)
      const elapsedMs: number[] = []
      for (let i = 0; i < changeCount; i++) elapsedMs.push(await changeOne(resolver, view, i))
      const sorted = elapsedMs.sort((a, b) => a - b)
      const at = (share: number) => Number(sorted[Math.floor(changeCount * share)]?.toFixed(2))
      figures.push({ tasks, changes: changeCount, p50Ms: at(0.5), p99Ms: at(0.99) })
    } finally {
      await stop()
    }
  }
  return figures
}

async function changeOne(resolver: ResolverProcess, view: NetworkView, i: number): Promise<number> {
  const task = view.tasks[(i >> 1) % view.tasks.length]
  if (task === undefined) return Number.NaN
  const changed = { ...task, isServing: i % 2 === 1 }
  const stamp = { epoch: 1, index: 2 + i }
  const startMs = performance.now()
  resolver.change([{ kind: 'task', networkId: view.network.id, task: changed }], stamp)
  while (resolver.applied() !== stamp) await new Promise((resolve) => setImmediate(resolve))
  return performance.now() - startMs
}

/** User and system time of the process. The kernel counts in hundredths of a second. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function memoryOf(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Math.round(Number(match?.[1]) / 1024)
}
