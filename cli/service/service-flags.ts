// The flags that `service create` and `service update` share, and what becomes of Swarm's flags that are not there.

import { capabilityNames, signalNames } from '../../proto/spec/kernel-names.ts'
import type { Flags, FlagValues } from '../flags.ts'
import { bool, bytes, choice, cpus, duration, integer, list, text, triBool } from '../flags.ts'
import { healthFlags } from './health-flags.ts'
import { logFlags } from './log-flags.ts'
import { registryAuthFlag } from './registry-auth.ts'
import { runtimeFlags } from './runtime-flags.ts'
import { securityFlags } from './security-flags.ts'
import { tuningFlags } from './tuning-flags.ts'

const many = { min: 0, max: Number.MAX_SAFE_INTEGER }

export const sharedServiceFlags = {
  ...healthFlags,
  ...runtimeFlags,
  ...securityFlags,
  ...tuningFlags,
  'cap-add': list('Add Linux capabilities', { completes: capabilityNames }),
  'cap-drop': list('Drop Linux capabilities', { completes: capabilityNames }),
  detach: bool('Exit immediately instead of waiting for the service to converge', { short: 'd' }),
  'endpoint-mode': choice('Endpoint mode: one address for all tasks, or their own (vip, dnsrr)', [
    'vip',
    'dnsrr',
  ]),
  entrypoint: text('Overwrite the default ENTRYPOINT of the image', { takes: 'command' }),
  hostname: text('Container hostname'),
  init: triBool('Use an init inside each container to forward signals and reap processes'),
  interactive: triBool("Keep the containers' STDIN open for attach", { short: 'i' }),
  'limit-cpu': cpus('Limit CPUs'),
  'limit-memory': bytes('Limit memory'),
  'limit-pids': integer('Limit maximum number of processes (0 = unlimited)', many),
  'oom-score-adj': integer('Tune OOM preferences of the host (-1000 to 1000)', {
    min: -1_000,
    max: 1_000,
  }),
  ...logFlags,
  'no-new-privileges': triBool('Never let a program get more rights than it was started with'),
  'no-resolve-image': bool('Do not ask the registry for digest and platforms of the image'),
  'placement-strategy': choice(
    'How tasks are laid out over nodes that fit: spread, binpack or random',
    ['spread', 'binpack', 'random'],
  ),
  quiet: bool('Suppress progress output', { short: 'q' }),
  'read-only': triBool("Mount the container's root filesystem as read only"),
  'replicas-max-per-node': integer('Maximum number of tasks per node (0 = unlimited)', many),
  'reserve-cpu': cpus('Reserve CPUs'),
  'reserve-memory': bytes('Reserve memory'),
  'restart-condition': choice('Restart when condition is met: none, on-failure or any', [
    'none',
    'on-failure',
    'any',
  ]),
  'restart-delay': duration('Delay between restart attempts (ms|s|m|h)'),
  'restart-max-attempts': integer('Maximum number of restarts before giving up', many),
  'restart-window': duration('Window used to evaluate the restart policy (ms|s|m|h)'),
  'stop-grace-period': duration('Time to wait before force killing a container (ms|s|m|h)'),
  'stop-signal': text('Signal to stop the container', {
    completes: signalNames.map((name) => `SIG${name}`),
  }),
  tty: triBool('Allocate a pseudo-TTY', { short: 't' }),
  user: text('Username or UID (format: <name|uid>[:<group|gid>])', { short: 'u' }),
  'with-registry-auth': registryAuthFlag,
  workdir: text('Working directory inside the container', { short: 'w' }),
} satisfies Flags

export type SharedServiceFlags = FlagValues<typeof sharedServiceFlags>

const prefixes: readonly (readonly [RegExp, string])[] = [
  [/^(credential-spec|isolation)$/, 'it is for Windows, and tsswarm runs on Linux'],
]

/** What to do instead of a flag that Swarm has and this version has not; undefined for other words. */
export function absentServiceFlag(name: string): string | undefined {
  return prefixes.find(([pattern]) => pattern.test(name))?.[1]
}
