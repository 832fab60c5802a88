// Reads and writes the kernel's network of one node: the host's namespace and the data plane. Decides nothing.
import { hasCode, SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { CommandResult, RunCommand } from '../../proto/lib/command.ts'
import {
  emptyNamespace,
  ensureNamespace,
  enterNamespace,
  findNamespace,
  type HeldNamespace,
  holdNamespace,
  removeNamespace,
} from './data-plane.ts'
import type {
  DesiredKernel,
  DesiredNamespace,
  DesiredTable,
  NamespaceName,
  ObservedKernel,
} from './kernel-state.ts'
import { LeavingDevices } from './leaving-devices.ts'
import {
  attributeErrors,
  createIpBatch,
  createNftShell,
  type LineError,
  type LineWriter,
} from './line-writer.ts'
import { hostLink } from './network-state.ts'
import { nftFromInput } from './nft-script.ts'
import { tableScript } from './nft-tables.ts'
import { type NamespaceReading, pairedReadings } from './paired-readings.ts'
import {
  parseFdb,
  parseLinks,
  parseNeighbours,
  parseRoutes,
  parseRules,
  parseSysctls,
  parseTable,
} from './parse-observed.ts'
import type { ExpectedShapes, Step, WrittenTable } from './plan.ts'
import { RecentWrites } from './recent-writes.ts'
import { type RunInside, runInsideBy } from './run-inside.ts'

/** A loaded host is slow, not broken; what hangs for good is ended. */
const timeoutMs = 60_000
/** Whose names are remembered. */
const goneDevicesMax = 1_000

export interface KernelOptions {
  /** File the data plane's namespace is bound to. */
  readonly dataPlaneFile: string
  /** File of the host's network namespace; undefined: the one this process is in. */
  readonly hostNamespaceFile: string | undefined
  readonly run: RunCommand
  /** As in NodeNetworkOptions. */
  readonly runOften: RunCommand
  /** The same in the namespace of a container. Default: by runOften. */
  readonly runInside?: RunInside
  readonly clock: Clock
}

export interface Kernel {
  /** Makes the data plane's namespace unless it is there. Called before anything else and before each comparison. */
  ensureDataPlane(): Promise<void>
  observe(desired: DesiredKernel): Promise<ObservedKernel>
  /** Takes the steps in order, all of them. Answers with what went wrong. */
  apply(steps: readonly Step[]): Promise<readonly string[]>
  /**
   * A running `ip` remembers the index of every device it has met, also of one that was made anew since. So it is told of those that
   * come, before, and of those that are gone; where a name comes again, another `ip` is started.
   */
  devicesCome(names: readonly string[]): void
  devicesWent(names: readonly string[]): void
  /** They go by themselves, and are not observed until then. */
  devicesLeave(names: readonly string[]): void
  /** The tables as last written by us. */
  shapes(): ExpectedShapes
  /** Lines of `ip`, of `ip -6` (those that begin with -6) and of `bridge` (those about fdb). */
  ip(namespace: NamespaceName, lines: readonly string[]): Promise<readonly LineError[]>
  /** Of `values`: path below /proc/sys, value. Answers with what went wrong. */
  setSysctls(
    namespace: NamespaceName,
    values: ReadonlyMap<string, string>,
  ): Promise<readonly string[]>
  /** Whether something is written there, or was within this time. */
  wroteWithin(namespace: NamespaceName, ms: number): boolean
  /** The same of the rules of one chain of a service, in the data plane. */
  wroteChainWithin(chain: string, ms: number): boolean
  /** One transaction. */
  nft(namespace: NamespaceName, commands: readonly string[]): Promise<readonly LineError[]>
  /** Runs `ip` lines in any other namespace, all of them, and tells what failed. */
  ipIn(netnsFile: string, lines: readonly string[]): Promise<string | undefined>
  /** Writes settings, paths below /proc/sys, as a container's namespace has them; answers with what failed. */
  sysctlsIn(netnsFile: string, values: ReadonlyMap<string, string>): Promise<string | undefined>
  run(namespace: NamespaceName, argv: readonly string[], input?: string): Promise<CommandResult>
  /** The same for what goes with everyday changes, without a fork of this process. */
  runOften(namespace: NamespaceName, argv: readonly string[]): Promise<CommandResult>
  removeDataPlane(): Promise<void>
  /** Ends the coprocesses. */
  close(): void
}

interface Writers {
  readonly ip: LineWriter
  /** For what is of IPv6 without showing it. */
  readonly ip6: LineWriter
  readonly bridge: LineWriter
  readonly nft: LineWriter
}

export function createKernel(options: KernelOptions): Kernel {
  return new NodeKernel(options)
}

class NodeKernel implements Kernel {
  readonly #options: KernelOptions
  readonly #runInside: RunInside
  readonly #host: Writers
  #dataPlane: Writers
  /** The data plane that was there last. */
  #held: HeldNamespace | undefined
  readonly #writes: RecentWrites
  /** Devices that went since the running `ip` were started. */
  readonly #goneDevices = new Set<string>()
  readonly #leaving: LeavingDevices
  /** Others may have gone too. */
  #mayKnowStale = false
  #shapes: Record<NamespaceName, WrittenTable | undefined> = {
    host: undefined,
    dataPlane: undefined,
  }

  constructor(options: KernelOptions) {
    this.#options = options
    this.#runInside = options.runInside ?? runInsideBy(options.runOften)
    this.#leaving = new LeavingDevices(options.clock)
    this.#writes = new RecentWrites(options.clock)
    this.#host = this.#writers('host')
    this.#dataPlane = this.#writers('dataPlane')
  }

  async ensureDataPlane(): Promise<void> {
    const { dataPlaneFile, run } = this.#options
    const inode = await ensureNamespace(dataPlaneFile, run)
    if (inode === this.#held?.inode) return
    // The coprocesses sit in the namespace that was there before.
    closeAll(this.#dataPlane)
    this.#dataPlane = this.#writers('dataPlane')
    this.#shapes.dataPlane = undefined
    await this.#leaveDataPlane()
    this.#held = holdNamespace(dataPlaneFile)
  }

  /** Who else is in it, or has a socket there, would keep its devices, which are to be made anew in another one. */
  async #leaveDataPlane(): Promise<void> {
    if (this.#held === undefined) return
    await emptyNamespace(this.#held, this.#options.run)
    this.#letGo()
  }

  #letGo(): void {
    this.#held?.release()
    this.#held = undefined
  }

  async observe(desired: DesiredKernel): Promise<ObservedKernel> {
    const [host, dataPlane] = await Promise.all([
      this.#read('host', desired, hostLink),
      this.#read('dataPlane', desired, ''),
    ])
    const { dataPlane: inner, ...outer } = pairedReadings(host, dataPlane)
    return { ...outer, dataPlane: { ...inner, items: this.#leaving.without(inner.items) } }
  }

  shapes(): ExpectedShapes {
    return { ...this.#shapes }
  }

  devicesCome(names: readonly string[]): void {
    if (names.length === 0) return
    if (this.#mayKnowStale || names.some((name) => this.#goneDevices.has(name)))
      this.#forgetDevices()
  }

  devicesWent(names: readonly string[]): void {
    for (const name of names) this.#goneDevices.add(name)
    if (this.#goneDevices.size > goneDevicesMax) this.#mayKnowStale = true
    if (this.#mayKnowStale) this.#goneDevices.clear()
  }

  devicesLeave(names: readonly string[]): void {
    this.#leaving.add(names)
  }

  #forgetDevices(): void {
    this.#goneDevices.clear()
    this.#mayKnowStale = false
    for (const { ip, ip6, bridge } of [this.#host, this.#dataPlane]) {
      for (const writer of [ip, ip6, bridge]) writer.close()
    }
  }

  async apply(steps: readonly Step[]): Promise<readonly string[]> {
    if (steps.some(({ kind }) => kind === 'ip')) {
      this.#forgetDevices()
      // Its lines are not looked into: any device may go and come by them.
      this.#mayKnowStale = true
    }
    const errors: string[] = []
    for (const step of steps) {
      errors.push(...(await this.#writes.during(step.namespace, () => this.#tryStep(step))))
    }
    return errors
  }

  setSysctls(
    namespace: NamespaceName,
    values: ReadonlyMap<string, string>,
  ): Promise<readonly string[]> {
    return this.#writes.during(namespace, () => this.#writeSysctls(namespace, values))
  }

  wroteChainWithin(chain: string, ms: number): boolean {
    return this.#writes.chainWithin(chain, ms)
  }

  wroteWithin(namespace: NamespaceName, ms: number): boolean {
    return this.#writes.within(namespace, ms)
  }

  ip(namespace: NamespaceName, lines: readonly string[]): Promise<readonly LineError[]> {
    return this.#writes.during(namespace, () => this.#ip(namespace, lines))
  }

  nft(namespace: NamespaceName, commands: readonly string[]): Promise<readonly LineError[]> {
    return this.#writes.during(namespace, () => this.#nft(namespace, commands))
  }

  async #ip(namespace: NamespaceName, lines: readonly string[]): Promise<readonly LineError[]> {
    const writers = this.#writersOf(namespace)
    const errors: LineError[] = []
    for (const { tool, run } of runsOf(lines)) {
      errors.push(...(await writers[tool].run(run)))
      // It keeps descriptors of the files, and with them namespaces that may be gone.
      if (run.some((line) => / netns \//.test(line))) writers[tool].close()
    }
    return errors
  }

  async #nft(namespace: NamespaceName, commands: readonly string[]): Promise<readonly LineError[]> {
    if (commands.length === 0) return []
    const line = commands.join('; ')
    const write = (): Promise<readonly LineError[]> => this.#nftLine(namespace, line, commands)
    return namespace === 'host' ? await write() : await this.#writes.duringChains(line, write)
  }

  async #nftLine(
    namespace: NamespaceName,
    line: string,
    commands: readonly string[],
  ): Promise<readonly LineError[]> {
    if (line.length < lineMax) return await this.#writersOf(namespace).nft.run([line])
    const { code, stderr } = await this.run(namespace, nftFromInput, `${commands.join('\n')}\n`)
    return code === 0 ? [] : [{ line: `${line.slice(0, 100)} …`, text: stderr.trim() }]
  }

  async ipIn(netnsFile: string, lines: readonly string[]): Promise<string | undefined> {
    const v6 = runsOf(lines).flatMap(({ tool, run }) => (tool === 'ip6' ? run : []))
    const others = lines.filter((line) => !line.startsWith('-6 '))
    const failure = await this.#batchIn(netnsFile, ['ip'], others)
    if (v6.length === 0) return failure
    const failure6 = await this.#batchIn(netnsFile, ['ip', '-6'], v6)
    return failure === undefined || failure6 === undefined
      ? (failure ?? failure6)
      : `${failure}; ${failure6}`
  }

  async sysctlsIn(
    netnsFile: string,
    values: ReadonlyMap<string, string>,
  ): Promise<string | undefined> {
    if (values.size === 0) return undefined
    const argv = [...enterNamespace(netnsFile), ...sysctlCommand(values)]
    const result = await this.#options.runOften(argv, { timeoutMs })
    const said = result.stderr.trim()
    return result.code === 0 && said === '' ? undefined : `sysctl: ${said}`
  }

  async #batchIn(
    netns: string,
    program: readonly string[],
    lines: readonly string[],
  ): Promise<string | undefined> {
    const input = `${lines.join('\n')}\n`
    const settings = insideSettings(lines)
    const result = await this.#writes.during('dataPlane', () =>
      this.#runInside([...program, '-force', '-batch', '-'], { netns, settings, input, timeoutMs }),
    )
    return result.code === 0 ? undefined : describeInside(lines, result.stderr)
  }

  runOften(namespace: NamespaceName, argv: readonly string[]): Promise<CommandResult> {
    return this.#options.runOften([...this.#prefix(namespace), ...argv], { timeoutMs })
  }

  run(namespace: NamespaceName, argv: readonly string[], input?: string): Promise<CommandResult> {
    const full = [...this.#prefix(namespace), ...argv]
    return this.#options.run(full, { timeoutMs, ...(input === undefined ? {} : { input }) })
  }

  async removeDataPlane(): Promise<void> {
    closeAll(this.#dataPlane)
    const { dataPlaneFile, run } = this.#options
    await this.#leaveDataPlane()
    if ((await findNamespace(dataPlaneFile)) !== undefined) {
      this.#held = holdNamespace(dataPlaneFile)
      await this.#leaveDataPlane()
    }
    await removeNamespace(dataPlaneFile, run)
  }

  close(): void {
    closeAll(this.#host)
    closeAll(this.#dataPlane)
    this.#letGo()
  }

  #prefix(namespace: NamespaceName): readonly string[] {
    if (namespace === 'dataPlane') return enterNamespace(this.#options.dataPlaneFile)
    const file = this.#options.hostNamespaceFile
    return file === undefined ? [] : enterNamespace(file)
  }

  #writers(namespace: NamespaceName): Writers {
    const prefix = this.#prefix(namespace)
    const { clock } = this.#options
    return {
      ip: createIpBatch([...prefix, 'ip'], clock),
      ip6: createIpBatch([...prefix, 'ip', '-6'], clock),
      bridge: createIpBatch([...prefix, 'bridge'], clock),
      nft: createNftShell(prefix, clock),
    }
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
    const shape = parseTable(listed.stdout)?.shape
    this.#shapes[namespace] = shape === undefined ? undefined : { shape, chains: table.chains }
    return []
  }

  async #writeSysctls(
    namespace: NamespaceName,
    values: ReadonlyMap<string, string>,
  ): Promise<readonly string[]> {
    const result = await this.runOften(namespace, sysctlCommand(values))
    return result.stderr.trim() === '' ? [] : [`sysctl: ${result.stderr.trim()}`]
  }

  /** One fork reads everything of a namespace; `device` limits it to what hangs on that device. */
  async #read(
    namespace: NamespaceName,
    desired: DesiredKernel,
    device: string,
  ): Promise<NamespaceReading> {
    const result = await this.run(namespace, readingScript(desired[namespace], device))
    const parts = result.stdout.split(`${separator}\n`)
    const [links, routes, routes6, neighbours, rules, rules6, fdb, table, sysctls] = parts
    if (sysctls === undefined) {
      const why = result.stderr.trim() || `exit code ${result.code}`
      throw new SwarmError('UNAVAILABLE', `cannot read the kernel's network state: ${why}`)
    }
    return {
      links: parseLinks(links ?? ''),
      items: [
        ...parseRoutes(routes ?? '', { family: 4, dev: device }),
        ...parseRoutes(routes6 ?? '', { family: 6, dev: device }),
        ...parseNeighbours(neighbours ?? '', device),
        ...parseRules(rules ?? '', 4),
        ...parseRules(rules6 ?? '', 6),
        ...parseFdb(fdb ?? ''),
      ],
      table: parseTable(table ?? ''),
      sysctls: parseSysctls(sysctls),
    }
  }
}

/** Settings are paths below /proc/sys, which shows those of the namespace that the command runs in. */
function sysctlCommand(values: ReadonlyMap<string, string>): readonly string[] {
  const script = 'while [ $# -gt 0 ]; do printf %s "$2" >"/proc/sys/$1"; shift 2; done'
  return ['sh', '-c', script, 'sh', ...[...values].flat()]
}

/** The interfaces that are set up may lead to an address of loopback: the resolver's, which is in the data plane. */
function insideSettings(lines: readonly string[]): ReadonlyMap<string, string> {
  const devices = lines.map((line) => /^link set (eth\d+) up$/.exec(line)?.[1])
  return new Map(
    devices
      .filter((device) => device !== undefined)
      .map((device) => [`/proc/sys/net/ipv4/conf/${device}/route_localnet`, '1']),
  )
}

/** `device` limits it to what hangs on that device; rules and the like are then somebody else's. */
function readingScript(desired: DesiredNamespace, device: string): readonly string[] {
  const only = device === '' ? '' : `dev ${device}`
  const unlessLimited = (command: string): string => (device === '' ? command : 'true')
  const script = [
    `ip -d -j addr show ${only}`,
    `ip -4 -j route show ${device === '' ? 'table all' : `table main ${only}`}`,
    `ip -6 -j route show ${device === '' ? 'table all' : `table main ${only}`}`,
    `ip -j neigh show nud permanent ${only}`,
    unlessLimited('ip -4 -j rule show'),
    unlessLimited('ip -6 -j rule show'),
    unlessLimited('bridge -j fdb show'),
    listTable.join(' '),
    'grep -sH . "$@"',
  ].join(`; echo; echo "${separator}"; `)
  const paths = [...desired.sysctls.keys()].map((path) => `/proc/sys/${path}`)
  return ['sh', '-c', script, 'sh', ...paths]
}

/** What `nft -i` is given in one line; more goes through `nft -f`, which costs a process. */
const lineMax = 16_384

interface ToolRun {
  readonly tool: 'ip' | 'ip6' | 'bridge'
  readonly run: readonly string[]
}

/** Lines in their order, as far as possible together, with the tool each is for. */
function runsOf(lines: readonly string[]): readonly ToolRun[] {
  const runs: { readonly tool: ToolRun['tool']; readonly run: string[] }[] = []
  for (const line of lines) {
    const tool = line.startsWith('fdb ') ? 'bridge' : line.startsWith('-6 ') ? 'ip6' : 'ip'
    const text = tool === 'ip6' ? line.slice(3) : line
    const last = runs.at(-1)
    if (last?.tool === tool) last.run.push(text)
    else runs.push({ tool, run: [text] })
  }
  return runs
}

/** Rules inside a container that are there from before are no error: a rule cannot be replaced. */
function describeInside(lines: readonly string[], said: string): string | undefined {
  const errors = attributeErrors(lines, { said, mark: ['', `${lines.length + 1}`] })
  const real = errors.filter(
    ({ line, text }) => !(line.startsWith('rule add') && text.includes('File exists')),
  )
  if (errors.length === 0) return said.trim() || 'ip failed'
  return real.length === 0 ? undefined : real.map(describe).join('; ')
}

const separator = '--- next ---'
const listTable = ['nft', '-j', '-s', 'list', 'table', 'inet', 'tsswarm']

function closeAll(writers: Writers): void {
  for (const writer of [writers.ip, writers.ip6, writers.bridge, writers.nft]) writer.close()
}

function describe(error: LineError): string {
  return `${error.line}: ${error.text}`
}
