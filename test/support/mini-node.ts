// A worker of a MiniCluster: the real agent on a pretended host. Its daemon can be killed and started again.
import { silentLogger } from '../../proto/lib/log.ts'
import { featureLevel, nodeId } from '../../proto/objects/index.ts'
import { type Agent, createAgent } from '../../worker/agent.ts'
import type { Executor } from '../../worker/executor/executor.ts'
import { createFakeExecutor } from '../../worker/executor/fake/fake-executor.ts'
import { FakeHost, type FakeHostOptions } from '../../worker/executor/fake/fake-host.ts'
import type { OverlayProgress } from '../../worker/session.ts'
import { memoryStateFile } from './memory-state-file.ts'
import type { MiniCluster } from './mini-cluster.ts'

export class MiniNode {
  readonly name: string
  readonly host: FakeHost
  /** Whether its containers wait on their ports. */
  isListening = true
  /** How far its daemons have followed the overlay; undefined: they have none. */
  overlay: OverlayProgress | undefined
  readonly #cluster: MiniCluster
  readonly #managers: readonly string[]
  readonly #file = memoryStateFile()
  readonly #streams = new Set<{ close(): void }>()
  #agent: Agent | undefined
  #executor: Executor | undefined
  #life = new AbortController()
  #done: Promise<void> = Promise.resolve()

  constructor(
    cluster: MiniCluster,
    name: string,
    managers: readonly string[],
    options: Partial<FakeHostOptions> = {},
  ) {
    this.name = name
    this.#cluster = cluster
    this.#managers = managers
    this.host = new FakeHost({ clock: cluster.clock, localImages: { hello: {} }, ...options })
  }

  get agent(): Agent {
    if (this.#agent === undefined) throw new Error(`the daemon of ${this.name} does not run`)
    return this.#agent
  }

  /** What its daemons have written. */
  disk(): Promise<Uint8Array> {
    return this.#file.read()
  }

  get isRunning(): boolean {
    return this.#agent !== undefined
  }

  async start(): Promise<void> {
    if (this.#agent !== undefined) return
    const { clock, random } = this.#cluster
    this.#life = new AbortController()
    this.#executor = createFakeExecutor(this.host)
    this.#agent = await createAgent({
      nodeId: nodeId(this.name),
      executor: this.#executor,
      transport: this.#transport(),
      stateFile: this.#file,
      clock,
      random,
      log: silentLogger,
      describe: () => ({
        hostname: `host-${this.name}`,
        platform: { os: 'linux', architecture: 'x86_64' },
        resources: { nanoCpus: 4e9, memoryBytes: 8e9 },
        engineVersion: '1',
        engineLabels: {},
        featureLevel,
        dataPathAddress: '',
      }),
      network: () => ({ kind: 'none' }),
      isListening: async () => this.isListening,
      ...(this.overlay && { overlay: this.overlay }),
      advertiseAddress: () => '10.0.0.1',
      managers: this.#managers.map((address) => ({ nodeId: address, address })),
    })
    this.#done = this.#agent.run(this.#life.signal)
  }

  /** The daemon ends at once and can tell nobody; its containers go on. */
  async kill(): Promise<void> {
    for (const stream of this.#streams) stream.close()
    await this.stop()
  }

  /** The daemon is stopped in order; its containers go on. */
  async stop(): Promise<void> {
    if (this.#agent === undefined) return
    this.#agent = undefined
    this.#life.abort()
    await this.#executor?.close()
    let isDone = false
    const done = this.#done.finally(() => {
      isDone = true
    })
    await this.#cluster.clock.until(() => isDone, 5_000, `the daemon of ${this.name} ends`)
    await done
  }

  #transport(): ReturnType<MiniCluster['transport']> {
    const transport = this.#cluster.transport(this.name)
    this.#streams.clear()
    const note = <S extends { close(): void }>(stream: S): S => {
      this.#streams.add(stream)
      return stream
    }
    return {
      open: (manager, signal) => note(transport.open(manager, signal)),
      openLogs: (manager, signal) => note(transport.openLogs(manager, signal)),
    }
  }

  /** The state of a container, undefined when there is none. */
  state(id: string): string | undefined {
    return this.host.has(id) ? this.host.inspect(id).state.kind : undefined
  }
}
