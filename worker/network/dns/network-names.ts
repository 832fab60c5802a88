// The names and addresses of one overlay network. Pure.
import type {
  IngressPort,
  OverlayNetwork,
  ServiceEndpoint,
  TaskEndpoint,
} from '../../../proto/objects/overlay.ts'
import { type AddressRange, addressBytes, addressKey, addressRange } from './addresses.ts'
import { Claims } from './claims.ts'
import type { ZoneChange } from './zone-change.ts'

/** What a name stands for. Both lists empty: the name is known, and nobody serves it now. */
export interface Found {
  readonly ipv4: readonly Buffer[]
  readonly ipv6: readonly Buffer[]
  /** Services of that name or alias. */
  readonly services: readonly ServiceEndpoint[]
  /** Serving tasks behind the name, unless it stands for a virtual address. */
  readonly tasks: readonly TaskEndpoint[]
}

interface KnownTask {
  readonly task: TaskEndpoint
  readonly addresses: readonly Buffer[]
  readonly keys: readonly string[]
  readonly names: readonly string[]
}

interface KnownService {
  readonly service: ServiceEndpoint
  readonly keys: readonly string[]
  readonly names: readonly string[]
}

const tasksPrefix = 'tasks.'

export class NetworkNames {
  #network: OverlayNetwork
  #ranges: readonly AddressRange[] = []
  readonly #services = new Map<string, KnownService>()
  readonly #tasks = new Map<string, KnownTask>()
  readonly #serviceTasks = new Map<string, Set<string>>()
  /** Name to ids of services and tasks. */
  readonly #names = new Map<string, Set<string>>()
  /** By services and serving tasks. */
  readonly #addresses = new Claims()
  /** Answers worked out before; a change takes away those it concerns. */
  readonly #found = new Map<string, Found>()

  constructor(network: OverlayNetwork) {
    this.#network = network
    this.setNetwork(network)
  }

  setNetwork(network: OverlayNetwork): void {
    this.#network = network
    this.#ranges = network.subnets.map(addressRange).filter((range) => range !== undefined)
  }

  get ranges(): readonly AddressRange[] {
    return this.#ranges
  }

