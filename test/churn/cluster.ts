// A lab as the churn proof uses it: calls go to whatever manager answers, and the store is read as pictures.
import { type Client, connectClient } from '../../cli/client.ts'
import { listNetworks, listNodes, listServices, listTasks } from '../../cli/lists.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import {
  type Ground,
  type Picture,
  pictureNetwork,
  pictureNode,
  pictureService,
  pictureTask,
} from '../support/churn/picture.ts'
import { TestLab } from '../support/test-lab.ts'

const callMs = 4_000
const retiredMs = 20_000

export class ChurnCluster {
  readonly lab: TestLab
  readonly managers: readonly string[]
  readonly hosts: readonly string[]
  /** Managers that cannot be asked now: cut off, or ended. */
  readonly unusable = new Set<string>()
  readonly #clients = new Map<string, Client>()
  readonly #retired = new Set<Client>()
  readonly #closing = new AbortController()
  #turn = 0
  #ground: Ground = { nodes: [], networks: [] }

  private constructor(lab: TestLab, managers: number, workers: number) {
    const numbered = (letter: string, count: number): string[] =>
      Array.from({ length: count }, (_, at) => `${letter}${at + 1}`)
    this.lab = lab
    this.managers = numbered('m', managers)
    this.hosts = [...this.managers, ...numbered('w', workers)]
  }

  static async up(managers: number, workers: number): Promise<ChurnCluster> {
    return new ChurnCluster(await TestLab.up('churn', { managers, workers }), managers, workers)
  }

  async down(): Promise<void> {
    this.close()
    await this.lab.down()
  }

  /** Nobody is asked any more; the lab stays. */
  close(): void {
    this.#closing.abort()
    for (const client of [...this.#clients.values(), ...this.#retired]) client.close()
  }

  /** What a manager answers. One try: the next goes to another manager. */
  async ask<T>(fn: (client: Client) => Promise<T>): Promise<T> {
    const usable = this.managers.filter((host) => !this.unusable.has(host))
    const host = usable[this.#turn % usable.length] ?? this.managers[0] ?? ''
    try {
      return await fn(await this.#client(host))
    } catch (err) {
      this.#turn += 1
      this.#retire(host)
      throw err
    }
  }

  /** Closed when all its calls have ended: Node.js 20.20 was seen to abort when connections end under calls. */
  #retire(host: string): void {
    const client = this.#clients.get(host)
    this.#clients.delete(host)
    if (client === undefined) return
    this.#retired.add(client)
    systemClock.setTimer(retiredMs, () => {
      this.#retired.delete(client)
      client.close()
    })
  }

  async #client(host: string): Promise<Client> {
    const known = this.#clients.get(host)
    if (known !== undefined) return known
    const { socket: socketPath } = this.lab.paths(host)
    const { signal } = this.#closing
    const client = await connectClient({
      ...{ socketPath, signal, clock: systemClock, random: systemRandom },
      ...{ retryMs: 0, callTimeoutMs: callMs },
    })
    this.#clients.set(host, client)
    return client
  }

  async loadImage(archive: Uint8Array): Promise<void> {
    const chunkBytes = 256 * 1024
    const chunks = Array.from({ length: Math.ceil(archive.length / chunkBytes) }, (_, at) => ({
      chunk: Buffer.from(archive.subarray(at * chunkBytes, (at + 1) * chunkBytes)),
    }))
    const load = async (host: string): Promise<void> => {
      const { socket: socketPath } = this.lab.paths(host)
      const { signal } = this.#closing
      const basis = { socketPath, signal, clock: systemClock, random: systemRandom }
      const client = await connectClient(basis)
      for await (const _ of client.stream(DaemonService.loadImage, chunks)) {
        // Progress of a small local file is not worth showing.
      }
      client.close()
    }
    await Promise.all(this.hosts.map(load))
  }

  /** Reads what stays as it is: nodes and networks. */
  async survey(): Promise<Ground> {
    this.#ground = await this.ask(async (client) => {
      const { nodes } = await listNodes(client)
      const networks = await listNetworks(client)
      return {
        nodes: nodes.flatMap(({ node }) => (node === undefined ? [] : [pictureNode(node)])),
        networks: networks.map(pictureNetwork),
      }
    })
    return this.#ground
  }

  get ground(): Ground {
    return this.#ground
  }

  nodeId(host: string): string {
    const node = this.#ground.nodes.find((one) => one.host === host)
    if (node === undefined) throw new Error(`no node has the name ${host}`)
    return node.id
  }

  async picture(): Promise<Picture> {
    return await this.ask(async (client) => {
      const once = { retry: false, timeoutMs: callMs }
      const fromMs = systemClock.wallMs()
      const services = await listServices(client, [], once)
      const tasks = await listTasks(client, [], once)
      return {
        fromMs,
        toMs: systemClock.wallMs(),
        ground: this.#ground,
        services: services.map(pictureService),
        tasks: tasks.map(pictureTask),
      }
    })
  }
}
