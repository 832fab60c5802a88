// The handlers of the Daemon service: what this host is, init, join and leave, and its images.
import type { HandlerTable } from '../../manager/rpc/adapter.ts'
import type { Caller } from '../../manager/rpc/caller.ts'
import { nodeDescriptionToProto } from '../../proto/codec/node.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  InfoResponse,
  InitSwarmRequest,
  InitSwarmResponse,
  JoinSwarmRequest,
  JoinSwarmResponse,
  LeaveSwarmRequest,
  ReconnectSwarmProgress,
  ReconnectSwarmRequest,
} from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { VolumeRequest } from '../../proto/gen/tsswarm/v1/volume.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { DaemonDeps, SwarmControl } from './daemon.ts'
import { describeHost } from './describe-host.ts'
import type { DaemonPaths } from './host-paths.ts'
import { imageHandlers } from './image-handlers.ts'
import { choosePlaceAgain, found, join } from './membership.ts'
import type { NodeRuntime } from './node-runtime.ts'
import { version } from './version.ts'

export interface DaemonHandlerDeps extends DaemonDeps {
  readonly paths: DaemonPaths
  readonly swarm: SwarmControl
}

/** Docker's bound: after this the join goes on in the background. */
const joinMs = 20_000
const leaveMs = 8_000

export function createDaemonHandlers(deps: DaemonHandlerDeps): HandlerTable {
  return {
    info: async () => info(deps),
    initSwarm: async (_: Caller, request: InitSwarmRequest) =>
      await deps.swarm.exclusively(() =>
        request.forceNewCluster ? recoverSwarm(deps, request) : initSwarm(deps, request),
      ),
    joinSwarm: async (_: Caller, request: JoinSwarmRequest, signal: AbortSignal) =>
      await deps.swarm.exclusively(() => joinSwarm(deps, request, signal)),
    leaveSwarm: async (_: Caller, request: LeaveSwarmRequest) =>
      await deps.swarm.exclusively(() => leaveSwarm(deps, request)),
    async *reconnectSwarm(
      _: Caller,
      { addresses }: ReconnectSwarmRequest,
      signal: AbortSignal,
    ): AsyncGenerator<ReconnectSwarmProgress> {
      yield* nodeInSwarm(deps, 'there are no managers to find').reconnect(addresses, signal)
    },
    ...imageHandlers(deps.engine.images),
    volumes: async (_: Caller, request: VolumeRequest) => await deps.engine.volumes.handle(request),
  }
}

function info({ config, live, swarm }: DaemonHandlerDeps): InfoResponse {
  const node = swarm.node()
  const failure = node?.agentFailure()
  const bus = node?.busStatus()
  return {
    version,
    swarmState: node === undefined ? 'inactive' : 'active',
    nodeId: swarm.nodeId(),
    nodeAddress: node?.state().advertiseHost ?? '',
    controlAvailable: node?.manager() !== undefined,
    error: failure instanceof Error ? failure.message : '',
    clusterId: node?.clusterId() ?? '',
    managerAddresses: node?.state().managers.map(({ address }) => address) ?? [],
    description: nodeDescriptionToProto(
      describeHost(live.current(), node?.state().dataPathAddress ?? '', node?.conditions()),
    ),
    stateDir: config.stateDir,
    leaderNodeId: node?.manager()?.leaderNodeId() ?? '',
    busServerNodeId: bus?.server ?? '',
    busFailure: bus?.failure ?? '',
  }
}

function refuseWhenInSwarm({ swarm }: DaemonHandlerDeps): void {
  if (swarm.node() === undefined) return
  throw new SwarmError(
    'ALREADY_IN_SWARM',
    'this node is already part of a swarm: use `tsswarm swarm leave` to leave it before you begin or join another one',
  )
}

async function initSwarm(
  deps: DaemonHandlerDeps,
  request: InitSwarmRequest,
): Promise<InitSwarmResponse> {
  refuseWhenInSwarm(deps)
  const { identity, state, founding } = await found(deps, request)
  const node = await deps.swarm.enter(identity, state, founding)
  deps.log.info({ nodeId: deps.swarm.nodeId(), clusterId: founding.clusterId }, 'swarm initialised')
  return {
    nodeId: deps.swarm.nodeId(),
    workerJoinToken: await node.workerJoinToken(),
    advertiseAddress: node.controlAddress(),
    recovery: undefined,
  }
}

async function recoverSwarm(
  deps: DaemonHandlerDeps,
  request: InitSwarmRequest,
): Promise<InitSwarmResponse> {
  const advice = 'there is nothing to recover. Begin a swarm without --force-new-cluster'
  const node = nodeInSwarm(deps, advice)
  const { listenAddress, advertiseAddress } = request
  const place = await choosePlaceAgain(node.state(), listenAddress, advertiseAddress)
  const recovery = await node.recover(request.force, place)
  return {
    nodeId: deps.swarm.nodeId(),
    workerJoinToken: '',
    advertiseAddress: node.controlAddress(),
    recovery,
  }
}

/** Errors: NOT_IN_SWARM. */
function nodeInSwarm({ swarm }: DaemonHandlerDeps, why: string): NodeRuntime {
  const node = swarm.node()
  if (node !== undefined) return node
  throw new SwarmError('NOT_IN_SWARM', `this node is not part of a swarm: ${why}`)
}

async function joinSwarm(
  deps: DaemonHandlerDeps,
  request: JoinSwarmRequest,
  signal: AbortSignal,
): Promise<JoinSwarmResponse> {
  refuseWhenInSwarm(deps)
  const { identity, state } = await join(deps, request, signal)
  const node = await deps.swarm.enter(identity, state)
  const { role } = identity.certificate()
  const { controller, release } = childController(signal)
  const timer = deps.clock.setTimer(joinMs, () => controller.abort())
  try {
    await node.manager()?.untilVoter(controller.signal)
  } finally {
    timer.cancel()
    release()
  }
  deps.log.info({ nodeId: deps.swarm.nodeId(), role }, 'swarm joined')
  return { nodeId: deps.swarm.nodeId(), role: role === 'manager' ? 1 : 0 }
}

async function leaveSwarm(
  deps: DaemonHandlerDeps,
  { force }: LeaveSwarmRequest,
): Promise<Record<string, never>> {
  const node = nodeInSwarm(deps, 'there is nothing to leave')
  const manager = node.manager()
  if (manager !== undefined && !force) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      'you are attempting to leave the swarm on a node that is participating as a manager: demote it first with ' +
        '`tsswarm node demote`, or use --force; with the last manager all state of the swarm is lost',
    )
  }
  if (manager !== undefined) {
    // Forced: the others shrink their quorum when they can be asked; leaving does not depend on it.
    const { controller } = childController()
    const timer = deps.clock.setTimer(leaveMs, () => controller.abort())
    await manager
      .leaveRaft(controller.signal)
      .catch((err: unknown) => deps.log.warn({ err }, 'left without the consent of the others'))
    timer.cancel()
  }
  await deps.swarm.leave()
  deps.log.info({}, 'swarm left')
  return {}
}
