// The spec that `service update` asks for: the present one with the flags' changes. What no flag names stays as it is,
// in its order, so that an update that changes nothing replaces no task.

import { SwarmError } from '../../proto/errors.ts'
import { parseSpec } from '../../proto/spec/parse-spec.ts'
import {
  type ContainerSpec,
  type MountSpec,
  type NetworkUse,
  type PlacementSpec,
  type ServiceSpec,
  serviceSpec,
  type TaskSpec,
} from '../../proto/spec/service-spec.ts'
import { ulimitNames } from '../../proto/spec/ulimit-names.ts'
import { bool, type Flags, type FlagValues, list, text } from '../flags.ts'
import { read } from '../read-flag.ts'
import { changeKeyed, changeList, changeMap, envName, parseEnv, parseMap } from './assignments.ts'
import { capability, sharedContainerInput, spreadKey } from './create-spec.ts'
import { splitWords } from './csv.ts'
import { defined } from './defined.ts'
import { changeDependencies, dependencyChangeFlags } from './depends-on.ts'
import { changeDnsFlags, changedDns } from './dns-flags.ts'
import { changeGeneric, genericFlags } from './generic-resources.ts'
import { changeHealthcheck } from './health-flags.ts'
import { changeLogDriver } from './log-flags.ts'
import { changedMode, modeFlags } from './mode-flags.ts'
import { parseMount } from './mount.ts'
import { parseNetworkUse } from './network-use.ts'
import { changedPayloadUses, payloadChangeFlags } from './payload-use.ts'
import { changePolicies, policyFlags } from './policy-flags.ts'
import { changePorts } from './port-flags.ts'
import { changedRuntime } from './runtime-flags.ts'
import { changeDeviceFlags, changedRights } from './security-flags.ts'
import { sharedServiceFlags } from './service-flags.ts'
import { changeTuning } from './tuning-flags.ts'
import { parseUlimit } from './ulimit.ts'

export const updateFlags = {
  ...modeFlags,
  ...sharedServiceFlags,
  ...policyFlags,
  ...genericFlags,
  ...dependencyChangeFlags,
  ...changeDnsFlags,
  ...payloadChangeFlags,
  ...changeDeviceFlags,
  args: text('Service command args', { takes: 'command' }),
  'constraint-add': list('Add or update a placement constraint'),
  'constraint-rm': list('Remove a constraint'),
  'container-label-add': list('Add or update a container label'),
  'container-label-rm': list('Remove a container label by its key'),
  'env-add': list('Add or update an environment variable'),
  'env-rm': list('Remove an environment variable'),
  force: bool('Replace all tasks even if no change requires it'),
  'group-add': list('Add an additional supplementary user group to the container'),
  'group-rm': list('Remove a previously added supplementary user group from the container'),
  'host-add': list('Add a custom host-to-IP mapping (host:ip)'),
  'host-rm': list('Remove a custom host-to-IP mapping (host:ip)'),
  image: text('Service image tag', { completes: 'images' }),
  'label-add': list('Add or update a service label'),
  'label-rm': list('Remove a label by its key'),
  'mount-add': list('Add or update a mount on a service', { takes: 'mount' }),
  'mount-rm': list('Remove a mount by its target path'),
  'network-add': list('Add a network (NAME, or name=NAME,alias=WORD,driver-opt=KEY=VALUE)', {
    takes: 'network',
    completes: 'networks',
  }),
  'network-rm': list('Remove a network', { completes: 'networks' }),
  'placement-pref-add': list('Add a placement preference', { takes: 'pref' }),
  'placement-pref-rm': list('Remove a placement preference', { takes: 'pref' }),
  'publish-add': list('Add or update a published port', { takes: 'port' }),
  'publish-rm': list('Remove a published port by its target port', { takes: 'port' }),
  rollback: bool('Rollback to previous specification'),
  'sysctl-add': list('Add or update a sysctl option'),
  'sysctl-rm': list('Remove a sysctl option'),
  'ulimit-add': list('Add or update a ulimit option', {
    takes: 'ulimit',
    completes: ulimitNames.map((name) => `${name}=`),
  }),
  'ulimit-rm': list('Remove a ulimit option', { completes: ulimitNames }),
} satisfies Flags

