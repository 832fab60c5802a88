// The spec that `service create` asks for, from its flags and arguments.
import { readFileSync } from 'node:fs'
import { parseSpec } from '../../proto/spec/parse-spec.ts'
import {
  type ContainerSpec,
  type ServiceSpec,
  type ServiceSpecInput,
  serviceSpec,
} from '../../proto/spec/service-spec.ts'
import { ulimitNames } from '../../proto/spec/ulimit-names.ts'
import type { FlagValues } from '../flags.ts'
import { type Flags, list, text } from '../flags.ts'
import { read } from '../read-flag.ts'
import { parseEnv, parseEnvFile, parseMap, uniqueEnv } from './assignments.ts'
import { splitWords } from './csv.ts'
import { defined } from './defined.ts'
import { dependencyFlag, readDependencies } from './depends-on.ts'
import { newDns, newDnsFlags } from './dns-flags.ts'
import { newGenericFlags, readGeneric } from './generic-resources.ts'
import { changeHealthcheck } from './health-flags.ts'
import { changeLogDriver } from './log-flags.ts'
import { newMode, newModeFlags } from './mode-flags.ts'
import { parseMount } from './mount.ts'
import { parseNetworkUse } from './network-use.ts'
import { newPayloadFlags, newPayloadUses } from './payload-use.ts'
import { changePolicies, newPolicyFlags, usualPolicies } from './policy-flags.ts'
import { parsePublish } from './publish.ts'
import { changedRuntime } from './runtime-flags.ts'
import { newDeviceFlags, newRights } from './security-flags.ts'
import { type SharedServiceFlags, sharedServiceFlags } from './service-flags.ts'
import { changeTuning } from './tuning-flags.ts'
import { parseUlimit } from './ulimit.ts'

export const createFlags = {
  ...newModeFlags,
  ...sharedServiceFlags,
  ...newPolicyFlags,
  ...newGenericFlags,
  ...dependencyFlag,
  ...newDnsFlags,
  ...newPayloadFlags,
  ...newDeviceFlags,
  'endpoint-mode': { ...sharedServiceFlags['endpoint-mode'], shown: 'vip' },
  'restart-condition': { ...sharedServiceFlags['restart-condition'], shown: 'any' },
  'restart-delay': { ...sharedServiceFlags['restart-delay'], shown: '5s' },
  'stop-grace-period': { ...sharedServiceFlags['stop-grace-period'], shown: '10s' },
  constraint: list('Placement constraints'),
  'container-label': list('Container labels'),
  env: list('Set environment variables', { short: 'e' }),
  'env-file': list('Read in a file of environment variables'),
  group: list('Set one or more supplementary user groups for the container'),
  host: list('Set one or more custom host-to-IP mappings (host:ip)'),
  label: list('Service labels', { short: 'l' }),
  mount: list('Attach a filesystem mount to the service', { takes: 'mount' }),
  name: text('Service name'),
  network: list('Networks the tasks are on (NAME, or name=NAME,alias=WORD,driver-opt=KEY=VALUE)', {
    takes: 'network',
    completes: 'networks',
  }),
  'placement-pref': list('Add a placement preference (spread=node.labels.NAME)', { takes: 'pref' }),
  publish: list(
    'Publish a port as a node port (PORT:PORT, or published=PORT,target=PORT,mode=host,host_ip=ADDRESS,source=CIDR)',
    {
      short: 'p',
      takes: 'port',
    },
  ),
  sysctl: list('Sysctl options'),
  ulimit: list('Ulimit options', {
    takes: 'ulimit',
    completes: ulimitNames.map((name) => `${name}=`),
  }),
} satisfies Flags

export type CreateFlags = FlagValues<typeof createFlags>

/** Surroundings of the command: the caller's environment and the name for a service without one. */
export interface CreateSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly newName: () => string
}

