// Answers of nodes to what managers ask about their network; only what matters is written at the call.
import {
  type KernelDifference,
  type NodeAudit,
  TraceEnd,
  type TraceLeg,
  type TracePath,
} from '../../proto/gen/tsswarm/v1/diagnosis.ts'

export function anAudit(audit: Partial<NodeAudit> = {}): NodeAudit {
  return {
    differences: [],
    leftOut: 0,
    host: [],
    silentPeers: [],
    healing: { forMs: 60_000, comparisons: 1, mended: 0, last: [] },
    told: [],
    ...audit,
  }
}

export function aDifference(difference: Partial<KernelDifference> = {}): KernelDifference {
  return {
    subject: 'route to 10.0.1.6',
    problem: 'is missing',
    networkId: '',
    serviceId: '',
    taskId: '',
    nodeId: '',
    inHost: false,
    ...difference,
  }
}

export function aPathEnd(path: Partial<TracePath> = {}): TracePath {
  return {
    hops: [],
    end: TraceEnd.DELIVERED,
    reason: '',
    source: '10.0.1.5',
    destination: '10.0.1.6',
    port: 0,
    taskId: '',
    device: 'eth0',
    nodeId: '',
    vni: 0,
    mtu: 1450,
    ...path,
  }
}

export function aLeg(paths: readonly TracePath[], leg: Partial<TraceLeg> = {}): TraceLeg {
  return { hops: [], paths, balancedBy: '', ...leg }
}