export type UpdateFlags = FlagValues<typeof updateFlags>

/** Errors: USAGE for flags that cannot be read, INVALID_ARGUMENT for what no service may be. */
export function updateSpec(
  current: ServiceSpec,
  flags: UpdateFlags,
  env: Readonly<Record<string, string | undefined>>,
): ServiceSpec {
  const spec = {
    ...current,
    labels: labelChange('label', current.labels, flags['label-add'], flags['label-rm']),
    mode: changedMode(current.mode, flags),
    endpointMode: flags['endpoint-mode'] ?? current.endpointMode,
    ...changePolicies(current, flags),
    task: updateTask(current.task, flags, env),
  }
  return parseSpec(serviceSpec, spec, `service "${current.name}"`)
}

function updateTask(
  task: TaskSpec,
  flags: UpdateFlags,
  env: Readonly<Record<string, string | undefined>>,
): TaskSpec {
  const { tuning, ...rest } = task
  return {
    ...rest,
    ...changeTuning(tuning, flags),
    container: updateContainer(task.container, flags, env),
    limits: {
      ...task.limits,
      ...defined({
        nanoCpus: flags['limit-cpu'],
        memoryBytes: flags['limit-memory'],
        pids: flags['limit-pids'],
      }),
    },
    reservations: {
      ...changeGeneric(task.reservations, flags),
      ...defined({ nanoCpus: flags['reserve-cpu'], memoryBytes: flags['reserve-memory'] }),
    },
    restart: {
      ...task.restart,
      ...defined({
        condition: flags['restart-condition'],
        delayMs: flags['restart-delay'],
        maxAttempts: flags['restart-max-attempts'],
        windowMs: flags['restart-window'],
      }),
    },
    placement: updatePlacement(task.placement, flags),
    ports: changePorts(task.ports, flags),
    networks: updateNetworks(task.networks, flags),
    forceUpdate: task.forceUpdate + (flags.force ? 1 : 0),
    dns: changedDns(task.dns, flags),
    oomScoreAdj: flags['oom-score-adj'] ?? task.oomScoreAdj,
    dependsOn: changeDependencies(task.dependsOn, flags['depends-on-add'], flags['depends-on-rm']),
  }
}

function updateContainer(
  container: ContainerSpec,
  flags: UpdateFlags,
  env: Readonly<Record<string, string | undefined>>,
): ContainerSpec {
  const { args } = flags
  const { healthcheck, logDriver, noNewPrivileges, security, runtime, ...rest } = container
  return {
    ...rest,
    ...changeHealthcheck(healthcheck, flags),
    ...changeLogDriver(logDriver, flags),
    ...changedRights(defined({ security, noNewPrivileges }), flags),
    ...changedRuntime(defined({ runtime }), flags),
    ...sharedContainerInput(flags),
    image: flags.image ?? container.image,
    args: args === undefined ? container.args : read('args', () => splitWords(args)),
    labels: labelChange(
      'container-label',
      container.labels,
      flags['container-label-add'],
      flags['container-label-rm'],
    ),
    env: changeKeyed(
      container.env,
      {
        removed: flags['env-rm'],
        added: read('env-add', () => parseEnv(flags['env-add'], env)),
      },
      envName,
    ),
    groups: changeList(container.groups, flags['group-rm'], flags['group-add']),
    hosts: changeHosts(container.hosts, flags['host-rm'], flags['host-add']),
    mounts: updateMounts(container.mounts, flags),
    ...updateCapabilities(container, flags),
    ...changedPayloadUses(container, flags),
    sysctls: labelChange('sysctl', container.sysctls, flags['sysctl-add'], flags['sysctl-rm']),
    ulimits: changeKeyed(
      container.ulimits,
      {
        removed: flags['ulimit-rm'],
        added: flags['ulimit-add'].map((u) => read('ulimit-add', () => parseUlimit(u), u)),
      },
      (ulimit) => ulimit.name,
    ),
  }
}

