// A daemon in the test's process: gRPC on a unix socket, the real control API over an in-memory store, and a Daemon
// service that answers what a test tells it to.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { connectClient } from '../../cli/client.ts'
import { type HandlerTable, serviceImplementation } from '../../manager/rpc/adapter.ts'
import type { MethodPolicy } from '../../manager/rpc/policy.ts'
import { ControlService, type LogLine } from '../../proto/gen/tsswarm/v1/control.ts'
import {
  DaemonService,
  type InfoResponse,
  type ResolveImageResponse,
} from '../../proto/gen/tsswarm/v1/daemon.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { seededRandom } from '../../proto/lib/random.ts'
import { type CliRun, type CliSurroundings, runCommandLine } from './cli.ts'
import { aControlWorld, type ControlWorld } from './control.ts'

export interface TestDaemon {
  readonly world: ControlWorld
  readonly socketPath: string
  /** Handlers by name of the method ("listNodes"); a test may replace any. */
  readonly control: Record<string, HandlerTable[string]>
  readonly daemon: Record<string, HandlerTable[string]>
  /** Requests in the order they came, with the method's name. */
  readonly seen: { readonly method: string; readonly request: unknown }[]
  run(line: string | readonly string[], surroundings?: CliSurroundings): Promise<CliRun>
  close(): void
}

export const anInfo: InfoResponse = {
  version: '9.9.9',
  swarmState: 'inactive',
  nodeId: '',
  nodeAddress: '',
  controlAvailable: false,
  error: '',
  clusterId: '',
  managerAddresses: [],
  description: {
    hostname: 'host',
    platform: { architecture: 'x86_64', os: 'linux' },
    resources: { nanoCpus: 4e9, memoryBytes: 2 ** 33, pids: 0, generic: [] },
    engineVersion: '9.9.9',
    engineLabels: { disk: 'ssd' },
    featureLevel: 2,
    dataPathAddress: '',
    problems: [],
    conditions: [],
    localSubnet: '',
    slotVolumes: [],
    runtimes: [],
  },
  stateDir: '/var/lib/tsswarm',
  leaderNodeId: '',
  busServerNodeId: '',
  busFailure: '',
}

const anyPlatform: ResolveImageResponse = { digest: '', platforms: [], failure: '', isLocal: true }

/** `at`: the socket of one that was closed. */
export async function startTestDaemon(at?: string): Promise<TestDaemon> {
  const world = await aControlWorld()
  const socketPath = at ?? join(mkdtempSync(join(tmpdir(), 'tsswarm-cli-')), 'd.sock')
  mkdirSync(dirname(socketPath), { recursive: true })
  const control: TestDaemon['control'] = { ...world.api, serviceLogs: noLogs }
  const daemon: TestDaemon['daemon'] = {
    info: async () => anInfo,
    resolveImage: async () => anyPlatform,
  }
  const seen: { readonly method: string; readonly request: unknown }[] = []
  const server = new Server({ 'grpc.max_receive_message_length': 1024 * 1024 })
  const { caller } = world
  const deps = { callerOf: () => caller, policies: openPolicies }
  const handlers = { control: recording(control, seen), daemon: recording(daemon, seen) }
  server.addService(ControlService, serviceImplementation(ControlService, handlers.control, deps))
  server.addService(DaemonService, serviceImplementation(DaemonService, handlers.daemon, deps))
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (err) =>
      err === null ? resolve() : reject(err),
    )
  })
  const signal = new AbortController().signal
  const connect = (path: string) =>
    connectClient({
      socketPath: path,
      clock: systemClock,
      random: seededRandom(2),
      signal,
      retryMs: 3_000,
    })
  return {
    world,
    socketPath,
    control,
    daemon,
    seen,
    run: (line, surroundings = {}) => {
      const words = typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line
      const given = surroundings.signal
      const connected =
        given === undefined
          ? connect
          : (path: string) =>
              connectClient({
                socketPath: path,
                clock: systemClock,
                random: seededRandom(2),
                signal: given,
              })
      return runCommandLine(['-H', socketPath, ...words], { connect: connected, ...surroundings })
    },
    close: () => {
      server.forceShutdown()
      rmSync(dirname(socketPath), { recursive: true, force: true })
    },
  }
}

async function* noLogs(): AsyncGenerator<LogLine> {}

/** Everyone may do everything. */
const openPolicies: Readonly<Record<string, MethodPolicy>> = Object.fromEntries(
  [...Object.values(ControlService), ...Object.values(DaemonService)].map((method) => [
    method.path,
    { admits: 'anyone', onLeader: false },
  ]),
)

/** Looks the handler up at each call, so that a test can replace it, and keeps what was asked. */
function recording(
  table: Record<string, HandlerTable[string]>,
  seen: { readonly method: string; readonly request: unknown }[],
): HandlerTable {
  const call = (method: string) =>
    ((...args: readonly unknown[]) => {
      seen.push({ method, request: args[1] })
      const handler = table[method] as ((...given: readonly unknown[]) => unknown) | undefined
      if (handler === undefined) throw new Error(`this daemon has no ${method}`)
      return handler(...args)
    }) as unknown as HandlerTable[string]
  return new Proxy({}, { get: (_, method) => call(String(method)) })
}