  /** In lower case, as part of names; undefined when it cannot be one. */
  get name(): string | undefined {
    return dnsName(this.#network.name)
  }

  get rank(): number {
    return (this.#network.isIngress ? 2 : 0) + (this.#network.isInternal ? 1 : 0)
  }

  get sortKey(): string {
    return `${this.#network.name} ${this.#network.id}`
  }

  all(): readonly ZoneChange[] {
    const networkId = this.#network.id
    const services = [...this.#services.values()]
    const tasks = [...this.#tasks.values()]
    return [
      { kind: 'network', network: this.#network },
      ...services.map(({ service }) => ({ kind: 'service', networkId, service }) as const),
      ...tasks.map(({ task }) => ({ kind: 'task', networkId, task }) as const),
    ]
  }

  *tasks(): Iterable<TaskEndpoint> {
    for (const { task } of this.#tasks.values()) yield task
  }

  addressKeysOf(taskId: string): readonly string[] {
    return this.#tasks.get(taskId)?.keys ?? []
  }

  portsOf(serviceId: string): readonly IngressPort[] {
    return this.#services.get(serviceId)?.service.ports ?? []
  }

  setService(service: ServiceEndpoint): void {
    const id = service.serviceId
    const isRenamed = this.#services.get(id)?.service.name !== service.name
    this.#dropService(id)
    const names = [service.name, ...service.aliases]
      .map(dnsName)
      .filter((name) => name !== undefined)
    const keys = service.vips.map(addressBytes).filter((bytes) => bytes !== undefined)
    const known = { service, names, keys: keys.map(addressKey) }
    this.#services.set(id, known)
    for (const name of names) this.#bind(name, id)
    for (const key of known.keys) this.#addresses.add(key, id)
    if (isRenamed) this.#renameTasks(id)
  }

  removeService(id: string): void {
    this.#dropService(id)
    this.#services.delete(id)
    this.#renameTasks(id)
  }

  setTask(task: TaskEndpoint): void {
    this.removeTask(task.taskId)
    const addresses = task.addresses.map(addressBytes).filter((bytes) => bytes !== undefined)
    const keys = addresses.map(addressKey)
    // Known also while it does not serve: a stranger outside must not answer for it.
    const names = this.#namesOf(task)
    this.#tasks.set(task.taskId, { task, addresses, keys, names })
    const siblings = this.#serviceTasks.get(task.serviceId) ?? new Set()
    this.#serviceTasks.set(task.serviceId, siblings.add(task.taskId))
    for (const name of names) this.#bind(name, task.taskId)
    if (task.isServing) for (const key of keys) this.#addresses.add(key, task.taskId)
    this.#forgetService(task.serviceId)
  }

  removeTask(id: string): void {
    const known = this.#tasks.get(id)
    if (known === undefined) return
    this.#tasks.delete(id)
    const { serviceId } = known.task
    const siblings = this.#serviceTasks.get(serviceId)
    siblings?.delete(id)
    if (siblings?.size === 0) this.#serviceTasks.delete(serviceId)
    for (const name of known.names) this.#unbind(name, id)
    for (const key of known.keys) this.#addresses.remove(key, id)
    this.#forgetService(serviceId)
  }

  /** `name`: in lower case. Undefined: nobody here has or had it. */
  find(name: string): Found | undefined {
    const before = this.#found.get(name)
    if (before !== undefined) return before
    const found = this.#work(name)
    if (found !== undefined) this.#found.set(name, found)
    return found
  }

  /** The whole name of whoever has the address, or undefined. */
  nameAt(address: Buffer): string | undefined {
    const id = this.#addresses.holder(addressKey(address))
    if (id === undefined) return undefined
    const task = this.#tasks.get(id)?.task
    const name = task === undefined ? this.#services.get(id)?.names[0] : this.taskName(task)
    return name === undefined ? undefined : this.qualified(name)
  }

  /** Its longest name, which no other task has: `SERVICE.SLOT.TASK`. */
  taskName(task: TaskEndpoint): string | undefined {
    return this.#namesOf(task)[0]
  }

  qualified(name: string): string {
    return (this.name === undefined ? undefined : dnsName(`${name}.${this.name}`)) ?? name
  }

  #work(name: string): Found | undefined {
    const ids = this.#names.get(name)
    if (ids !== undefined) return this.#collect([...ids], false)
    if (!name.startsWith(tasksPrefix)) return undefined
    const behind = [...(this.#names.get(name.slice(tasksPrefix.length)) ?? [])]
    const services = behind.filter((id) => this.#services.has(id))
    return services.length === 0 ? undefined : this.#collect(services, true)
  }

  #collect(ids: readonly string[], skipsVips: boolean): Found {
    const services = ids.map((id) => this.#services.get(id)?.service).filter(isKnown)
    const virtual = services.filter(({ mode }) => mode === 'vip' && !skipsVips)
    const direct = services.filter(({ mode }) => mode !== 'vip' || skipsVips)
    const taskIds = [...ids, ...direct.flatMap((service) => this.#idsOf(service.serviceId))]
    const known = [...new Set(taskIds)].map((id) => this.#tasks.get(id)).filter(isKnown)
    const serving = known.filter(({ task }) => task.isServing)
    const vips = virtual.flatMap(({ vips }) => vips.map(addressBytes)).filter(isKnown)
    const addresses = [...vips, ...serving.flatMap((task) => task.addresses)]
    return {
      ipv4: addresses.filter(({ length }) => length === 4),
      ipv6: addresses.filter(({ length }) => length === 16),
      services,
      tasks: serving.map(({ task }) => task),
    }
  }

  #idsOf(serviceId: string): readonly string[] {
    return [...(this.#serviceTasks.get(serviceId) ?? [])]
  }

  #namesOf(task: TaskEndpoint): readonly string[] {
    const service = this.#services.get(task.serviceId)?.service.name
    const place = task.slot > 0 ? task.slot : task.nodeId
    const ofService =
      service === undefined ? [] : [`${service}.${place}.${task.taskId}`, `${service}.${place}`]
    return [...ofService, task.taskId, ...task.aliases].map(dnsName).filter(isKnown)
  }

  #bind(name: string, id: string): void {
    this.#names.set(name, (this.#names.get(name) ?? new Set<string>()).add(id))
    this.#forget(name)
  }

  #unbind(name: string, id: string): void {
    const ids = this.#names.get(name)
    ids?.delete(id)
    if (ids?.size === 0) this.#names.delete(name)
    this.#forget(name)
  }

  #dropService(id: string): void {
    const known = this.#services.get(id)
    if (known === undefined) return
    for (const name of known.names) this.#unbind(name, id)
    for (const key of known.keys) this.#addresses.remove(key, id)
  }

  /** The names of tasks begin with that of their service. */
  #renameTasks(serviceId: string): void {
    const tasks = this.#idsOf(serviceId).map((id) => this.#tasks.get(id)?.task)
    for (const task of tasks.filter(isKnown)) this.setTask(task)
  }

  #forgetService(serviceId: string): void {
    for (const name of this.#services.get(serviceId)?.names ?? []) this.#forget(name)
  }

  #forget(name: string): void {
    this.#found.delete(name)
    this.#found.delete(tasksPrefix + name)
  }
}

/** In lower case, or undefined when no question can ask for it. Source: RFC 1035, 2.3.4. */
export function dnsName(text: string): string | undefined {
  const isName = text.length <= 253 && /^[!-\-/-~]{1,63}(?:\.[!-\-/-~]{1,63})*$/.test(text)
  return isName ? text.toLowerCase() : undefined
}

function isKnown<T>(value: T | undefined): value is T {
  return value !== undefined
}
