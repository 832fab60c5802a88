// Hosts as network namespaces on a bridge in a namespace of its own, and cuts between them: one way each, counted, so
// that cuts may overlap. Nothing of it is in the machine's own network.
import { createBench, type NetnsBench } from '../support/netns.ts'

const cutScript = `table inet cuts {
  set dropped { type ipv4_addr; }
  chain input { type filter hook input priority 0; ip saddr @dropped counter drop; }
}
`

export class HostNetwork {
  readonly bench: NetnsBench
  readonly #namespaces: readonly string[]
  /** How many cuts hold "to hears nothing of from". */
  readonly #cuts = new Map<string, number>()

  private constructor(bench: NetnsBench, namespaces: readonly string[]) {
    this.bench = bench
    this.#namespaces = namespaces
  }

  static async create(hosts: number): Promise<HostNetwork> {
    const bench = await createBench()
    try {
      const bridge = await bench.namespace('bridge')
      await bench.run(bridge, ['ip', 'link', 'add', 'br0', 'type', 'bridge'])
      await bench.run(bridge, ['ip', 'link', 'set', 'br0', 'up'])
      const namespaces: string[] = []
      for (let host = 0; host < hosts; host++) {
        const file = await bench.namespace(`host${host}`)
        namespaces.push(file)
        const peer = ['type', 'veth', 'peer', 'eth0', 'netns', file]
        await bench.run(bridge, ['ip', 'link', 'add', `port${host}`, ...peer])
        await bench.run(bridge, ['ip', 'link', 'set', `port${host}`, 'master', 'br0', 'up'])
        const address = `${addressOf(host)}/24`
        await bench.run(file, ['ip', 'addr', 'add', address, 'dev', 'eth0'])
        await bench.run(file, ['ip', 'link', 'set', 'eth0', 'up'])
        await bench.run(file, ['nft', '-f', '-'], cutScript)
      }
      return new HostNetwork(bench, namespaces)
    } catch (err) {
      await bench.dispose()
      throw err
    }
  }

  /** Argv prefix that runs a program on the host. */
  enter(host: number): readonly string[] {
    return ['nsenter', `--net=${this.#namespace(host)}`, '--']
  }

  /** Each `to` hears nothing of each `from` any more. */
  async cut(from: readonly number[], to: readonly number[]): Promise<void> {
    await this.#change(from, to, 1)
  }

  /** Takes back one cut of the same. */
  async heal(from: readonly number[], to: readonly number[]): Promise<void> {
    await this.#change(from, to, -1)
  }

  /** Packets that cuts have dropped at the host so far. */
  async dropped(host: number): Promise<number> {
    const file = this.#namespace(host)
    const text = await this.bench.run(file, ['nft', 'list', 'chain', 'inet', 'cuts', 'input'])
    return Number(/counter packets (\d+)/.exec(text)?.[1] ?? 0)
  }

  async dispose(): Promise<void> {
    await this.bench.dispose()
  }

  async #change(from: readonly number[], to: readonly number[], by: 1 | -1): Promise<void> {
    await Promise.all(
      to.map(async (host) => {
        const changed = from.filter((other) => other !== host && this.#count(other, host, by))
        if (changed.length === 0) return
        const verb = by === 1 ? 'add' : 'delete'
        const addresses = changed.map(addressOf).join(', ')
        const script = `${verb} element inet cuts dropped { ${addresses} }\n`
        await this.bench.run(this.#namespace(host), ['nft', '-f', '-'], script)
      }),
    )
  }

  /** Whether the first cut begins or the last one ends. */
  #count(from: number, to: number, by: 1 | -1): boolean {
    const key = `${from}>${to}`
    const before = this.#cuts.get(key) ?? 0
    if (before + by < 0) throw new Error(`host ${to} is not cut off from host ${from}`)
    this.#cuts.set(key, before + by)
    return before === 0 || before + by === 0
  }

  #namespace(host: number): string {
    const file = this.#namespaces[host]
    if (file === undefined) throw new RangeError(`there is no host ${host}`)
    return file
  }
}

/** Address of a host, in its own network only. */
export function addressOf(host: number): string {
  return `10.78.0.${host + 1}`
}
