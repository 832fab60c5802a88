// `swarm reconnect`: addresses that an operator gives, made use of by the manager of this node or, on a worker, by its agent.
import { reasonOf } from '../../manager/membership/reconnect.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { ReconnectSwarmProgress } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { IdentitySource } from '../../proto/objects/index.ts'
import type { Agent } from '../../worker/agent.ts'
import { managerAt } from '../../worker/identity/manager-at.ts'
import { controlPort, formatHostPort, parseHostPort } from './addresses.ts'
import type { ManagerPart } from './manager-part.ts'

/** Election, and the writing down of the new addresses. */
const foundMs = 20_000
const lookMs = 50
const addressesMax = 64

export interface ReconnectDeps {
  readonly manager: ManagerPart | undefined
  readonly agent: Agent | undefined
  readonly identity: IdentitySource
  readonly clock: Clock
}

/** One message an address, then one that says whether the swarm was found. Errors: INVALID_ARGUMENT (address). */
export async function* reconnectNode(
  deps: ReconnectDeps,
  given: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<ReconnectSwarmProgress, void, undefined> {
  const addresses = checkedAddresses(given)
  const { manager, agent } = deps
  if (manager !== undefined) yield* byManager(manager, addresses, signal)
  else yield* byAgent(deps, addresses)
  const found = await until(deps.clock, signal, () =>
    manager === undefined ? agent?.status().manager?.address : manager.isConnected(),
  )
  const missing =
    manager === undefined
      ? 'none of the managers takes this node in yet: it goes on trying'
      : 'the managers have no leader yet, they go on trying: name more of them, until more than half are connected'
  yield message({ found: found ?? '', error: found === undefined ? missing : '' })
}

async function* byManager(
  manager: ManagerPart,
  addresses: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<ReconnectSwarmProgress, void, undefined> {
  for await (const step of manager.reconnect(addresses, signal)) {
    const { address } = step
    if (step.kind === 'failed') yield message({ address, error: step.error.message })
    else yield message({ address, nodeId: step.nodeId })
  }
}

async function* byAgent(
  { agent, identity }: ReconnectDeps,
  addresses: readonly string[],
): AsyncGenerator<ReconnectSwarmProgress, void, undefined> {
  const asked = await Promise.all(
    addresses.map(async (address) => {
      try {
        const at = parseHostPort(address, controlPort, 'address')
        return message({ address, nodeId: await managerAt(at, identity.current()) })
      } catch (err) {
        return message({ address, error: reasonOf(err).message })
      }
    }),
  )
  agent?.learnManagers(asked.filter(({ nodeId }) => nodeId !== ''))
  yield* asked
}

function message(parts: Partial<ReconnectSwarmProgress>): ReconnectSwarmProgress {
  return { address: '', nodeId: '', error: '', found: '', ...parts }
}

/** With a port each, once each. Errors: INVALID_ARGUMENT. */
function checkedAddresses(given: readonly string[]): readonly string[] {
  const addresses = given.map((text) => {
    const at = parseHostPort(text, controlPort, 'address')
    if (at.host !== '') return formatHostPort(at)
    throw new SwarmError('INVALID_ARGUMENT', `address ${JSON.stringify(text)} names no host`)
  })
  if (addresses.length > 0 && addresses.length <= addressesMax) return [...new Set(addresses)]
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `give the addresses of 1 to ${addressesMax} managers, as HOST or HOST:PORT`,
  )
}

async function until<T>(
  clock: Clock,
  signal: AbortSignal,
  look: () => T | undefined,
): Promise<T | undefined> {
  const endsAtMs = clock.monotonicMs() + foundMs
  while (!signal.aborted && clock.monotonicMs() < endsAtMs) {
    const value = look()
    if (value !== undefined) return value
    await wait(clock, lookMs, signal)
  }
  return look()
}
