// Reads and writes the kernel's network of one node: the host's namespace and the data plane. Decides nothing.
import { hasCode, SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { CommandResult, RunCommand } from '../../proto/lib/command.ts'
import { ensureNamespace, enterNamespace, removeNamespace } from './data-plane.ts'
import type {
  DesiredKernel,
  DesiredTable,
  NamespaceName,
  ObservedItem,
  ObservedKernel,
  ObservedNamespace,
} from './kernel-state.ts'
import { createIpBatch, createNftShell, type LineError, type LineWriter } from './line-writer.ts'
import { dataPlaneLink, hostLink } from './network-state.ts'
import { nftFromInput } from './nft-script.ts'
import { tableScript } from './nft-tables.ts'
import {
  type ObservedLink,
  parseLinks,
  parseNeighbours,
  parseRoutes,
  parseSysctls,
  parseTable,
} from './parse-observed.ts'
import type { ExpectedShapes, Step } from './plan.ts'

/** A loaded host is slow, not broken; what hangs for good is ended. */
const timeoutMs = 60_000

export interface KernelOptions {
  /** File the data plane's namespace is bound to. */
  readonly dataPlaneFile: string
  /** File of the host's network namespace; undefined: the one this process is in. */
  readonly hostNamespaceFile: string | undefined
  readonly run: RunCommand
  /** As in NodeNetworkOptions. */
  readonly runOften: RunCommand
  readonly clock: Clock
}

export interface Kernel {
  /** Makes the data plane's namespace unless it is there. Called before anything else and before each comparison. */
  ensureDataPlane(): Promise<void>
  observe(desired: DesiredKernel): Promise<ObservedKernel>
  /** Takes the steps in order, all of them. Answers with what went wrong. */
  apply(steps: readonly Step[]): Promise<readonly string[]>
  /** Shapes of the tables as last written by us. */
  shapes(): ExpectedShapes
  ip(namespace: NamespaceName, lines: readonly string[]): Promise<readonly LineError[]>
  /** One transaction. */
  nft(namespace: NamespaceName, commands: readonly string[]): Promise<readonly LineError[]>
  /** Runs `ip` lines in any other namespace; stops at the first error and tells it. */
  ipIn(netnsFile: string, lines: readonly string[]): Promise<string | undefined>
  run(namespace: NamespaceName, argv: readonly string[], input?: string): Promise<CommandResult>
  removeDataPlane(): Promise<void>
  /** Ends the coprocesses. */
  close(): void
}

interface Writers {
  readonly ip: LineWriter
  readonly nft: LineWriter
}

export function createKernel(options: KernelOptions): Kernel {
  return new NodeKernel(options)
}

class NodeKernel implements Kernel {
  readonly #options: KernelOptions
  readonly #host: Writers
  #dataPlane: Writers
  #dataPlaneInode: number | undefined
  #shapes: { host: string | undefined; dataPlane: string | undefined } = {
    host: undefined,
    dataPlane: undefined,
  }

  constructor(options: KernelOptions) {
    this.#options = options
    this.#host = this.#writers('host')
    this.#dataPlane = this.#writers('dataPlane')
  }

  async ensureDataPlane(): Promise<void> {
    const inode = await ensureNamespace(this.#options.dataPlaneFile, this.#options.run)
    if (inode === this.#dataPlaneInode) return
    // The coprocesses sit in the namespace that was there before, and would keep it alive.
    closeAll(this.#dataPlane)
    this.#dataPlane = this.#writers('dataPlane')
    this.#dataPlaneInode = inode
    this.#shapes.dataPlane = undefined
  }

  async observe(desired: DesiredKernel): Promise<ObservedKernel> {
    const [host, dataPlane] = await Promise.all([
      this.#read('host', desired, hostLink),
      this.#read('dataPlane', desired, ''),
    ])
    return pair(host, dataPlane)
  }

  shapes(): ExpectedShapes {
    return { ...this.#shapes }
  }

  async apply(steps: readonly Step[]): Promise<readonly string[]> {
    // A running `ip` remembers the index of every device it has met, also of one that was made anew since.
    this.#host.ip.close()
    this.#dataPlane.ip.close()
    const errors: string[] = []
    for (const step of steps) errors.push(...(await this.#tryStep(step)))
    return errors
  }

  ip(namespace: NamespaceName, lines: readonly string[]): Promise<readonly LineError[]> {
    return this.#writersOf(namespace).ip.run(lines)
  }

  nft(namespace: NamespaceName, commands: readonly string[]): Promise<readonly LineError[]> {
    if (commands.length === 0) return Promise.resolve([])
    return this.#writersOf(namespace).nft.run([commands.join('; ')])
  }

  async ipIn(netnsFile: string, lines: readonly string[]): Promise<string | undefined> {
    const argv = [...enterNamespace(netnsFile), 'ip', '-batch', '-']
    const input = `${lines.join('\n')}\n`
    const result = await this.#options.runOften(argv, { input, timeoutMs })
    return result.code === 0 ? undefined : result.stderr.trim()
  }

  run(namespace: NamespaceName, argv: readonly string[], input?: string): Promise<CommandResult> {
    const full = [...this.#prefix(namespace), ...argv]
    return this.#options.run(full, { timeoutMs, ...(input === undefined ? {} : { input }) })
  }

  async removeDataPlane(): Promise<void> {
    closeAll(this.#dataPlane)
    this.#dataPlaneInode = undefined
    await removeNamespace(this.#options.dataPlaneFile, this.#options.run)
  }

  close(): void {
    closeAll(this.#host)
    closeAll(this.#dataPlane)
  }

  #prefix(namespace: NamespaceName): readonly string[] {
    if (namespace === 'dataPlane') return enterNamespace(this.#options.dataPlaneFile)
    const file = this.#options.hostNamespaceFile
    return file === undefined ? [] : enterNamespace(file)
  }

  #writers(namespace: NamespaceName): Writers {
    const prefix = this.#prefix(namespace)
    const { clock } = this.#options
    return { ip: createIpBatch(prefix, clock), nft: createNftShell(prefix, clock) }
  }

  #writersOf(namespace: NamespaceName): Writers {
    return namespace === 'host' ? this.#host : this.#dataPlane
  }

  /** A program that gave up (`ip neigh` ends after an error) must not keep the steps that follow. */
  async #tryStep(step: Step): Promise<readonly string[]> {
    try {
      return await this.#take(step)
    } catch (err) {
      if (hasCode(err, 'UNAVAILABLE')) return [err.message]
      throw err
    }
  }

  async #take(step: Step): Promise<readonly string[]> {
    switch (step.kind) {
      case 'ip':
        return (await this.ip(step.namespace, step.lines)).map(describe)
      case 'elements':
        return (await this.nft(step.namespace, step.commands)).map(describe)
      case 'table':
        return await this.#writeTable(step.namespace, step.table)
      case 'sysctl':
        return await this.#writeSysctls(step.namespace, step.values)
    }
  }

  async #writeTable(namespace: NamespaceName, table: DesiredTable): Promise<readonly string[]> {
    const written = await this.run(namespace, nftFromInput, tableScript(table))
    if (written.code !== 0) {
      this.#shapes[namespace] = undefined
      return [`nft: ${written.stderr.trim()}`]
    }
    const listed = await this.run(namespace, listTable)
    this.#shapes[namespace] = parseTable(listed.stdout)?.shape
    return []
  }

  async #writeSysctls(
    namespace: NamespaceName,
    values: ReadonlyMap<string, string>,
  ): Promise<readonly string[]> {
    const script = 'while [ $# -gt 0 ]; do printf %s "$2" >"/proc/sys/$1"; shift 2; done'
    const pairs = [...values].flat()
    const result = await this.run(namespace, ['sh', '-c', script, 'sh', ...pairs])
    return result.stderr.trim() === '' ? [] : [`sysctl: ${result.stderr.trim()}`]
  }

  /** One fork reads everything of a namespace; `device` limits it to what hangs on that device. */
  async #read(
    namespace: NamespaceName,
    desired: DesiredKernel,
    device: string,
  ): Promise<NamespaceReading> {
    const only = device === '' ? '' : `dev ${device}`
    const script = [
      `ip -d -j addr show ${only}`,
      `ip -4 -j route show table main ${only}`,
      `ip -4 -j neigh show nud permanent ${only}`,
      listTable.join(' '),
      'grep -sH . "$@"',
    ].join(`; echo; echo "${separator}"; `)
    const paths = [...desired[namespace].sysctls.keys()].map((path) => `/proc/sys/${path}`)
    const result = await this.run(namespace, ['sh', '-c', script, 'sh', ...paths])
    const parts = result.stdout.split(`${separator}\n`)
    if (parts.length !== 5) {
      const why = result.stderr.trim() || `exit code ${result.code}`
      throw new SwarmError('UNAVAILABLE', `cannot read the kernel's network state: ${why}`)
    }
    const [links = '', routes = '', neighbours = '', table = '', sysctls = ''] = parts
    return {
      links: parseLinks(links),
      items: [...parseRoutes(routes, device), ...parseNeighbours(neighbours)],
      table: parseTable(table),
      sysctls: parseSysctls(sysctls),
    }
  }
}

const separator = '--- next ---'
const listTable = ['nft', '-j', '-s', 'list', 'table', 'inet', 'tsswarm']

interface NamespaceReading {
  readonly links: readonly ObservedLink[]
  readonly items: readonly ObservedItem[]
  readonly table: ObservedNamespace['table']
  readonly sysctls: ReadonlyMap<string, string>
}

/** The two ends of the link between host and data plane count only when they are each other's ends. */
function pair(host: NamespaceReading, dataPlane: NamespaceReading): ObservedKernel {
  const outer = host.links.find((link) => link.name === hostLink)
  const inner = dataPlane.links.find((link) => link.name === dataPlaneLink)
  const isPair =
    outer !== undefined &&
    inner !== undefined &&
    outer.peerIndex === inner.index &&
    inner.peerIndex === outer.index
  const broken = isPair ? [] : [outer, inner]
  return { host: withPairs(host, broken), dataPlane: withPairs(dataPlane, broken) }
}

function withPairs(
  reading: NamespaceReading,
  broken: readonly (ObservedLink | undefined)[],
): ObservedNamespace {
  const links = reading.links.map((link): ObservedItem => {
    if (!broken.includes(link)) return link.item
    return { ...link.item, identity: `${link.item.identity} without its other end` }
  })
  const addresses = reading.links.flatMap((link) => link.addresses)
  const { table, sysctls } = reading
  return { items: [...links, ...addresses, ...reading.items], table, sysctls }
}

function closeAll(writers: Writers): void {
  writers.ip.close()
  writers.nft.close()
}

function describe(error: LineError): string {
  return `${error.line}: ${error.text}`
}
