// Whether the local network of this node meets a network of the cluster, as when it joined after that was made. Pure.
import type { NodeCondition } from '../../proto/objects/node-condition.ts'
import type { NetworkView } from '../../proto/objects/overlay.ts'
import { parseIpRange, rangesOverlap } from '../../proto/spec/ip.ts'

/** One condition for each network that it meets. */
export function subnetClashes(
  local: string,
  views: readonly NetworkView[],
): readonly NodeCondition[] {
  const own = parseIpRange(local)
  return views.flatMap(({ network }) =>
    network.subnets.flatMap((subnet) => {
      const range = parseIpRange(subnet)
      if (own === undefined || range === undefined || !rangesOverlap(own, range)) return []
      const message =
        `the local network ${local} meets ${subnet} of network "${network.name}", and tasks of both do not find one another: ` +
        'start the daemon there with another --local-subnet once no container uses it, or use another network'
      return [{ code: 'SUBNET_CLASH', message }]
    }),
  )
}
