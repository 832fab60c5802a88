// What managers may ask about this host's network: the kernel's differences from the engine, and what stands in the way on the
// host itself, from the checks of `tsswarm doctor`. Only looks.
import {
  type HostFinding,
  type SilentPeer,
  TraceEnd,
  type TracePath,
} from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { NodeDiagnosis } from '../../worker/diagnosis-server.ts'
import type { VolumesEngine } from '../../worker/engine/volumes.ts'
import type { NetworkDiagnosis } from '../../worker/network/network-diagnosis.ts'
import type { PeerReport } from '../../worker/network/peer-table.ts'
import { checkPackets } from '../host/check-input.ts'
import { checkNft, checkVxlan } from '../host/check-network.ts'
import type { CheckResult } from '../host/check-result.ts'
import { managerPorts } from '../host/cluster-ports.ts'
import type { HostProbes } from '../host/requirements.ts'

export interface NodeDiagnosisDeps {
  readonly network: Pick<NetworkDiagnosis, 'report' | 'leg' | 'lookup'>
  readonly volumes: Pick<VolumesEngine, 'answer'>
  readonly probes: HostProbes
  /** UDP port of VXLAN. */
  readonly vxlanPort: () => number
  /** Whether others connect to this node's manager. */
  readonly isManager: () => boolean
  readonly peers: () => readonly PeerReport[]
}

export function nodeDiagnosis(deps: NodeDiagnosisDeps): NodeDiagnosis {
  const { network } = deps
  return {
    audit: async ({ networkId }) => {
      const [report, host] = await Promise.all([network.report(networkId), hostFindings(deps)])
      return { ...report, host: [...report.host, ...host], silentPeers: silentPeers(deps) }
    },
    leg: async (request) => {
      const leg = await network.leg(request)
      return { ...leg, paths: leg.paths.map((path) => pathToPeer(deps, path)) }
    },
    lookup: (request) => network.lookup(request),
    volume: (request) => deps.volumes.answer(request),
  }
}

async function hostFindings(deps: NodeDiagnosisDeps): Promise<readonly HostFinding[]> {
  const { probes, vxlanPort, isManager } = deps
  const vxlan = { port: vxlanPort(), protocol: 'udp' } as const
  const packets = isManager() ? [...managerPorts, vxlan] : [vxlan]
  const results = await Promise.all([
    checkVxlan(probes),
    checkNft(probes),
    checkPackets(probes, packets),
  ])
  return results.filter(({ ok }) => !ok).map(findingOf)
}

function findingOf({ name, found, remedy }: CheckResult): HostFinding {
  return { text: `${name}: ${found}`, remedy }
}

/** One that is down is no matter of the network. */
function silentPeers({ peers, vxlanPort }: NodeDiagnosisDeps): readonly SilentPeer[] {
  return peers().flatMap(({ nodeId, vtep, state, sinceMs, isDown }) =>
    state === 'silent' && !isDown
      ? [{ nodeId, address: vtep, silentMs: Math.round(sinceMs), port: vxlanPort() }]
      : [],
  )
}

/** The kernel sends it all the same; that nothing comes back of anything there shows in the probes. */
function pathToPeer({ peers, vxlanPort }: NodeDiagnosisDeps, path: TracePath): TracePath {
  if (path.end !== TraceEnd.VXLAN) return path
  const peer = peers().find(({ nodeId }) => nodeId === path.nodeId)
  if (peer?.state !== 'silent') return path
  const since = Math.round(peer.sinceMs / 1_000)
  const why = peer.isDown ? 'the node is down' : 'a firewall between them or there drops it'
  const reason = `no answer from ${peer.vtep} through UDP ${vxlanPort()} (VXLAN) for ${since} s: ${why}`
  return { ...path, end: TraceEnd.UNREACHABLE, reason }
}
