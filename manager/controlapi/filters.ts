// Filters of listings: keys are ANDed, the values of one key ORed. What each key means, by object.
import { SwarmError } from '../../proto/errors.ts'
import type { Filter } from '../../proto/gen/tsswarm/v1/control.ts'
import {
  type Network,
  type Node,
  type Payload,
  type Service,
  type Task,
  taskStateName,
} from '../../proto/objects/index.ts'
import { scopeOf } from '../../proto/spec/network-spec.ts'
import { predefinedOf } from '../../proto/spec/predefined-networks.ts'
import type { ReadTx } from '../store/store.ts'
import { taskName } from './views.ts'

/** Whether a row has one value of a filter. */
type Match<T> = (row: T, value: string) => boolean

interface FilterKey<T> {
  readonly matches: Match<T>
  /** The words that are allowed; undefined: any text. */
  readonly words?: readonly string[]
  /** Of a text that is not any. */
  readonly pattern?: RegExp
}

type FilterKeys<T> = Readonly<Record<string, FilterKey<T>>>

/** Whether a row passes all filters. */
export type Predicate<T> = (row: T) => boolean

/** Errors: INVALID_ARGUMENT for an unknown key or a word that can never match. */
export function nodeFilter(filters: readonly Filter[]): Predicate<Node> {
  return predicate('nodes', nodeKeys, filters)
}

/** Errors: INVALID_ARGUMENT. */
export function serviceFilter(filters: readonly Filter[]): Predicate<Service> {
  return predicate('services', serviceKeys, filters)
}

/** `isUsed`: whether something is on it. Errors: INVALID_ARGUMENT. */
export function networkFilter(
  filters: readonly Filter[],
  isUsed: (network: Network) => boolean,
): Predicate<Network> {
  return predicate('networks', networkKeys(isUsed), filters)
}

/** Of secrets or configs. Errors: INVALID_ARGUMENT. */
export function payloadFilter(what: string, filters: readonly Filter[]): Predicate<Payload> {
  return predicate(what, payloadKeys, filters)
}

/** For those that are to go. Errors: INVALID_ARGUMENT. */
export function pruneFilter(filters: readonly Filter[]): Predicate<Network> {
  const { label } = networkKeys(() => false)
  const without = {
    matches: (network: Network, value: string) => !hasLabel(network.spec.labels, value),
  }
  const until = {
    matches: (network: Network, value: string) => network.createdAtMs < Number(value),
    pattern: /^\d{1,15}$/,
  }
  return predicate('networks to prune', { label, 'label!': without, until }, filters)
}

export function isPredefined({ id }: Network): boolean {
  return predefinedOf(id) !== undefined
}

/** Names of services and nodes are looked up in `tx`. Errors: INVALID_ARGUMENT. */
export function taskFilter(tx: ReadTx, filters: readonly Filter[]): Predicate<Task> {
  return predicate('tasks', taskKeys(tx), filters)
}

const nodeKeys: FilterKeys<Node> = {
  id: { matches: (node, value) => node.id.startsWith(value) },
  name: {
    matches: (node, value) => hostname(node).toLowerCase().startsWith(value.toLowerCase()),
  },
  label: { matches: (node, value) => hasLabel(node.description?.engineLabels ?? {}, value) },
  'engine.label': {
    matches: (node, value) => hasLabel(node.description?.engineLabels ?? {}, value),
  },
  'node.label': { matches: (node, value) => hasLabel(node.spec.labels, value) },
  role: { matches: (node, value) => node.spec.role === value, words: ['manager', 'worker'] },
  membership: { matches: (_, value) => value === 'accepted', words: ['accepted', 'pending'] },
}

function networkKeys(isUsed: (network: Network) => boolean) {
  return {
    id: { matches: (network, value) => network.id.startsWith(value) },
    name: { matches: (network, value) => network.spec.name.includes(value) },
    label: { matches: (network, value) => hasLabel(network.spec.labels, value) },
    driver: { matches: (network, value) => network.spec.driver === value },
    scope: {
      matches: (network, value) => value === scopeOf(network.spec),
      words: ['swarm', 'global', 'local'],
    },
    type: {
      matches: (network, value) => value === (isPredefined(network) ? 'builtin' : 'custom'),
      words: ['custom', 'builtin'],
    },
    dangling: {
      matches: (network, value) => !isUsed(network) === ['true', '1'].includes(value),
      words: ['true', 'false', '1', '0'],
    },
  } satisfies FilterKeys<Network>
}

