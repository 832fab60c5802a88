// Writes run on the leader: here when this manager leads, else forwarded with the caller's identity. Outcomes that may
// be retried with the same request id are retried until the deadline.
import { Client, Metadata, type MethodDefinition } from '@grpc/grpc-js'
import { hasCode, SwarmError } from '../../proto/errors.ts'
import { createBackoff } from '../../proto/lib/backoff.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { IdentitySource, NodeId } from '../../proto/objects/index.ts'
import { serverStream, unary } from '../../proto/rpc/call.ts'
import { channelCredentials, channelOptions } from '../../proto/rpc/channel.ts'
import type { Caller } from './caller.ts'
import { encodeCaller, forwardedCallerKey } from './tls-callers.ts'

const forwardMs = 10_000
const attemptMs = 5_000
/** Between two looks whether the manager that was asked still leads. */
const lookMs = 100
/** Longest pause between two tries: about how long a new leader may be overlooked. */
const pauseMaxMs = 100
/** The longest list, over a slow network. */
const streamMs = 120_000

/** Where the leader is. */
export interface LeaderLocator {
  selfNodeId(): NodeId
  /** Undefined while there is none. */
  leaderNodeId(): NodeId | undefined
  /** host:port of a manager's control API. */
  controlAddress(id: NodeId): string | undefined
}

export interface ForwarderDeps {
  readonly locator: LeaderLocator
  readonly identity: IdentitySource
  readonly clock: Clock
  readonly random: Random
}

export interface ForwardedCall {
  readonly caller: Caller
  readonly request: unknown
  readonly signal: AbortSignal
}

/** Warm channels to other managers, by node id; replaced when the address or the identity changes. */
export class ManagerChannels {
  readonly #deps: Pick<ForwarderDeps, 'locator' | 'identity'>
  readonly #clients = new Map<NodeId, { readonly address: string; readonly client: Client }>()
  readonly #stopWatching: () => void

  constructor(deps: Pick<ForwarderDeps, 'locator' | 'identity'>) {
    this.#deps = deps
    this.#stopWatching = deps.identity.onChange(() => this.#closeAll())
  }

