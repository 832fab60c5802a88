// CreateNetwork, GetNetwork, ListNetworks, RemoveNetwork, PruneNetworks.
import { networkToProto, parseNetworkSpec } from '../../proto/codec/network.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  CreateNetworkRequest,
  CreateNetworkResponse,
  ListNetworksRequest,
  ListNetworksResponse,
  PruneNetworksRequest,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { Network as NetworkProto } from '../../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../../proto/lib/ids.ts'
import {
  localNetworksLevel,
  type Network,
  networkId,
  networksLevel,
} from '../../proto/objects/index.ts'
import { isLocalNetwork, type NetworkSpec } from '../../proto/spec/network-spec.ts'
import { predefinedOf } from '../../proto/spec/predefined-networks.ts'
import { planNetwork } from '../allocator/network-plan.ts'
import { localSubnets } from '../overlay/ingress.ts'
import type { ReadTx, RowSource, Tx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { isPredefined, networkFilter, pruneFilter } from './filters.ts'
import { listMessages, type Page, rowsOf } from './list-stream.ts'
import { findNetwork } from './lookup.ts'
import { networkDetails, predefinedDetails } from './network-details.ts'
import { userOf } from './network-use.ts'
import { predefinedRows, refuseRemoval } from './predefined.ts'
import { requireLevel } from './require-level.ts'
import { repeatable } from './writing.ts'

type NetworkHandlers = Pick<
  ControlApi,
  'createNetwork' | 'getNetwork' | 'listNetworks' | 'removeNetwork' | 'pruneNetworks'
>

/** Of one transaction of the store. */
const removalsMax = 200

export function networkHandlers(deps: ControlDeps): NetworkHandlers {
  const { store, cluster } = deps
  return {
    createNetwork: async (_, request) => await createNetwork(deps, request),
    getNetwork: async (_, request, signal) => {
      await cluster.readBarrier(signal)
      const predefined = predefinedOf(request.reference)
      if (predefined !== undefined) return predefinedDetails(predefined)
      return store.view((tx) =>
        networkDetails(tx, findNetwork(tx, request.reference), request.verbose),
      )
    },
    listNetworks: (_, request, signal) => listNetworks(deps, request, signal),
    removeNetwork: async (_, request) => {
      const predefined = predefinedOf(request.reference)
      if (predefined !== undefined) refuseRemoval(predefined)
      const id = await store.update(
        (tx) => removeNetwork(tx, findNetwork(tx, request.reference)),
        repeatable(request.requestId, 'RemoveNetwork'),
      )
      return { networkId: id }
    },
    pruneNetworks: async (_, request) => ({ names: await pruneNetworks(deps, request) }),
  }
}

async function createNetwork(
  { store, random }: ControlDeps,
  request: CreateNetworkRequest,
): Promise<CreateNetworkResponse> {
  const spec = parseNetworkSpec(request.spec)
  const newNetworkId = newId(random)
  // A repeat is answered with the first id.
  const id = await store.update(
    (tx) => {
      requireNetworkLevel(tx, spec)
      refuseTakenName(tx, spec.name)
      return tx.create('networks', plannedNetwork(tx, spec, newNetworkId)).id
    },
    repeatable(request.requestId, 'CreateNetwork'),
  )
  const network = store.view((tx) => tx.get('networks', id))
  return { network: network === undefined ? undefined : networkToProto(network) }
}

/** Errors: FAILED_PRECONDITION. */
function requireNetworkLevel(tx: ReadTx, spec: NetworkSpec): void {
  const what = `network "${spec.name}"`
  if (!isLocalNetwork(spec)) requireLevel(tx, networksLevel, what)
  else requireLevel(tx, localNetworksLevel, what, 'networks of the driver bridge')
}

/** Errors: INVALID_ARGUMENT, RESOURCE_EXHAUSTED naming network, field, reason and remedy. */
function plannedNetwork(tx: ReadTx, spec: NetworkSpec, id: string): Network {
  const now = { version: tx.version, locals: localSubnets(tx) }
  const plan = planNetwork(spec, [...tx.all('networks')], theCluster(tx), now)
  if (plan.kind === 'refused') {
    const { code, field, reason } = plan
    throw new SwarmError(code, `network "${spec.name}" is not valid: ${field} ${reason}`, {
      details: { field, reason },
    })
  }
  const { vni, subnets } = plan
  return {
    id: networkId(id),
    ...{ version: 0, createdAtMs: 0, updatedAtMs: 0 },
    spec,
    vni,
    subnets,
  }
}

function refuseTakenName(tx: ReadTx, name: string): void {
  if (predefinedOf(name.toLowerCase()) !== undefined) {
    throw new SwarmError(
      'NAME_CONFLICT',
      `network with name ${name} already exists: every node has it for itself. Choose another`,
      { details: { name } },
    )
  }
  for (const taken of tx.find('networks', 'byName', name.toLowerCase())) {
    throw new SwarmError(
      'NAME_CONFLICT',
      `network with name ${name} already exists${taken.spec.name === name ? '' : ` ("${taken.spec.name}": names must differ by more than case)`}: ` +
        `choose another, or remove that one with "tsswarm network rm ${taken.spec.name}"`,
      { details: { name, networkId: taken.id } },
    )
  }
}

async function* listNetworks(
  deps: ControlDeps,
  { filters }: ListNetworksRequest,
  signal: AbortSignal,
): AsyncGenerator<ListNetworksResponse, void, undefined> {
  const isUsed = (network: Network): boolean =>
    isPredefined(network) || deps.store.view((tx) => userOf(tx, network)) !== undefined
  const passes = networkFilter(filters, isUsed)
  await deps.cluster.readBarrier(signal)
  const open = (): Page<Network, ListNetworksResponse> => {
    const networks: NetworkProto[] = []
    return {
      add: (_, network) => {
        if (!passes(network)) return 0
        const proto = networkToProto(network)
        networks.push(proto)
        return NetworkProto.encode(proto).finish().length
      },
      message: () => ({ networks }),
    }
  }
  const rows = withPredefined(deps.store.rows('networks'))
  yield* listMessages(deps, rows, open, signal)
}

/** Those of each node come before those of the cluster. */
function withPredefined(rows: RowSource<Network>): RowSource<Network> {
  const predefined = rowsOf(predefinedRows)
  return { next: () => predefined.next() ?? rows.next(), close: () => rows.close() }
}

/** Returns its id. Errors: IN_USE. */
function removeNetwork(tx: Tx, network: Network): string {
  const user = userOf(tx, network)
  if (user !== undefined) {
    throw new SwarmError(
      'IN_USE',
      `network "${network.spec.name}" is in use by ${user}: remove, update or disconnect what uses it first`,
      { details: { networkId: network.id } },
    )
  }
  tx.remove('networks', network.id)
  return network.id
}

/** Names of the removed ones. */
async function pruneNetworks(
  { store }: ControlDeps,
  { filters, requestId }: PruneNetworksRequest,
): Promise<readonly string[]> {
  const passes = pruneFilter(filters)
  return await store.update(
    (tx) => {
      const unused = [...tx.all('networks')]
        .filter((network) => !network.spec.isIngress && passes(network))
        .filter((network) => userOf(tx, network) === undefined)
        .slice(0, removalsMax)
      for (const { id } of unused) tx.remove('networks', id)
      return unused.map(({ spec }) => spec.name)
    },
    repeatable(requestId, 'PruneNetworks'),
  )
}
