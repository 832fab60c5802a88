// A line of `tsswarm events`, as Docker words it: time, type, action, id and attributes.
import type { ClusterEvent } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Value } from '../../proto/go-template/functions.ts'
import { shortId } from './human.ts'

/** "2024-01-02T03:04:05.678000000Z service create abc (name=web)". */
export function eventLine(event: ClusterEvent, truncate: boolean): string {
  const { atMs, type, action, actorId } = event
  const id = truncate ? shortId(actorId) : actorId
  const attributes = sortedAttributes(event)
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${truncate && isId(key) ? shortId(value) : value}`)
  const words = [eventTime(atMs), type, action, id].filter((word) => word !== '')
  const rest = attributes.length === 0 ? '' : ` (${attributes.join(', ')})`
  return `${words.join(' ')}${rest}\n`
}

/** The event as Docker's API has it, for --format. */
export function eventJson({ atMs, type, action, actorId, attributes }: ClusterEvent): Value {
  const container = type === 'container' ? { status: action, id: actorId } : {}
  return {
    ...container,
    Type: type,
    Action: action,
    Actor: { ID: actorId, Attributes: attributes },
    scope: 'swarm',
    time: Math.trunc(atMs / 1_000),
    timeNano: Number(BigInt(atMs) * 1_000_000n),
  }
}

function eventTime(atMs: number): string {
  return new Date(atMs).toISOString().replace('Z', '000000Z')
}

function sortedAttributes({ attributes }: ClusterEvent): readonly (readonly [string, string])[] {
  return Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))
}

function isId(key: string): boolean {
  return key.endsWith('.id')
}
