// Flags about how a node takes part in a swarm.
import { NodeAvailability } from '../proto/gen/tsswarm/v1/objects.ts'
import { choice, text } from './flags.ts'

export const listenFlags = {
  'advertise-addr': text('Advertised address (format: <ip|interface>)'),
  'listen-addr': text('Listen address (format: <ip|interface>[:port])', { shown: '0.0.0.0:2377' }),
}

export const dataPathFlag = text(
  "Address or interface of this node's overlay traffic (format: <ip|interface>)",
  { shown: 'the advertised address' },
)

export const availabilityFlag = choice(
  'Availability of the node (active, pause, drain)',
  ['active', 'pause', 'drain'],
  { shown: 'active' },
)

const availabilities = {
  active: NodeAvailability.ACTIVE,
  pause: NodeAvailability.PAUSE,
  drain: NodeAvailability.DRAIN,
}

export function availabilityOf(word: keyof typeof availabilities | undefined): NodeAvailability {
  return availabilities[word ?? 'active']
}