  /** A client of that manager. Errors: UNAVAILABLE when its address is not known. */
  client(id: NodeId): Client {
    const address = this.#deps.locator.controlAddress(id)
    if (address === undefined) {
      throw new SwarmError('UNAVAILABLE', `the address of manager ${id} is not known`)
    }
    const known = this.#clients.get(id)
    if (known?.address === address) return known.client
    known?.client.close()
    const credentials = channelCredentials(this.#deps.identity.current())
    const client = new Client(address, credentials, channelOptions(id))
    this.#clients.set(id, { address, client })
    return client
  }

  /** Every connection is made anew when it is next needed. */
  redial(): void {
    this.#closeAll()
  }

  close(): void {
    this.#stopWatching()
    this.#closeAll()
  }

  #closeAll(): void {
    for (const { client } of this.#clients.values()) client.close()
    this.#clients.clear()
  }
}

/** Runs a method on the leader. Errors: the handler's; NO_LEADER when none was found in time. */
export function leaderForwarder(deps: ForwarderDeps, channels: ManagerChannels) {
  return async (
    method: MethodDefinition<unknown, unknown>,
    call: ForwardedCall,
    here: () => Promise<unknown>,
  ): Promise<unknown> => {
    const { clock, locator } = deps
    const backoff = createBackoff({ firstMs: 20, maxMs: pauseMaxMs, random: deps.random })
    const endsAtMs = clock.monotonicMs() + forwardMs
    let last: unknown
    while (!call.signal.aborted && clock.monotonicMs() < endsAtMs) {
      const leader = locator.leaderNodeId()
      try {
        if (leader === locator.selfNodeId()) return await here()
        if (leader !== undefined) {
          return await forwardWhileItLeads(deps, leader, call, (signal) =>
            forward(method, { ...call, signal }, channels.client(leader)),
          )
        }
      } catch (err) {
        if (!mayRetry(err, call.request)) throw err
        last = err
      }
      await wait(clock, backoff.nextMs(), call.signal)
    }
    throw last ?? noLeader()
  }
}

/**
 * Streams the answer of a method of the leader. It is asked again, or another one, until a first message came.
 * Errors: the handler's; NO_LEADER when none was found in time.
 */
export function leaderStreams(deps: ForwarderDeps, channels: ManagerChannels) {
  return async function* (
    method: MethodDefinition<unknown, unknown>,
    call: ForwardedCall,
    here: () => AsyncIterable<unknown>,
  ): AsyncGenerator<unknown, void, undefined> {
    const { clock, locator } = deps
    const backoff = createBackoff({ firstMs: 20, maxMs: pauseMaxMs, random: deps.random })
    const endsAtMs = clock.monotonicMs() + forwardMs
    let last: unknown
    while (!call.signal.aborted && clock.monotonicMs() < endsAtMs) {
      const leader = locator.leaderNodeId()
      let hasBegun = false
      try {
        if (leader !== undefined) {
          const isHere = leader === locator.selfNodeId()
          const messages = isHere ? here() : forwardStream(method, call, channels.client(leader))
          for await (const message of messages) {
            hasBegun = true
            yield message
          }
          return
        }
      } catch (err) {
        if (hasBegun || !hasCode(err, 'NOT_LEADER', 'NO_LEADER', 'UNAVAILABLE')) throw err
        last = err
      }
      await wait(clock, backoff.nextMs(), call.signal)
    }
    throw last ?? noLeader()
  }
}

/**
 * Gives up as soon as another one leads: an answer of one that is cut off would be waited for up to the deadline. Only
 * for what may be asked again. Errors: those of the call; OUTCOME_UNKNOWN when given up.
 */
async function forwardWhileItLeads<T>(
  { clock, locator }: ForwarderDeps,
  leader: NodeId,
  { request, signal }: ForwardedCall,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (!isRepeatable(request)) return await ask(signal)
  const { controller, release } = childController(signal)
  const look = (): void => {
    if (locator.leaderNodeId() === leader) timer = clock.setTimer(lookMs, look)
    else controller.abort()
  }
  let timer = clock.setTimer(lookMs, look)
  try {
    return await ask(controller.signal)
  } catch (err) {
    if (!controller.signal.aborted || signal.aborted) throw err
    const text = `manager ${leader} leads no more, and had not answered; the request may be made again`
    throw new SwarmError('OUTCOME_UNKNOWN', text, { cause: err })
  } finally {
    timer.cancel()
    release()
  }
}

function forwardStream(
  method: MethodDefinition<unknown, unknown>,
  { caller, request, signal }: ForwardedCall,
  client: Client,
): AsyncIterable<unknown> {
  const options = { deadlineMs: streamMs, signal, metadata: namingCaller(caller) }
  return serverStream(client, method, request, options)
}

function namingCaller(caller: Caller): Metadata {
  const metadata = new Metadata()
  metadata.set(forwardedCallerKey, encodeCaller(caller))
  return metadata
}

function forward(
  method: MethodDefinition<unknown, unknown>,
  { caller, request, signal }: ForwardedCall,
  client: Client,
): Promise<unknown> {
  const metadata = namingCaller(caller)
  return unary(client, method, request, { deadlineMs: attemptMs, signal, metadata })
}

/** Not applied for certain, or repeatable because the leader knows the request id. */
function mayRetry(err: unknown, request: unknown): boolean {
  if (hasCode(err, 'NOT_LEADER', 'NO_LEADER')) return true
  return (
    isRepeatable(request) && hasCode(err, 'OUTCOME_UNKNOWN', 'UNAVAILABLE', 'DEADLINE_EXCEEDED')
  )
}

function isRepeatable(request: unknown): boolean {
  const { requestId } = request as { readonly requestId?: unknown }
  return typeof requestId === 'string' && requestId !== ''
}

function noLeader(): SwarmError {
  return new SwarmError(
    'NO_LEADER',
    'the swarm does not have a leader: more than half of the managers must be online. ' +
      'Check them with `tsswarm node ls`, start the missing daemons, and try again',
  )
}