function labelChange(
  flag: string,
  current: Readonly<Record<string, string>>,
  added: readonly string[],
  removed: readonly string[],
): Record<string, string> {
  return {
    ...changeMap(
      current,
      removed,
      read(`${flag}-add`, () => parseMap('value', added)),
    ),
  }
}

/** --host-rm takes host:ip, or a host for all of its addresses. */
function changeHosts(
  current: readonly string[],
  removed: readonly string[],
  added: readonly string[],
): readonly string[] {
  const gone = current.filter((line) =>
    removed.some((one) => line === one || line.startsWith(`${one}:`)),
  )
  return changeList(current, gone, added)
}

function updateMounts(mounts: readonly MountSpec[], flags: UpdateFlags): readonly MountSpec[] {
  return changeKeyed(
    mounts,
    {
      removed: flags['mount-rm'],
      added: flags['mount-add'].map((m) => read('mount-add', () => parseMount(m), m)),
    },
    (mount) => mount.target,
  )
}

/**
 * Adding a capability that was dropped only takes that back, and the other way round; RESET empties the list. Source: Docker's client
 * (swarm-semantics 3.1, tri-state).
 */
function updateCapabilities(
  container: ContainerSpec,
  flags: UpdateFlags,
): Pick<ContainerSpec, 'capAdd' | 'capDrop'> {
  const add = capabilityWish(container.capAdd, flags['cap-add'])
  const drop = capabilityWish(container.capDrop, flags['cap-drop'])
  // What is to be both is added.
  const dropped = drop.wished.filter((name) => !add.wished.includes(name))
  const newlyDropped = dropped.filter((name) => !add.present.includes(name))
  const dropsNow = changeList(drop.present, [], newlyDropped)
  const newlyAdded = add.wished.filter((name) => !dropsNow.includes(name))
  return {
    capAdd: changeList(add.present, dropped, newlyAdded),
    capDrop: changeList(dropsNow, add.wished, []),
  }
}

function capabilityWish(
  before: readonly string[],
  given: readonly string[],
): { readonly present: readonly string[]; readonly wished: readonly string[] } {
  const names = given.map((name) => name.toUpperCase())
  const present = names.includes(resetCapabilities) ? [] : before
  return { present, wished: names.filter((name) => name !== resetCapabilities).map(capability) }
}

const resetCapabilities = 'RESET'

function updatePlacement(placement: PlacementSpec, flags: UpdateFlags): PlacementSpec {
  const keys = (flag: 'placement-pref-add' | 'placement-pref-rm'): readonly string[] =>
    flags[flag].map((preference) => read(flag, () => spreadKey(preference), preference))
  return {
    ...placement,
    constraints: changeList(placement.constraints, flags['constraint-rm'], flags['constraint-add']),
    spread: changeList(placement.spread, keys('placement-pref-rm'), keys('placement-pref-add')),
    ...defined({
      maxReplicasPerNode: flags['replicas-max-per-node'],
      strategy: flags['placement-strategy'],
    }),
  }
}

/** Networks are known by their ids here; an added one replaces the same. */
function updateNetworks(
  networks: readonly NetworkUse[],
  flags: UpdateFlags,
): readonly NetworkUse[] {
  const removed = flags['network-rm']
  const missing = removed.find((id) => !networks.some(({ target }) => target === id))
  if (missing !== undefined) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `the service is not on network ${missing}: "tsswarm service inspect --pretty" shows what it is on`,
    )
  }
  const added = flags['network-add'].map((use) =>
    read('network-add', () => parseNetworkUse(use), use),
  )
  return changeKeyed(networks, { removed, added }, ({ target }) => target)
}
