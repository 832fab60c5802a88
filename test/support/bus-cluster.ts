// Real nats-servers under real certificates, on ports of this host's loopback, and clients of theirs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BusPlan } from '../../manager/bus/nats-config.ts'
import { NatsServer, type NatsServerStatus } from '../../manager/bus/nats-server.ts'
import { createRootCa, issueCertificate, type RootCa } from '../../manager/ca/root-ca.ts'
import { BusClient, type BusServer } from '../../proto/bus/bus-client.ts'
import { clusterSubjects } from '../../proto/bus/subjects.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import {
  type IdentitySource,
  type NodeId,
  type NodeRole,
  nodeId,
  type TlsIdentity,
} from '../../proto/objects/index.ts'
import { createNodeKey } from '../../worker/identity/node-key.ts'
import { freePorts } from './free-ports.ts'
import { until } from './until.ts'

export class TestIdentity implements IdentitySource {
  #identity: TlsIdentity
  readonly #listeners = new Set<(identity: TlsIdentity) => void>()

  constructor(identity: TlsIdentity) {
    this.#identity = identity
  }

  current(): TlsIdentity {
    return this.#identity
  }

  replace(identity: TlsIdentity): void {
    this.#identity = identity
    for (const listener of this.#listeners) listener(identity)
  }

  onChange(listener: (identity: TlsIdentity) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

interface Member {
  readonly id: NodeId
  readonly role: NodeRole
}

export interface TestServer {
  readonly id: NodeId
  readonly clientPort: number
  readonly server: NatsServer
  readonly identity: TestIdentity
  pid(): number
  /** Until it is `kind`. */
  reaches(kind: NatsServerStatus['kind'], limitMs?: number): Promise<void>
}

/** The members are what every server is told; change them and call `changed`. */
export class BusCluster {
  readonly #life = childController().controller
  readonly #running: Promise<void>[] = []
  readonly directory = mkdtempSync(join(tmpdir(), 'tsswarm-bus-'))
  readonly servers: TestServer[] = []
  readonly #ports = new Map<NodeId, { readonly client: number; readonly route: number }>()
  readonly root: RootCa
  members: Member[] = []
  #path: string | undefined
  #isDead = false

  private constructor(root: RootCa) {
    this.root = root
  }

  /** Servers of managers m1, m2 …; all running. `path`: where nats-server is looked for. */
  static async start(managers: number, path?: string): Promise<BusCluster> {
    const cluster = new BusCluster(await createRootCa(systemClock.wallMs()))
    cluster.#path = path
    const ports = await freePorts(2 * managers)
    for (let n = 0; n < managers; n++) {
      const id = nodeId(`m${n + 1}`)
      cluster.members.push({ id, role: 'manager' })
      cluster.#ports.set(id, { client: ports[2 * n] ?? 0, route: ports[2 * n + 1] ?? 0 })
    }
    for (const { id } of cluster.members) await cluster.#serve(id)
    if (path !== undefined) return cluster
    for (const server of cluster.servers) {
      await server.reaches('running')
      // As every manager does (manager/bus/manager-bus.ts).
      const keeper = await cluster.client(server.id, 'manager', { only: server })
      keeper.subscribe(clusterSubjects, () => {})
    }
    return cluster
  }

  changed(): void {
    for (const { server } of this.servers) server.changed()
  }

  /** Every server is killed and stays away, or may come back. */
  setDead(isDead: boolean): void {
    this.#isDead = isDead
    const pids = this.servers.map((server) => server.pid()).filter((pid) => pid > 0)
    if (isDead) for (const pid of pids) process.kill(pid, 'SIGKILL')
    else this.changed()
  }

  async identity(id: string, role: NodeRole, root = this.root): Promise<TlsIdentity> {
    const { csrPem, keyPem } = await createNodeKey()
    const nowMs = systemClock.wallMs()
    const subject = { nodeId: id, role, clusterId: 'c1' }
    const certPem = await issueCertificate(root, { subject, csrPem, nowMs, lifeMs: 3_600_000 })
    return { certPem: certPem + root.certPem, keyPem, caPem: this.root.certPem }
  }

  async client(
    id: string,
    role: NodeRole,
    more: { readonly root?: RootCa; readonly only?: TestServer } = {},
  ): Promise<BusClient> {
    const identity = new TestIdentity(await this.identity(id, role, more.root))
    const client = new BusClient({
      nodeId: nodeId(id),
      identity,
      servers: () => this.addresses(more.only),
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    })
    this.#running.push(client.run(this.#life.signal))
    return client
  }

  addresses(only?: TestServer): readonly BusServer[] {
    const some = only === undefined ? this.servers : [only]
    return some.map(({ id, clientPort: port }) => ({ nodeId: id, host: '127.0.0.1', port }))
  }

  async stop(): Promise<void> {
    this.#life.abort()
    await Promise.all(this.#running)
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #serve(id: NodeId): Promise<void> {
    const identity = new TestIdentity(await this.identity(id, 'manager'))
    const ports = this.#ports.get(id) ?? { client: 0, route: 0 }
    const server = new NatsServer({
      directory: join(this.directory, id),
      plan: () => this.#plan(id),
      identity: () => identity.current(),
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      ...(this.#path === undefined ? {} : { path: this.#path }),
    })
    identity.onChange(() => server.changed())
    const pid = (): number => {
      const status = server.status()
      return status.kind === 'running' ? status.pid : 0
    }
    this.servers.push({
      id,
      clientPort: ports.client,
      server,
      identity,
      pid,
      reaches: async (kind, limitMs = 20_000) => {
        await until(() => server.status().kind === kind, `server of ${id} is ${kind}`, limitMs)
      },
    })
    this.#running.push(server.run(this.#life.signal))
  }

  #plan(self: NodeId): BusPlan | undefined {
    if (this.#isDead) return undefined
    const ports = this.#ports.get(self) ?? { client: 0, route: 0 }
    const managers = this.members.filter(({ role }) => role === 'manager')
    return {
      self,
      clusterId: 'c1',
      listen: { host: '127.0.0.1', clientPort: ports.client, routePort: ports.route },
      members: this.members,
      managers: managers.map(({ id }) => ({
        id,
        host: '127.0.0.1',
        routePort: this.#ports.get(id)?.route ?? 0,
      })),
    }
  }
}

/** Command line of a process; empty when there is none. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
