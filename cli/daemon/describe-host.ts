// What this host offers, as the cluster sees it.
import { cpus, totalmem } from 'node:os'
import type { NodeCondition, NodeDescription } from '../../proto/objects/index.ts'
import type { DaemonConfig } from './config.ts'
import { offeredGeneric } from './offered-resources.ts'
import { featureLevel, version } from './version.ts'

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm' }

/** Platform, resources and labels of this host, its data path address if it has its own, what does not work, and its local network. */
export function describeHost(
  config: DaemonConfig,
  dataPathAddress: string,
  conditions: readonly NodeCondition[] = [],
  localSubnet = '',
): NodeDescription {
  return {
    hostname: config.hostname,
    platform: { architecture: architectures[process.arch] ?? process.arch, os: process.platform },
    resources: {
      nanoCpus: config.nanoCpus ?? cpus().length * 1_000_000_000,
      memoryBytes: config.memoryBytes ?? totalmem(),
      ...offeredGeneric(config.nodeGenericResources),
    },
    engineVersion: version,
    engineLabels: config.labels,
    featureLevel,
    dataPathAddress,
    ...(conditions.length > 0 && { conditions }),
    ...(localSubnet !== '' && { localSubnet }),
  }
}