/** Errors: USAGE for flags that cannot be read, INVALID_ARGUMENT for what no service may be. */
export function createSpec(
  flags: CreateFlags,
  args: readonly string[],
  surroundings: CreateSurroundings,
): ServiceSpec {
  const [image = '', ...command] = args
  const name = flags.name ?? surroundings.newName()
  const input: ServiceSpecInput = {
    name,
    labels: read('label', () => parseMap('label', flags.label)),
    ...defined({ endpointMode: flags['endpoint-mode'] }),
    ...changePolicies(usualPolicies, flags),
    mode: newMode(flags),
    task: {
      container: containerInput(flags, { image, command, env: surroundings.env }),
      limits: {
        nanoCpus: flags['limit-cpu'] ?? 0,
        memoryBytes: flags['limit-memory'] ?? 0,
        pids: flags['limit-pids'] ?? 0,
      },
      reservations: {
        nanoCpus: flags['reserve-cpu'] ?? 0,
        memoryBytes: flags['reserve-memory'] ?? 0,
        ...readGeneric('generic-resource', flags['generic-resource']),
      },
      restart: defined({
        condition: flags['restart-condition'],
        delayMs: flags['restart-delay'],
        maxAttempts: flags['restart-max-attempts'],
        windowMs: flags['restart-window'],
      }),
      placement: {
        constraints: flags.constraint,
        spread: flags['placement-pref'].map((pref) =>
          read('placement-pref', () => spreadKey(pref)),
        ),
        maxReplicasPerNode: flags['replicas-max-per-node'] ?? 0,
        strategy: flags['placement-strategy'] ?? '',
      },
      ports: flags.publish.flatMap((port) => read('publish', () => parsePublish(port), port)),
      networks: flags.network.map((use) => read('network', () => parseNetworkUse(use), use)),
      dns: newDns(flags),
      oomScoreAdj: flags['oom-score-adj'] ?? 0,
      ...changeTuning(undefined, flags),
      dependsOn: [...readDependencies('depends-on', flags['depends-on'])],
    },
  }
  return parseSpec(serviceSpec, input, `service "${name}"`)
}

type ContainerInput = ServiceSpecInput['task']['container']

interface ContainerSource {
  readonly image: string
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

function containerInput(flags: CreateFlags, source: ContainerSource): ContainerInput {
  const fromFiles = flags['env-file'].flatMap((path) =>
    read('env-file', () => parseEnvFile(readEnvFile(path)), path),
  )
  return {
    image: source.image,
    args: [...source.command],
    ...sharedContainerInput(flags),
    labels: read('container-label', () => parseMap('label', flags['container-label'])),
    env: [...uniqueEnv(read('env', () => parseEnv([...fromFiles, ...flags.env], source.env)))],
    groups: [...flags.group],
    mounts: flags.mount.map((mount) => read('mount', () => parseMount(mount), mount)),
    capAdd: flags['cap-add'].map(capability),
    capDrop: flags['cap-drop'].map(capability),
    hosts: [...flags.host],
    sysctls: read('sysctl', () => parseMap('sysctl', flags.sysctl)),
    ulimits: flags.ulimit.map((ulimit) => read('ulimit', () => parseUlimit(ulimit), ulimit)),
    ...changeHealthcheck(undefined, flags),
    ...changeLogDriver(undefined, flags),
    ...newRights(flags),
    ...changedRuntime({}, flags),
    ...newPayloadUses(flags),
  }
}

type SharedContainer = Partial<
  Pick<
    ContainerSpec,
    | 'command'
    | 'hostname'
    | 'workdir'
    | 'user'
    | 'init'
    | 'tty'
    | 'openStdin'
    | 'readOnly'
    | 'stopSignal'
    | 'stopGraceMs'
  >
>

/** The fields of a container that the shared flags say something about. */
export function sharedContainerInput(flags: SharedServiceFlags): SharedContainer {
  const { entrypoint } = flags
  return defined({
    command:
      entrypoint === undefined ? undefined : read('entrypoint', () => splitWords(entrypoint)),
    hostname: flags.hostname,
    workdir: flags.workdir,
    user: flags.user,
    init: flags.init,
    tty: flags.tty,
    openStdin: flags.interactive,
    readOnly: flags['read-only'],
    stopSignal: flags['stop-signal'],
    stopGraceMs: flags['stop-grace-period'],
  })
}

/** `spread=node.labels.zone`. */
export function spreadKey(preference: string): string {
  const match = /^spread=(.+)$/.exec(preference)
  if (match?.[1] === undefined) {
    throw new Error(`"${preference}" is no placement preference: write spread=node.labels.NAME`)
  }
  return match[1]
}

/** Upper case, with the prefix: one way to write a capability, so that equal specs are equal. */
export function capability(name: string): string {
  const upper = name.toUpperCase()
  return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`
}

function readEnvFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (err) {
    throw new Error(`cannot read ${path}: ${err instanceof Error ? err.message : String(err)}`)
  }
}
