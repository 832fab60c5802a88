// The kernel's network in memory, as far as worker/network writes it: `ip` lines, nft tables and sysctls change an
// ObservedKernel. Removing a device takes along what hangs on it, as the kernel does.
import { createHash } from 'node:crypto'
import type { CommandResult } from '../../proto/lib/command.ts'
import type { Kernel } from '../../worker/network/kernel.ts'
import type {
  DesiredTable,
  NamespaceName,
  ObservedItem,
  ObservedKernel,
  ObservedNamespace,
} from '../../worker/network/kernel-state.ts'
import type { LineError } from '../../worker/network/line-writer.ts'
import type { ExpectedShapes, Step, WrittenTable } from '../../worker/network/plan.ts'

interface SimulatedTable {
  shape: string
  elements: Map<string, string[]>
  serviceChains: Map<string, string[]>
}

interface SimulatedNamespace {
  items: ObservedItem[]
  sysctls: Map<string, string>
  table: SimulatedTable | undefined
}

export class SimulatedKernel implements Kernel {
  readonly state: Record<NamespaceName, SimulatedNamespace> = {
    host: { items: [], sysctls: new Map([['net/ipv4/ip_forward', '0']]), table: undefined },
    dataPlane: {
      items: [link('lo', 'loopback', 'down')],
      sysctls: new Map(),
      table: undefined,
    },
  }
  /** Everything written, in order: `host: ip link set …`. */
  readonly written: string[] = []
  /** Answers of `run` by the first words of the command; everything else succeeds without output. */
  readonly answers = new Map<string, CommandResult>()
  /** Lines that fail, by their beginning. */
  readonly failing: string[] = []
  readonly #shapes: Record<NamespaceName, WrittenTable | undefined> = {
    host: undefined,
    dataPlane: undefined,
  }

  ensureDataPlane(): Promise<void> {
    return Promise.resolve()
  }

  observe(): Promise<ObservedKernel> {
    const snapshot = (name: NamespaceName): ObservedNamespace => {
      const { items, sysctls, table } = this.state[name]
      return { items: [...items], sysctls: new Map(sysctls), table: table && { ...table } }
    }
    return Promise.resolve({ host: snapshot('host'), dataPlane: snapshot('dataPlane') })
  }

  shapes(): ExpectedShapes {
    return { ...this.#shapes }
  }

  wroteWithin(): boolean {
    return false
  }

  wroteChainWithin(): boolean {
    return false
  }

  devicesCome(names: readonly string[]): void {
    for (const name of names) this.written.push(`device comes: ${name}`)
  }

  devicesWent(names: readonly string[]): void {
    for (const name of names) this.written.push(`device went: ${name}`)
  }

  devicesLeave(names: readonly string[]): void {
    for (const name of names) this.written.push(`device leaves: ${name}`)
  }

  apply(steps: readonly Step[]): Promise<readonly string[]> {
    const errors = steps.flatMap((step) => this.#take(step))
    return Promise.resolve(errors.map(({ line, text }) => `${line}: ${text}`))
  }

  setSysctls(
    namespace: NamespaceName,
    values: ReadonlyMap<string, string>,
  ): Promise<readonly string[]> {
    return this.apply([{ kind: 'sysctl', namespace, values }])
  }

  ip(namespace: NamespaceName, lines: readonly string[]): Promise<readonly LineError[]> {
    return Promise.resolve(this.#ip(namespace, lines))
  }

  nft(namespace: NamespaceName, commands: readonly string[]): Promise<readonly LineError[]> {
    return Promise.resolve(this.#nft(namespace, commands))
  }

  ipIn(netnsFile: string, lines: readonly string[]): Promise<string | undefined> {
    this.written.push(...lines.map((line) => `${netnsFile}: ip ${line}`))
    return Promise.resolve(this.failing.includes('inside') ? 'inside failed' : undefined)
  }

  sysctlsIn(netnsFile: string, values: ReadonlyMap<string, string>): Promise<string | undefined> {
    this.written.push(
      ...[...values].map(([path, value]) => `${netnsFile}: sysctl ${path}=${value}`),
    )
    return Promise.resolve(this.failing.includes('sysctl') ? 'sysctl failed' : undefined)
  }

  runOften(namespace: NamespaceName, argv: readonly string[]): Promise<CommandResult> {
    return this.run(namespace, argv)
  }

  run(namespace: NamespaceName, argv: readonly string[]): Promise<CommandResult> {
    const text = argv.join(' ')
    this.written.push(`${namespace}: run ${text}`)
    for (const [start, answer] of this.answers) {
      if (text.startsWith(start)) return Promise.resolve(answer)
    }
    return Promise.resolve({ code: 0, stdout: '', stderr: '' })
  }

  removeDataPlane(): Promise<void> {
    return Promise.resolve()
  }

  close(): void {}

  #take(step: Step): readonly LineError[] {
    switch (step.kind) {
      case 'ip':
        return this.#ip(step.namespace, step.lines)
      case 'elements':
        return this.#nft(step.namespace, step.commands)
      case 'sysctl':
        for (const [path, value] of step.values) this.state[step.namespace].sysctls.set(path, value)
        return []
      case 'table':
        this.#writeTable(step.namespace, step.table)
        return []
    }
  }

  #writeTable(namespace: NamespaceName, table: DesiredTable): void {
    const declared = table.sets.map(({ kind, name, declaration }) => [kind, name, declaration])
    // What the kernel lists is not what was written: it must not be taken for it.
    const shape = createHash('sha256')
      .update(JSON.stringify(['listed', declared, table.chains]))
      .digest('hex')
    const elements = new Map(table.sets.map(({ name, elements }) => [name, [...elements]]))
    const chains = [...table.serviceChains].map(([name, rules]): [string, string[]] => [
      name,
      [...rules],
    ])
    this.state[namespace].table = { shape, elements, serviceChains: new Map(chains) }
    this.#shapes[namespace] = { shape, chains: table.chains }
    this.written.push(`${namespace}: nft table`)
  }

  #nft(namespace: NamespaceName, commands: readonly string[]): readonly LineError[] {
    const errors: LineError[] = []
    for (const line of commands) {
      this.written.push(`${namespace}: nft ${line}`)
      if (this.failing.some((start) => line.startsWith(start))) {
        errors.push({ line, text: 'failed' })
        continue
      }
      const { table } = this.state[namespace]
      if (table !== undefined && changeChain(table.serviceChains, line)) continue
      const match = /^(add|delete) element inet tsswarm (\w+) \{ (.*) \}$/.exec(line)
      const set = table?.elements.get(match?.[2] ?? '')
      if (match === null || set === undefined) {
        errors.push({ line, text: 'No such file or directory' })
        continue
      }
      for (const element of (match[3] ?? '').split(', ')) {
        const at = set.indexOf(element)
        if (match[1] === 'add' && at < 0) set.push(element)
        if (match[1] === 'delete' && at >= 0) set.splice(at, 1)
      }
    }
    return errors
  }

  #ip(namespace: NamespaceName, lines: readonly string[]): readonly LineError[] {
    const errors: LineError[] = []
    for (const line of lines) {
      this.written.push(`${namespace}: ip ${line}`)
      const failed = this.failing.some((start) => line.startsWith(start))
      const text = failed ? 'failed' : this.#ipLine(namespace, line)
      if (text !== '') errors.push({ line, text })
    }
    return errors
  }

  /** What the kernel says against the line; empty when it did it. */
  #ipLine(namespace: NamespaceName, line: string): string {
    const [object = '', verb = '', ...words] = line.split(' ')
    const space = this.state[namespace]
    if (object === '-6') return this.#ruleLine(space, verb === 'rule' ? words : [], 6)
    if (object === 'rule') return this.#ruleLine(space, [verb, ...words], 4)
    if (object === 'link') return this.#linkLine(namespace, verb, words)
    const item = itemOf(object, words)
    const device = item.fields.dev ?? item.key.split(' ')[0] ?? ''
    if (verb !== 'del' && device !== '' && find(space, 'link', device) === undefined) {
      return `Cannot find device "${device}"`
    }
    const old = find(space, item.kind, item.key)
    if (verb === 'del' && old === undefined) return 'No such process'
    space.items = space.items.filter((other) => other !== old)
    if (verb !== 'del') space.items.push(item)
    return ''
  }

  #ruleLine(space: SimulatedNamespace, words: readonly string[], family: 4 | 6): string {
    const [verb = '', , pref = '', ...rest] = words
    const key = `${family} pref ${pref}`
    const old = find(space, 'rule', key)
    if (verb === 'del' && old === undefined) return 'No such file or directory'
    space.items = space.items.filter((item) => item !== old)
    if (verb === 'add') {
      const identity = rest.join(' ').replace(/^fwmark /, 'mark ')
      space.items.push({ kind: 'rule', key, identity, fields: {} })
    }
    return ''
  }

  #linkLine(namespace: NamespaceName, verb: string, words: readonly string[]): string {
    const space = this.state[namespace]
    const [name = '', ...rest] = words
    const old = find(space, 'link', name)
    if (verb === 'add') {
      if (old !== undefined) return 'File exists'
      const vxlan = / type vxlan id (\d+) local (\S+) dstport (\d+) /.exec(words.join(' '))
      if (vxlan !== null) {
        const how = words.includes('df') ? ' in whole packets' : ''
        const identity = `vxlan ${vxlan[1]} from ${vxlan[2]} on port ${vxlan[3]}${how}`
        this.state.dataPlane.items.push(link(name, identity, 'down'))
        return ''
      }
      space.items.push(link(name, 'veth', 'down'))
      const peer = words.join(' ').match(/peer name (up0) /)?.[1]
      if (peer !== undefined) this.state.dataPlane.items.push(link(peer, 'veth', 'down'))
      return ''
    }
    if (old === undefined) return `Cannot find device "${name}"`
    if (verb === 'del') {
      space.items = space.items.filter((item) => item !== old && !hangsOn(item, name))
      if (name === 'dp0') this.#linkLine('dataPlane', 'del', ['up0'])
      if (name === 'up0') this.#linkLine('host', 'del', ['dp0'])
      return ''
    }
    const fields = { ...old.fields, ...pairs(rest.filter((word) => word !== 'up')), state: 'up' }
    space.items = space.items.map((item) => (item === old ? { ...old, fields } : item))
    return ''
  }
}