/** Source: Docker's filters of secrets: `name` is a beginning, `names` is whole. */
const payloadKeys: FilterKeys<Payload> = {
  id: { matches: (payload, value) => payload.id.startsWith(value) },
  name: {
    matches: (payload, value) => payload.spec.name.toLowerCase().startsWith(value.toLowerCase()),
  },
  names: {
    matches: (payload, value) => payload.spec.name.toLowerCase() === value.toLowerCase(),
  },
  label: { matches: (payload, value) => hasLabel(payload.spec.labels, value) },
}

const serviceKeys: FilterKeys<Service> = {
  id: { matches: (service, value) => service.id.startsWith(value) },
  name: {
    matches: (service, value) => service.spec.name.toLowerCase().startsWith(value.toLowerCase()),
  },
  label: { matches: (service, value) => hasLabel(service.spec.labels, value) },
  mode: {
    matches: (service, value) => service.spec.mode.kind === value,
    words: ['replicated', 'global', 'replicated-job', 'global-job', 'cron'],
  },
}

function taskKeys(tx: ReadTx): FilterKeys<Task> {
  return {
    id: { matches: (task, value) => task.id.startsWith(value) },
    name: { matches: (task, value) => `${taskName(tx, task)}.${task.id}`.startsWith(value) },
    label: {
      matches: (task, value) =>
        hasLabel(tx.get('taskSpecs', task.specHash)?.spec.container.labels ?? {}, value),
    },
    service: {
      matches: (task, value) =>
        task.serviceId === value || tx.get('services', task.serviceId)?.spec.name === value,
    },
    node: {
      matches: (task, value) => {
        const node = task.nodeId === undefined ? undefined : tx.get('nodes', task.nodeId)
        return task.nodeId === value || (node !== undefined && hostname(node) === value)
      },
    },
    'desired-state': {
      matches: (task, value) => taskStateName(task.desiredState) === value,
      words: ['ready', 'running', 'complete', 'shutdown', 'remove', 'accepted'],
    },
    'up-to-date': {
      matches: (task, value) => {
        const hash = tx.get('services', task.serviceId)?.specHash
        return String(hash === task.specHash) === value
      },
      words: ['true', 'false'],
    },
  }
}

function predicate<T>(what: string, keys: FilterKeys<T>, filters: readonly Filter[]): Predicate<T> {
  const tests = filters.map((filter): Predicate<T> => {
    const key = Object.hasOwn(keys, filter.key) ? keys[filter.key] : undefined
    if (key === undefined) {
      throw invalid(
        `invalid filter "${filter.key}": ${what} are filtered by ${Object.keys(keys).join(', ')}`,
      )
    }
    for (const value of filter.values) {
      if (key.words !== undefined && !key.words.includes(value)) {
        throw invalid(
          `invalid filter "${filter.key}=${value}": the value must be one of ${key.words.join(', ')}`,
        )
      }
    }
    const odd = filter.values.find((value) => key.pattern?.test(value) === false)
    if (odd !== undefined) {
      throw invalid(
        `invalid filter "${filter.key}=${odd}": the value must be a number of ms since 1970`,
      )
    }
    return (row) => filter.values.some((value) => key.matches(row, value))
  })
  return (row) => tests.every((test) => test(row))
}

function invalid(message: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', message)
}

/** "key" or "key=value". */
function hasLabel(labels: Readonly<Record<string, string>>, value: string): boolean {
  const equals = value.indexOf('=')
  const key = equals === -1 ? value : value.slice(0, equals)
  if (!Object.hasOwn(labels, key)) return false
  return equals === -1 || labels[key] === value.slice(equals + 1)
}

function hostname(node: Node): string {
  return node.description?.hostname ?? ''
}
