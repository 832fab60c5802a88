// What a spec may say that programs know only from a feature level on. Managers of an older program would drop it from the store, and
// workers of one would start tasks without it: so the first refuse it, and the second get no such tasks.
import { asksOwnServers, saysNothing } from '../spec/dns-spec.ts'
import { tellsDetails } from '../spec/log-driver-spec.ts'
import { predefinedOf } from '../spec/predefined-networks.ts'
import {
  isUsualPolicy,
  type MountSpec,
  type ServiceSpec,
  type TaskSpec,
} from '../spec/service-spec.ts'
import {
  connectionsLevel,
  containerOptionsLevel,
  endpointOptionsLevel,
  hostPortsLevel,
  hostUsersLevel,
  journalLevel,
  localNetworksLevel,
  logDetailsLevel,
  networksLevel,
  optionsLevel,
  ownServersLevel,
  runtimesLevel,
} from './feature-level.ts'
import { needsAddresses } from './service.ts'

export interface SpecFeature {
  /** As in "needs health checks". */
  readonly words: string
  readonly level: number
}

interface TaskFeature extends SpecFeature {
  readonly isUsed: (task: TaskSpec) => boolean
}

/** What the node of a task has to know. */
const onNodes: readonly TaskFeature[] = [
  { words: 'networks of the swarm', level: networksLevel, isUsed: needsAddresses },
  {
    words: 'networks "host", "none" or "bridge"',
    level: connectionsLevel,
    isUsed: ({ networks }) => networks.some(({ target }) => predefinedOf(target) !== undefined),
  },
  {
    words: 'networks of the driver bridge',
    level: localNetworksLevel,
    isUsed: ({ networks }) => networks.some(({ isLocal }) => isLocal === true),
  },
  {
    // Of the level of their templates: whether one has any is not in the spec.
    words: 'secrets or configs',
    level: optionsLevel,
    isUsed: ({ container }) => container.secrets.length + container.configs.length > 0,
  },
  {
    words: 'health checks',
    level: optionsLevel,
    isUsed: ({ container }) => container.healthcheck !== undefined,
  },
  {
    words: 'options of mounts',
    level: optionsLevel,
    isUsed: ({ container }) => container.mounts.some(hasOptions),
  },
  {
    words: 'driver options of networks',
    level: endpointOptionsLevel,
    isUsed: ({ networks }) =>
      networks.some(({ driverOptions }) => Object.keys(driverOptions).length > 0),
  },
  {
    words: 'consistency of mounts',
    level: endpointOptionsLevel,
    isUsed: ({ container }) => container.mounts.some(({ consistency }) => consistency !== ''),
  },
  {
    words: 'generic resources',
    level: optionsLevel,
    isUsed: ({ reservations }) => reservations.generic !== undefined,
  },
  {
    words: 'log drivers',
    level: optionsLevel,
    isUsed: ({ container }) => container.logDriver !== undefined,
  },
  {
    words: 'the log driver journald',
    level: journalLevel,
    isUsed: ({ container }) => container.logDriver?.name === 'journald',
  },
  {
    words: 'details of logs',
    level: logDetailsLevel,
    isUsed: ({ container }) =>
      container.logDriver !== undefined && tellsDetails(container.logDriver),
  },
  {
    words: 'no-new-privileges',
    level: optionsLevel,
    isUsed: ({ container }) => container.noNewPrivileges === true,
  },
  { words: 'DNS settings', level: optionsLevel, isUsed: ({ dns }) => !saysNothing(dns) },
  { words: 'name servers beside networks', level: ownServersLevel, isUsed: asksOwnServers },
  {
    words: 'open standard input',
    level: optionsLevel,
    isUsed: ({ container }) => container.openStdin,
  },
  {
    words: 'OOM preferences',
    level: optionsLevel,
    isUsed: ({ oomScoreAdj }) => oomScoreAdj !== 0,
  },
  {
    words: 'security options',
    level: containerOptionsLevel,
    isUsed: ({ container }) => container.security !== undefined,
  },
  {
    words: 'swap, cpuset or disk settings',
    level: containerOptionsLevel,
    isUsed: ({ tuning }) => tuning !== undefined,
  },
  {
    words: 'runtimes',
    level: runtimesLevel,
    isUsed: ({ container }) => container.runtime !== undefined,
  },
  {
    words: 'users of the node (--userns host)',
    level: hostUsersLevel,
    isUsed: ({ container }) => container.security?.hostUsers === true,
  },
  {
    // A node that does not know the ranges would open the port to all.
    words: 'ports in host mode on IPv6 addresses or with source ranges',
    level: hostPortsLevel,
    isUsed: ({ ports }) =>
      ports.some(
        ({ mode, bindAddress, sources }) =>
          mode === 'host' && (bindAddress.includes(':') || sources.length > 0),
      ),
  },
]

/** What managers alone go by. */
const onManagers: readonly TaskFeature[] = [
  { words: 'depends_on', level: optionsLevel, isUsed: ({ dependsOn }) => dependsOn.length > 0 },
]

function hasOptions(mount: MountSpec): boolean {
  const { volumeLabels, volumeOptions } = mount
  return (
    mount.bindNonRecursive ||
    mount.readOnlyNonRecursive ||
    mount.readOnlyForceRecursive ||
    mount.volumeDriver !== '' ||
    mount.volumeSubpath !== '' ||
    mount.volumeAffinity !== '' ||
    Object.keys(volumeLabels).length + Object.keys(volumeOptions).length > 0
  )
}

/** What a node must know to run tasks of the spec as it says. */
export function featuresOfTask(task: TaskSpec): readonly SpecFeature[] {
  return used(onNodes, task)
}

/** What all managers must know to keep the spec as it is; modes apart. */
export function featuresOfService({ task, update, rollback }: ServiceSpec): readonly SpecFeature[] {
  const hasPolicy = !isUsualPolicy(update) || !isUsualPolicy(rollback)
  return [
    ...used([...onNodes, ...onManagers], task),
    ...(hasPolicy ? [{ words: 'update or rollback policies', level: optionsLevel }] : []),
  ]
}

function used(features: readonly TaskFeature[], task: TaskSpec): readonly SpecFeature[] {
  return features
    .filter(({ isUsed }) => isUsed(task))
    .map(({ words, level }): SpecFeature => ({ words, level }))
}
