// The settings of the cluster that `swarm init` and `swarm update` take, and Swarm's that are not there.
import { clusterSpecFromProto, clusterSpecToProto } from '../proto/codec/cluster.ts'
import type { ClusterSpec as ClusterSpecProto } from '../proto/gen/tsswarm/v1/objects.ts'
import { clusterSpec } from '../proto/spec/cluster-spec.ts'
import { parseSpec } from '../proto/spec/parse-spec.ts'
import { choice, duration, type Flags, type FlagValues, integer, list, triBool } from './flags.ts'
import { rebalanceFlags, rebalanceOf } from './rebalance-flags.ts'
import { defined } from './service/defined.ts'

export const clusterFlags = {
  ...rebalanceFlags,
  'allow-privileged': triBool(
    'Let services be privileged, have devices of nodes or open system paths',
  ),
  'cert-expiry': duration('Validity period for node certificates (ns|us|ms|s|m|h)', {
    shown: '2160h',
  }),
  'dispatcher-heartbeat': duration('Dispatcher heartbeat period (ns|us|ms|s|m|h)', {
    shown: '500ms',
  }),
  scheduling: choice(
    'How tasks are laid out over nodes: spread, binpack or random',
    ['spread', 'binpack', 'random'],
    {
      shown: 'spread',
    },
  ),
  'stack-history-limit': integer(
    'Revisions of a stack kept besides the newest',
    { min: 0, max: 50 },
    { shown: '10' },
  ),
  'task-history-limit': integer(
    'Task history retention limit',
    { min: -1, max: 4_294_967_295 },
    { shown: '5' },
  ),
  'version-history-limit': integer(
    'Versions of a secret or config kept besides the present one',
    { min: 0, max: 1_000 },
    { shown: '5' },
  ),
} satisfies Flags

export type ClusterFlags = FlagValues<typeof clusterFlags>

/** The present settings (or the defaults) with those the flags name. Errors: INVALID_ARGUMENT. */
export function clusterSpecOf(
  flags: ClusterFlags,
  current: ClusterSpecProto | undefined,
): ClusterSpecProto {
  const before = current === undefined ? undefined : clusterSpecFromProto(current)
  const wished = {
    ...before,
    ...defined({
      nodeCertExpiryMs: flags['cert-expiry'],
      heartbeatMs: flags['dispatcher-heartbeat'],
      scheduling: flags.scheduling,
      taskHistoryLimit: flags['task-history-limit'],
      payloadHistoryLimit: flags['version-history-limit'],
      stackHistoryLimit: flags['stack-history-limit'],
      allowPrivileged: flags['allow-privileged'],
    }),
    rebalance: rebalanceOf(flags, before?.rebalance),
  }
  return clusterSpecToProto(parseSpec(clusterSpec, wished, 'the cluster'))
}

/** Of `swarm init` alone: networks and nodes are built on them. */
export const addressFlags = {
  'data-path-port': integer(
    'UDP port of the overlay traffic, 1024 to 49151',
    { min: 1024, max: 49_151 },
    { shown: '4789' },
  ),
  'default-addr-pool': list('Subnets in CIDR format that networks get theirs from', {
    takes: 'ipNet',
  }),
  'default-addr-pool-mask-length': integer(
    'Prefix length of the subnets cut from the pools',
    { min: 8, max: 29 },
    { shown: '24' },
  ),
} satisfies Flags

/** The spec of a new cluster. Errors: INVALID_ARGUMENT. */
export function newClusterSpecOf(
  flags: ClusterFlags & FlagValues<typeof addressFlags>,
): ClusterSpecProto {
  const pools = flags['default-addr-pool']
  const spec = clusterSpecFromProto(clusterSpecOf(flags, undefined))
  const wished = {
    ...spec,
    ...defined({
      dataPathPort: flags['data-path-port'],
      defaultAddressPools: pools.length === 0 ? undefined : pools,
      subnetSize: flags['default-addr-pool-mask-length'],
    }),
  }
  return clusterSpecToProto(parseSpec(clusterSpec, wished, 'the cluster'))
}

const setAtInit = 'it is set by "tsswarm swarm init", and stays'

const instead: Readonly<Record<string, string>> = {
  autolock: 'locking managers is not available in this version; the Raft log is encrypted at rest',
  'external-ca': 'an external CA is not available in this version',
  'max-snapshots': 'old snapshots are not kept',
  'snapshot-interval': 'a snapshot is made whenever the Raft log has grown by 64 MiB',
  'data-path-addr': 'it is set by "tsswarm swarm init" and "swarm join" of each node',
  'data-path-port': setAtInit,
  'default-addr-pool': setAtInit,
  'default-addr-pool-mask-length': setAtInit,
}

/** What to do instead of a flag that Swarm has. */
export function absentClusterFlag(name: string): string | undefined {
  return Object.hasOwn(instead, name) ? instead[name] : undefined
}
