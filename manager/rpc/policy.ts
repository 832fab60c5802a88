// Which methods exist on which listener, who may call them, and which of them write. One table, so that a forgotten
// method is refused.

export type Admission =
  /** Nodes of the manager role, and local administrators. */
  | 'managers'
  /** Any node of the cluster. */
  | 'nodes'
  /** Also callers without a certificate. */
  | 'anyone'

export interface MethodPolicy {
  readonly admits: Admission
  /** Runs on the leader: any other manager forwards it. */
  readonly onLeader: boolean
}

const read: MethodPolicy = { admits: 'managers', onLeader: false }
const write: MethodPolicy = { admits: 'managers', onLeader: true }

/** By gRPC path. A method that is not here is answered with PERMISSION_DENIED. */
export const methodPolicies: Readonly<Record<string, MethodPolicy>> = {
  '/tsswarm.v1.Control/GetCluster': read,
  '/tsswarm.v1.Control/UpdateCluster': write,
  '/tsswarm.v1.Control/GetJoinTokens': read,
  '/tsswarm.v1.Control/RotateJoinToken': write,
  // Only the leader knows which managers are reachable.
  '/tsswarm.v1.Control/ListNodes': write,
  '/tsswarm.v1.Control/GetNode': write,
  '/tsswarm.v1.Control/UpdateNode': write,
  '/tsswarm.v1.Control/RemoveNode': write,
  '/tsswarm.v1.Control/CreateService': write,
  '/tsswarm.v1.Control/GetService': read,
  '/tsswarm.v1.Control/ListServices': read,
  '/tsswarm.v1.Control/UpdateService': write,
  '/tsswarm.v1.Control/RemoveService': write,
  '/tsswarm.v1.Control/ExplainService': write,
  '/tsswarm.v1.Control/RebalanceService': write,
  '/tsswarm.v1.Control/Explain': read,
  '/tsswarm.v1.Control/Plan': write,
  '/tsswarm.v1.Control/CreateNetwork': write,
  '/tsswarm.v1.Control/GetNetwork': read,
  '/tsswarm.v1.Control/ListNetworks': read,
  '/tsswarm.v1.Control/RemoveNetwork': write,
  '/tsswarm.v1.Control/PruneNetworks': write,
  '/tsswarm.v1.Control/ConnectNetwork': write,
  '/tsswarm.v1.Control/DisconnectNetwork': write,
  '/tsswarm.v1.Control/CreateSecret': write,
  '/tsswarm.v1.Control/GetSecret': read,
  '/tsswarm.v1.Control/ListSecrets': read,
  '/tsswarm.v1.Control/UpdateSecret': write,
  '/tsswarm.v1.Control/RemoveSecret': write,
  '/tsswarm.v1.Control/CreateConfig': write,
  '/tsswarm.v1.Control/GetConfig': read,
  '/tsswarm.v1.Control/ListConfigs': read,
  '/tsswarm.v1.Control/UpdateConfig': write,
  '/tsswarm.v1.Control/RemoveConfig': write,
  '/tsswarm.v1.Control/BeginStackRevision': write,
  '/tsswarm.v1.Control/EndStackRevision': write,
  '/tsswarm.v1.Control/ListStackRevisions': read,
  '/tsswarm.v1.Control/GetStackRevision': read,
  '/tsswarm.v1.Control/RemoveStackHistory': write,
  '/tsswarm.v1.Control/AuditNetwork': read,
  '/tsswarm.v1.Control/TraceNetwork': read,
  '/tsswarm.v1.Control/NodeVolumes': read,
  '/tsswarm.v1.Control/ListTasks': read,
  '/tsswarm.v1.Control/GetTask': read,
  '/tsswarm.v1.Control/WatchService': read,
  '/tsswarm.v1.Control/ServiceLogs': read,
  '/tsswarm.v1.Control/WatchEvents': read,
  // Runs where the caller is; who works in a container is noted by the leader (NoteAccess).
  '/tsswarm.v1.Control/OpenStream': read,
  '/tsswarm.v1.Control/TaskUsages': read,
  '/tsswarm.v1.NodeCa/IssueCertificate': { admits: 'anyone', onLeader: true },
  '/tsswarm.v1.ManagerPeer/JoinRaft': write,
  '/tsswarm.v1.ManagerPeer/LeaveRaft': write,
  '/tsswarm.v1.ManagerPeer/ReportSessions': read,
  '/tsswarm.v1.ManagerPeer/RelayLogs': read,
  '/tsswarm.v1.ManagerPeer/RelayDiagnosis': read,
  '/tsswarm.v1.ManagerPeer/RelayStream': read,
  '/tsswarm.v1.ManagerPeer/NoteAccess': write,
  '/tsswarm.v1.ManagerPeer/Health': read,
  '/tsswarm.v1.ManagerPeer/ExchangeAddresses': read,
  '/tsswarm.v1.Dispatcher/Session': { admits: 'nodes', onLeader: false },
  '/tsswarm.v1.Dispatcher/FetchOverlay': { admits: 'nodes', onLeader: false },
  '/tsswarm.v1.Dispatcher/Logs': { admits: 'nodes', onLeader: false },
  '/tsswarm.v1.Dispatcher/Diagnose': { admits: 'nodes', onLeader: false },
  '/tsswarm.v1.Dispatcher/Streams': { admits: 'nodes', onLeader: false },
  '/tsswarm.v1.Dispatcher/Tunnel': { admits: 'nodes', onLeader: false },
}
