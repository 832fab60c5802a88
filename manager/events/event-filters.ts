// Filters of events: keys are ANDed, the values of one key ORed. The keys are Docker's.
import { SwarmError } from '../../proto/errors.ts'
import type { ClusterEvent, Filter } from '../../proto/gen/tsswarm/v1/control.ts'

type Match = (event: ClusterEvent, value: string) => boolean

const serviceId = 'com.docker.swarm.service.id'
const serviceName = 'com.docker.swarm.service.name'
const nodeId = 'com.docker.swarm.node.id'

const keys: Readonly<Record<string, Match>> = {
  type: ({ type }, value) => type === value,
  event: ({ action }, value) => action === value,
  scope: (_, value) => value === 'swarm',
  label: ({ attributes }, value) => hasLabel(attributes, value),
  image: ({ attributes }, value) => attributes['image'] === value,
  container: of('container'),
  network: of('network'),
  task: of('task'),
  service: (event, value) =>
    of('service')(event, value) ||
    attributeIs(event, serviceId, value) ||
    attributeIs(event, serviceName, value),
  node: (event, value) => of('node')(event, value) || attributeIs(event, nodeId, value),
}

/** Errors: INVALID_ARGUMENT for an unknown key. */
export function eventFilter(filters: readonly Filter[]): (event: ClusterEvent) => boolean {
  const tests = filters.map(({ key, values }) => {
    const match = Object.hasOwn(keys, key) ? keys[key] : undefined
    if (match === undefined) {
      const text = `invalid filter "${key}": events are filtered by ${Object.keys(keys).join(', ')}`
      throw new SwarmError('INVALID_ARGUMENT', text)
    }
    return (event: ClusterEvent) => values.some((value) => match(event, value))
  })
  return (event) => tests.every((test) => test(event))
}

/** Events of that type about what has that id, the beginning of it, or that name. */
function of(type: string): Match {
  return (event, value) =>
    event.type === type && (event.actorId.startsWith(value) || attributeIs(event, 'name', value))
}

function attributeIs({ attributes }: ClusterEvent, key: string, value: string): boolean {
  return Object.hasOwn(attributes, key) && attributes[key] === value
}

/** "key" or "key=value". */
function hasLabel(attributes: Readonly<Record<string, string>>, value: string): boolean {
  const equals = value.indexOf('=')
  const key = equals === -1 ? value : value.slice(0, equals)
  if (!Object.hasOwn(attributes, key)) return false
  return equals === -1 || attributes[key] === value.slice(equals + 1)
}
