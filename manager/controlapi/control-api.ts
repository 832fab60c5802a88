// Transport-free handlers of the control API: one function a method of the Control service. What they share is here;
// the handlers themselves are in files by object. ServiceLogs is the log broker's.
import type {
  BeginStackRevisionRequest,
  BeginStackRevisionResponse,
  ConnectNetworkRequest,
  ConnectNetworkResponse,
  CreateNetworkRequest,
  CreateNetworkResponse,
  CreatePayloadRequest,
  CreatePayloadResponse,
  CreateServiceRequest,
  CreateServiceResponse,
  DisconnectNetworkRequest,
  DisconnectNetworkResponse,
  EndStackRevisionRequest,
  EndStackRevisionResponse,
  ExplainRequest,
  ExplainResponse,
  ExplainServiceRequest,
  ExplainServiceResponse,
  GetClusterRequest,
  GetClusterResponse,
  GetJoinTokensRequest,
  GetJoinTokensResponse,
  GetNetworkRequest,
  GetNetworkResponse,
  GetNodeRequest,
  GetNodeResponse,
  GetPayloadRequest,
  GetPayloadResponse,
  GetServiceRequest,
  GetServiceResponse,
  GetStackRevisionRequest,
  GetStackRevisionResponse,
  GetTaskRequest,
  GetTaskResponse,
  ListNetworksRequest,
  ListNetworksResponse,
  ListNodesRequest,
  ListNodesResponse,
  ListPayloadsRequest,
  ListPayloadsResponse,
  ListServicesRequest,
  ListServicesResponse,
  ListStackRevisionsRequest,
  ListStackRevisionsResponse,
  ListTasksRequest,
  ListTasksResponse,
  PlanRequest,
  PlanResponse,
  PruneNetworksRequest,
  PruneNetworksResponse,
  RebalanceServiceRequest,
  RebalanceServiceResponse,
  RemoveNetworkRequest,
  RemoveNetworkResponse,
  RemoveNodeRequest,
  RemoveNodeResponse,
  RemovePayloadRequest,
  RemovePayloadResponse,
  RemoveServiceRequest,
  RemoveServiceResponse,
  RemoveStackHistoryRequest,
  RemoveStackHistoryResponse,
  RotateJoinTokenRequest,
  UpdateClusterRequest,
  UpdateClusterResponse,
  UpdateNodeRequest,
  UpdateNodeResponse,
  UpdatePayloadRequest,
  UpdatePayloadResponse,
  UpdateServiceRequest,
  UpdateServiceResponse,
  WatchServiceRequest,
  WatchServiceResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { Caller } from '../rpc/caller.ts'
import type { Store } from '../store/store.ts'
import { clusterHandlers } from './cluster.ts'
import type { ClusterView } from './cluster-view.ts'
import { connectionHandlers } from './connections.ts'
import { explain } from './explain.ts'
import { explainService } from './explain-service.ts'
import { networkHandlers } from './networks.ts'
import { nodeHandlers } from './nodes.ts'
import { payloadHandlers } from './payloads.ts'
import { plan } from './plan.ts'
import { rebalanceService } from './rebalance-service.ts'
import { serviceHandlers } from './services.ts'
import { stackHandlers } from './stacks.ts'
import { taskHandlers } from './tasks.ts'
import { watchService } from './watch-service.ts'

export interface ControlDeps {
  readonly store: Store
  readonly cluster: ClusterView
  readonly clock: Clock
  readonly random: Random
  /** A join token with a new secret that pins this root. */
  readonly newJoinToken: (rootCertPem: string) => string
}

/** Answers one request. The transport has found out the caller and checked that the method admits it. */
export type Handler<Request, Response> = (
  caller: Caller,
  request: Request,
  signal: AbortSignal,
) => Promise<Response>

/** Answers one request with several messages. */
export type StreamHandler<Request, Response> = (
  caller: Caller,
  request: Request,
  signal: AbortSignal,
) => AsyncIterable<Response>

/** Writes (update, create, remove, rotate) and explainService are run on the leader; the rest on any manager. */
export interface ControlApi {
  readonly getCluster: Handler<GetClusterRequest, GetClusterResponse>
  readonly updateCluster: Handler<UpdateClusterRequest, UpdateClusterResponse>
  readonly getJoinTokens: Handler<GetJoinTokensRequest, GetJoinTokensResponse>
  readonly rotateJoinToken: Handler<RotateJoinTokenRequest, GetJoinTokensResponse>
  readonly listNodes: StreamHandler<ListNodesRequest, ListNodesResponse>
  readonly getNode: Handler<GetNodeRequest, GetNodeResponse>
  readonly updateNode: Handler<UpdateNodeRequest, UpdateNodeResponse>
  readonly removeNode: Handler<RemoveNodeRequest, RemoveNodeResponse>
  readonly createService: Handler<CreateServiceRequest, CreateServiceResponse>
  readonly getService: Handler<GetServiceRequest, GetServiceResponse>
  readonly listServices: StreamHandler<ListServicesRequest, ListServicesResponse>
  readonly updateService: Handler<UpdateServiceRequest, UpdateServiceResponse>
  readonly removeService: Handler<RemoveServiceRequest, RemoveServiceResponse>
  readonly explainService: Handler<ExplainServiceRequest, ExplainServiceResponse>
  readonly explain: Handler<ExplainRequest, ExplainResponse>
  readonly rebalanceService: Handler<RebalanceServiceRequest, RebalanceServiceResponse>
  readonly plan: Handler<PlanRequest, PlanResponse>
  readonly createNetwork: Handler<CreateNetworkRequest, CreateNetworkResponse>
  readonly getNetwork: Handler<GetNetworkRequest, GetNetworkResponse>
  readonly listNetworks: StreamHandler<ListNetworksRequest, ListNetworksResponse>
  readonly removeNetwork: Handler<RemoveNetworkRequest, RemoveNetworkResponse>
  readonly pruneNetworks: Handler<PruneNetworksRequest, PruneNetworksResponse>
  readonly connectNetwork: Handler<ConnectNetworkRequest, ConnectNetworkResponse>
  readonly disconnectNetwork: Handler<DisconnectNetworkRequest, DisconnectNetworkResponse>
  readonly createSecret: Handler<CreatePayloadRequest, CreatePayloadResponse>
  readonly getSecret: Handler<GetPayloadRequest, GetPayloadResponse>
  readonly listSecrets: StreamHandler<ListPayloadsRequest, ListPayloadsResponse>
  readonly updateSecret: Handler<UpdatePayloadRequest, UpdatePayloadResponse>
  readonly removeSecret: Handler<RemovePayloadRequest, RemovePayloadResponse>
  readonly createConfig: Handler<CreatePayloadRequest, CreatePayloadResponse>
  readonly getConfig: Handler<GetPayloadRequest, GetPayloadResponse>
  readonly listConfigs: StreamHandler<ListPayloadsRequest, ListPayloadsResponse>
  readonly updateConfig: Handler<UpdatePayloadRequest, UpdatePayloadResponse>
  readonly removeConfig: Handler<RemovePayloadRequest, RemovePayloadResponse>
  readonly beginStackRevision: Handler<BeginStackRevisionRequest, BeginStackRevisionResponse>
  readonly endStackRevision: Handler<EndStackRevisionRequest, EndStackRevisionResponse>
  readonly listStackRevisions: StreamHandler<ListStackRevisionsRequest, ListStackRevisionsResponse>
  readonly getStackRevision: Handler<GetStackRevisionRequest, GetStackRevisionResponse>
  readonly removeStackHistory: Handler<RemoveStackHistoryRequest, RemoveStackHistoryResponse>
  readonly listTasks: StreamHandler<ListTasksRequest, ListTasksResponse>
  readonly getTask: Handler<GetTaskRequest, GetTaskResponse>
  readonly watchService: StreamHandler<WatchServiceRequest, WatchServiceResponse>
}

/** All handlers of Control but serviceLogs. */
export function createControlApi(deps: ControlDeps): ControlApi {
  return {
    ...clusterHandlers(deps),
    ...nodeHandlers(deps),
    ...serviceHandlers(deps),
    ...networkHandlers(deps),
    ...connectionHandlers(deps),
    ...payloadHandlers(deps),
    ...stackHandlers(deps),
    ...taskHandlers(deps),
    rebalanceService: (_, request) => rebalanceService(deps, request),
    plan: (caller, request) => plan(deps, caller, request),
    explain: (caller, request, signal) => explain(deps, caller, request, signal),
    explainService: (_, request, signal) => explainService(deps, request, signal),
    watchService: (_, request, signal) => watchService(deps, request, signal),
  }
}
