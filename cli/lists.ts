// Lists of the control API as a whole: they come in several messages (control.proto).
import {
  ControlService,
  type Filter,
  type ListNodesResponse,
  type PayloadView,
  type ServiceView,
  type StackRevisionView,
  type TaskView,
} from '../proto/gen/tsswarm/v1/control.ts'
import type { Network, TaskSpec } from '../proto/gen/tsswarm/v1/objects.ts'
import type { PayloadKind } from '../proto/spec/payload-spec.ts'
import type { CallOptions, Client } from './client.ts'

/** For a hundred thousand rows over a slow disk or a busy manager. */
const listMs = 120_000

type Lister = Pick<Client, 'collect'>

/** All nodes that pass, in order of creation, and which one this is. Errors: as Client.call. */
export async function listNodes(
  client: Lister,
  filters: readonly Filter[] = [],
  options: CallOptions = {},
): Promise<ListNodesResponse> {
  const all = await client.collect(ControlService.listNodes, { filters }, within(options))
  return {
    nodes: all.flatMap(({ nodes }) => nodes),
    selfNodeId: all[0]?.selfNodeId ?? '',
  }
}

/** All services that pass, in order of creation. Errors: as Client.call. */
export async function listServices(
  client: Lister,
  filters: readonly Filter[] = [],
  options: CallOptions = {},
): Promise<readonly ServiceView[]> {
  const all = await client.collect(ControlService.listServices, { filters }, within(options))
  return all.flatMap(({ services }) => services)
}

/** All networks that pass, in order of creation. Errors: as Client.call. */
export async function listNetworks(
  client: Lister,
  filters: readonly Filter[] = [],
  options: CallOptions = {},
): Promise<readonly Network[]> {
  const all = await client.collect(ControlService.listNetworks, { filters }, within(options))
  return all.flatMap(({ networks }) => networks)
}

/** All secrets or configs that pass, in order of creation, without data. Errors: as Client.call. */
export async function listPayloads(
  client: Lister,
  kind: PayloadKind,
  asked: { readonly filters?: readonly Filter[]; readonly allVersions?: boolean } = {},
  options: CallOptions = {},
): Promise<readonly PayloadView[]> {
  const { listSecrets, listConfigs } = ControlService
  const { filters = [], allVersions = false } = asked
  const method = kind === 'secret' ? listSecrets : listConfigs
  const all = await client.collect(method, { filters, allVersions }, within(options))
  return all.flatMap(({ payloads }) => payloads)
}

/** All tasks that pass, in order of creation, each with its spec. Errors: as Client.call. */
export async function listTasks(
  client: Lister,
  filters: readonly Filter[] = [],
  options: CallOptions = {},
): Promise<readonly TaskView[]> {
  const all = await client.collect(ControlService.listTasks, { filters }, within(options))
  const specs = new Map<string, TaskSpec>()
  for (const { hash, spec } of all.flatMap((message) => message.specs)) {
    if (spec !== undefined) specs.set(hash, spec)
  }
  return all.flatMap(({ tasks }) =>
    tasks.map((view) => ({ ...view, spec: specs.get(view.task?.specHash ?? '') })),
  )
}

/** The revisions of a stack, the oldest first, without content. Errors: as Client.call. */
export async function listStackRevisions(
  client: Lister,
  stack: string,
  options: CallOptions = {},
): Promise<readonly StackRevisionView[]> {
  const { listStackRevisions: method } = ControlService
  const all = await client.collect(method, { stack }, within(options))
  return all.flatMap(({ revisions }) => revisions)
}

/** Of networks that these tasks have addresses on, by id, for a format that shows them. Errors: as Client.call. */
export async function namesOfNetworks(
  client: Lister,
  format: string | undefined,
  tasks: readonly TaskView[],
): Promise<ReadonlyMap<string, string>> {
  const isShown = format === 'json' || format?.includes('.') === true
  const isOnAny = tasks.some(({ task }) => (task?.attachments.length ?? 0) > 0)
  const networks = isShown && isOnAny ? await listNetworks(client) : []
  return new Map(networks.map(({ id, spec }) => [id, spec?.name ?? id]))
}

function within(options: CallOptions): CallOptions {
  return { timeoutMs: listMs, ...options }
}
