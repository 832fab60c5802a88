// What networks get that running tasks are connected to: addresses, or why there are none. Pure.
import type {
  NetworkAddresses,
  NetworkId,
  Task,
  TaskAttachment,
} from '../../proto/objects/index.ts'
import { isActive, isTerminal } from '../../proto/objects/index.ts'
import type { NetworkState } from './network-state.ts'

export interface ConnectionsPlan {
  /** With what was given, and with what is wrong; undefined: as before. */
  readonly task: Task | undefined
  readonly taken: readonly NetworkAddresses[]
  /** Something is freed soon: look again. */
  readonly isWaiting: boolean
}

/** Whether something of it was connected and has no addresses yet. */
export function isAsking(task: Task): boolean {
  return !isTerminal(task.state) && isActive(task) && task.attachments.some(lacksAddresses)
}

/** `ackedIndex`: as for the allocator. */
export function planConnections(
  task: Task,
  networks: ReadonlyMap<NetworkId, NetworkState>,
  ackedIndex: (id: NetworkId) => number,
): ConnectionsPlan {
  const taken: NetworkAddresses[] = []
  let isWaiting = false
  const attachments = task.attachments.map((one): TaskAttachment => {
    const { connection, networkId } = one
    if (connection === undefined || !lacksAddresses(one)) return one
    const state = networks.get(networkId)
    if (state === undefined) {
      const err = `network ${networkId} does not exist`
      return { ...one, connection: { ...connection, phase: 'failed', err } }
    }
    const given = state.give(ackedIndex(networkId), connection.wished)
    if (given.kind === 'given') {
      taken.push(given.addresses)
      return { ...given.addresses, connection: { ...connection, err: '' } }
    }
    isWaiting ||= given.isWaiting
    if (given.isWaiting && connection.err === given.why) return one
    const phase = given.isWaiting ? connection.phase : 'failed'
    return { ...one, connection: { ...connection, phase, err: given.why } }
  })
  const isSame = attachments.every((one, i) => one === task.attachments[i])
  return { task: isSame ? undefined : { ...task, attachments }, taken, isWaiting }
}

function lacksAddresses({ addresses, connection }: TaskAttachment): boolean {
  return connection?.phase === 'asked' && addresses.length === 0
}
