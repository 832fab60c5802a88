// init, join and leave: how this host enters and leaves a swarm. Each either happens whole or changes nothing.
import { rm } from 'node:fs/promises'
import { createRootCa, issueCertificate } from '../../manager/ca/root-ca.ts'
import { parseClusterSpec } from '../../proto/codec/cluster.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { InitSwarmRequest, JoinSwarmRequest } from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { NodeAvailability } from '../../proto/gen/tsswarm/v1/objects.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { TlsIdentity } from '../../proto/objects/index.ts'
import { type ClusterSpec, clusterSpec } from '../../proto/spec/cluster-spec.ts'
import { IdentityStore } from '../../worker/identity/identity-store.ts'
import { joinCluster } from '../../worker/identity/join-cluster.ts'
import { createNodeKey } from '../../worker/identity/node-key.ts'
import {
  checkAdvertised,
  chooseAdvertiseHost,
  chooseDataPathAddress,
  controlPort,
  formatHostPort,
  type HostPort,
  hostAddresses,
  parseHostPort,
  raftPortOffset,
} from './addresses.ts'
import { checkListen } from './check-ports.ts'
import type { DaemonPaths } from './host-paths.ts'
import type { SwarmState } from './swarm-state.ts'

export interface MembershipDeps {
  readonly paths: DaemonPaths
  readonly clock: Clock
  readonly random: Random
}

/** What the first manager puts into the empty store. */
export interface Founding {
  readonly clusterId: string
  readonly rootCaCertPem: string
  readonly rootCaKeyPem: string
  readonly spec: ClusterSpec
  readonly availability: NodeAvailability
}

export interface Founded {
  readonly identity: IdentityStore
  readonly state: SwarmState
  readonly founding: Founding
}

export interface JoinedNode {
  readonly identity: IdentityStore
  readonly state: SwarmState
}

/**
 * Makes a root, an identity and a state for a new cluster; nothing is committed until the state is written.
 * Errors: INVALID_ARGUMENT, ADDRESS_IN_USE.
 */
export async function found(deps: MembershipDeps, request: InitSwarmRequest): Promise<Founded> {
  const place = await choosePlace(request.listenAddress, request.advertiseAddress)
  const dataPathAddress = chooseDataPathAddress(request.dataPathAddress, hostAddresses())
  const spec = request.spec === undefined ? clusterSpec.parse({}) : parseClusterSpec(request.spec)
  const { paths, clock, random } = deps
  const nowMs = clock.wallMs()
  const root = await createRootCa(nowMs)
  const clusterId = newId(random)
  const nodeId = newId(random)
  const { csrPem, keyPem } = await createNodeKey()
  const certPem = await issueCertificate(root, {
    subject: { nodeId, role: 'manager', clusterId },
    csrPem,
    nowMs,
    lifeMs: spec.nodeCertExpiryMs,
  })
  const identity: TlsIdentity = {
    certPem: certPem + root.certPem,
    keyPem,
    caPem: root.certPem,
  }
  await rm(paths.swarm, { recursive: true, force: true })
  return {
    identity: IdentityStore.create(paths.certificates, identity),
    state: {
      ...freshState(place),
      dataPathAddress,
      raftId: newId(random),
      managers: [itself(nodeId, place)],
    },
    founding: {
      clusterId,
      rootCaCertPem: root.certPem,
      rootCaKeyPem: root.keyPem,
      spec,
      availability: request.availability,
    },
  }
}

/** Obtains an identity from a cluster. Errors: those of joinCluster, ADDRESS_IN_USE, INVALID_ARGUMENT. */
export async function join(
  deps: MembershipDeps,
  request: JoinSwarmRequest,
  signal: AbortSignal,
): Promise<JoinedNode> {
  const place = await choosePlace(request.listenAddress, request.advertiseAddress)
  const dataPathAddress = chooseDataPathAddress(request.dataPathAddress, hostAddresses())
  if (request.remoteAddresses.length === 0) {
    throw new SwarmError('INVALID_ARGUMENT', 'the address of a manager is missing: HOST:PORT')
  }
  const addresses = request.remoteAddresses.map((text) =>
    formatHostPort(parseHostPort(text, controlPort, 'manager address')),
  )
  const { identity, answer } = await joinCluster({
    addresses,
    token: request.token,
    availability: request.availability,
    requestId: request.requestId,
    signal,
  })
  const known = [...new Set([...answer.managerAddresses, ...addresses])]
  await rm(deps.paths.swarm, { recursive: true, force: true })
  return {
    identity: IdentityStore.create(deps.paths.certificates, identity),
    state: {
      ...freshState(place),
      dataPathAddress,
      managers: known.map((address) => ({ nodeId: '', address })),
    },
  }
}

function freshState(place: Place): SwarmState {
  return { ...place, dataPathAddress: '', peers: [], moved: [], lostRaftIds: [], managers: [] }
}

/** The agent of the first manager has its session with that very manager. */
export function itself(
  nodeId: string,
  { listenAddress, advertiseHost: host }: Place,
): SwarmState['managers'][number] {
  const { port } = parseHostPort(listenAddress, controlPort, '--listen-addr')
  return { nodeId, address: formatHostPort({ host, port }) }
}

export type Place = Pick<SwarmState, 'listenAddress' | 'advertiseHost'>

/**
 * Where a manager that exists is to be from now on, when flags say so: what they leave out stays. Errors: those of choosePlace.
 */
export async function choosePlaceAgain(
  present: Place,
  listen: string,
  advertise: string,
): Promise<Place> {
  const { listenAddress, advertiseHost } = present
  if (listen === '' && advertise === '') return { listenAddress, advertiseHost }
  const { host, port } = parseHostPort(listen || listenAddress, controlPort, '--listen-addr')
  const at = formatHostPort({ host, port })
  if (at !== listenAddress) return await choosePlace(at, advertise || advertiseHost)
  // It listens there itself.
  const place = placeOf(at, advertise || advertiseHost)
  return { listenAddress: formatHostPort(place.at), advertiseHost: place.host }
}

/** Where to listen and what to advertise, checked before anything is changed. */
async function choosePlace(listen: string, advertise: string): Promise<Place> {
  const { at, host } = placeOf(listen, advertise)
  await checkListen(at, '--listen-addr')
  await checkListen({ ...at, port: at.port + raftPortOffset }, '--listen-addr')
  return { listenAddress: formatHostPort(at), advertiseHost: host }
}

function placeOf(
  listen: string,
  advertise: string,
): { readonly at: HostPort; readonly host: string } {
  const listenAt = parseHostPort(listen || '0.0.0.0', controlPort, '--listen-addr')
  const addresses = hostAddresses()
  const wish = parseHostPort(advertise, listenAt.port, '--advertise-addr')
  const isWildcard = ['', '0.0.0.0', '::'].includes(listenAt.host)
  const host = chooseAdvertiseHost(wish.host || (isWildcard ? '' : listenAt.host), addresses)
  const at = { ...listenAt, host: addresses.get(listenAt.host)?.[0] ?? listenAt.host }
  checkAdvertised({ host, port: wish.port }, at)
  return { at, host }
}