/** Whether the command was about a chain of a service, and could be done. */
function changeChain(chains: Map<string, string[]>, line: string): boolean {
  const [verb = '', kind = '', , , name = '', ...rule] = line.split(' ')
  if (kind !== 'chain' && kind !== 'rule') return false
  const rules = chains.get(name)
  if (kind === 'rule') rules?.push(rule.join(' '))
  else if (verb === 'add') chains.set(name, [])
  else if (verb === 'delete') chains.delete(name)
  else rules?.splice(0)
  return verb === 'add' || rules !== undefined
}

export function link(name: string, identity: string, state: 'up' | 'down'): ObservedItem {
  return {
    kind: 'link',
    key: name,
    identity,
    fields: { alias: '', mtu: '1500', address: '', state },
  }
}

function find(space: SimulatedNamespace, kind: string, key: string): ObservedItem | undefined {
  return space.items.find((item) => item.kind === kind && item.key === key)
}

function hangsOn(item: ObservedItem, device: string): boolean {
  return item.fields.dev === device || item.key.startsWith(`${device} `)
}

function itemOf(object: string, words: readonly string[]): ObservedItem {
  if (object === 'addr') {
    const [address = '', , device = ''] = words
    return { kind: 'address', key: `${device} ${address}`, identity: '', fields: {} }
  }
  if (object === 'neigh') {
    const { dev = '', lladdr = '' } = pairs(words.slice(1))
    return { kind: 'neighbour', key: `${dev} ${words[0]}`, identity: '', fields: { lladdr } }
  }
  if (object === 'fdb') {
    const { dev = '', dst = '' } = pairs(words.slice(1))
    return { kind: 'fdb', key: `${dev} ${words[0]}`, identity: '', fields: { dst } }
  }
  const type = ['unreachable', 'local'].find((name) => name === words[0]) ?? 'unicast'
  const [destination = '', ...how] = (type === 'unicast' ? words : words.slice(1)).filter(
    (word) => !['onlink', 'lock'].includes(word),
  )
  const { table = 'main', ...given } = pairs(how)
  const fields = { type, via: '', dev: '', src: '', mtu: '', ...given }
  const key = table === 'main' ? destination : `${destination} table ${table}`
  return { kind: 'route', key, identity: '', fields }
}

function pairs(words: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (let at = 0; at + 1 < words.length; at += 2) found[words[at] ?? ''] = words[at + 1] ?? ''
  return found
}
