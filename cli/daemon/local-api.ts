// The services of the local socket: Control through this node's manager, Daemon by the daemon itself.
import type { ServiceDefinition } from '@grpc/grpc-js'
import {
  type DuplexHandler,
  type HandlerTable,
  serviceImplementation,
} from '../../manager/rpc/adapter.ts'
import type { Caller } from '../../manager/rpc/caller.ts'
import { type MethodPolicy, methodPolicies } from '../../manager/rpc/policy.ts'
import type { ServedService } from '../../manager/rpc/server.ts'
import { SwarmError } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { nodeId } from '../../proto/objects/index.ts'
import type { ManagerPart } from './manager-part.ts'

export interface LocalApiDeps {
  /** This node's id; empty outside a swarm. */
  readonly nodeId: () => string
  readonly manager: () => ManagerPart | undefined
  readonly isInSwarm: () => boolean
  /** The manager of this node is about to serve. */
  readonly isStarting: () => boolean
  readonly daemon: HandlerTable
}

/** Whoever may open the socket is an administrator. */
export function localServices(deps: LocalApiDeps): readonly ServedService[] {
  const callerOf = (): Caller => ({ kind: 'local-admin', nodeId: nodeId(deps.nodeId()) })
  const control = serviceImplementation(ControlService, delegated(ControlService, deps), {
    callerOf,
    onLeader: (method, call, here) => requireManager(deps).onLeader(method, call, here),
    onLeaderStream: (method, call, here) => requireManager(deps).onLeaderStream(method, call, here),
  })
  const daemon = serviceImplementation(DaemonService, deps.daemon, {
    callerOf,
    policies: { ...methodPolicies, ...daemonPolicies() },
  })
  return [
    { definition: ControlService, implementation: control },
    { definition: DaemonService, implementation: daemon },
  ]
}

function daemonPolicies(): Readonly<Record<string, MethodPolicy>> {
  const local: MethodPolicy = { admits: 'managers', onLeader: false }
  return Object.fromEntries(Object.values(DaemonService).map(({ path }) => [path, local]))
}

/** Handlers that look up the manager for every call: it comes and goes with the node's role. */
function delegated(definition: ServiceDefinition, deps: LocalApiDeps): HandlerTable {
  const table: Record<string, HandlerTable[string]> = {}
  for (const [name, method] of Object.entries(definition)) {
    const handler = (): ((caller: Caller, request: never, signal: AbortSignal) => unknown) =>
      requireManager(deps).control[name] as never
    if (method.requestStream) {
      const duplex: DuplexHandler = async (caller, incoming, send, signal) =>
        await (handler() as unknown as DuplexHandler)(caller, incoming, send, signal)
      table[name] = duplex
      continue
    }
    table[name] = method.responseStream
      ? async function* (caller: Caller, request: never, signal: AbortSignal) {
          yield* handler()(caller, request, signal) as AsyncIterable<unknown>
        }
      : async (caller: Caller, request: never, signal: AbortSignal) =>
          await handler()(caller, request, signal)
  }
  return table
}

function requireManager(deps: LocalApiDeps): ManagerPart {
  const manager = deps.manager()
  if (manager !== undefined) return manager
  if (deps.isStarting()) {
    throw new SwarmError('UNAVAILABLE', 'the manager of this node is starting: try again shortly')
  }
  if (!deps.isInSwarm()) {
    throw new SwarmError(
      'NOT_IN_SWARM',
      'this node is not a swarm manager: use `tsswarm swarm init` or `tsswarm swarm join` to connect this node to a swarm and try again',
    )
  }
  throw new SwarmError(
    'NOT_A_MANAGER',
    "this node is not a swarm manager: worker nodes can't be used to view or modify cluster state. " +
      'Run this command on a manager node, or promote this node with `tsswarm node promote` there',
  )
}
