// The flags of `network create`, and the spec they ask for.
import { parseIp, parseIpRange, rangeHolds } from '../proto/spec/ip.ts'
import {
  isLocalNetwork,
  type NetworkSpec,
  networkDrivers,
  networkSpec,
  type SubnetSpec,
} from '../proto/spec/network-spec.ts'
import { parseSpec } from '../proto/spec/parse-spec.ts'
import { bool, choice, type Flags, type FlagValues, list, text } from './flags.ts'
import { usage } from './parse-args.ts'
import { read } from './read-flag.ts'
import { parseMap } from './service/assignments.ts'

export const networkFlags = {
  attachable: bool('Let running tasks be connected to it ("tsswarm network connect")'),
  driver: text('Driver to manage the network: overlay, or bridge (each node has it for itself)', {
    short: 'd',
    shown: 'overlay',
    completes: networkDrivers,
  }),
  gateway: list('Address that nobody gets', { takes: 'ip' }),
  ingress: bool('Make it the network that carries published ports'),
  internal: bool('Nothing leaves it but to its own members'),
  'ip-range': list('Part of the subnet that addresses are taken from', { takes: 'ipNet' }),
  'ipam-driver': choice('IP address management driver', ['default'], { shown: 'default' }),
  ipv6: bool('Give it an IPv6 subnet too'),
  label: list('Set metadata on the network'),
  opt: list('Set driver specific options', { short: 'o', takes: 'name=value' }),
  scope: choice("The network's scope: swarm, or local with the driver bridge", ['swarm', 'local']),
  subnet: list('Subnet in CIDR format', { takes: 'ipNet' }),
} satisfies Flags

const instead: Readonly<Record<string, string>> = {
  'aux-address': 'name a --ip-range that leaves out what is not to be given',
  'config-from': 'name subnets and options here',
  'config-only': 'name subnets and options where the network is made',
  'ipam-opt': 'the default driver has no options',
  ipv4: 'every network has an IPv4 subnet',
}

/** What to do instead of a flag that Docker has. */
export function absentNetworkFlag(name: string): string | undefined {
  return Object.hasOwn(instead, name) ? instead[name] : undefined
}

/** Errors: USAGE for what belongs to no subnet, INVALID_ARGUMENT. */
export function networkSpecOf(name: string, flags: FlagValues<typeof networkFlags>): NetworkSpec {
  const spec = {
    name,
    labels: read('label', () => parseMap('label', flags.label)),
    driver: driverOf(flags),
    subnets: subnetsOf(flags),
    ipv6: flags.ipv6,
    isInternal: flags.internal,
    isAttachable: flags.attachable,
    isIngress: flags.ingress,
    options: read('opt', () => parseMap('option', flags.opt)),
  }
  return parseSpec(networkSpec, spec, `network "${name}"`)
}

function driverOf({ driver = 'overlay', scope }: FlagValues<typeof networkFlags>): string {
  if (scope !== 'local' || isLocalNetwork({ driver })) return driver
  throw usage(`--scope local does not go with the driver ${driver}: add --driver bridge`)
}

interface Subnet {
  readonly subnet: string
  ipRange: string
  gateway: string
}

function subnetsOf(flags: FlagValues<typeof networkFlags>): readonly SubnetSpec[] {
  const subnets: Subnet[] = flags.subnet.map((subnet) => ({ subnet, ipRange: '', gateway: '' }))
  const put = (flag: string, field: 'ipRange' | 'gateway', value: string): void => {
    const home = subnets.find(({ subnet }) => holds(subnet, value))
    if (home === undefined) throw usage(`no subnet holds --${flag} ${value}: give it with --subnet`)
    if (home[field] !== '') throw usage(`--${flag} is given twice for ${home.subnet}: give one`)
    home[field] = value
  }
  for (const value of flags['ip-range']) put('ip-range', 'ipRange', value)
  for (const value of flags.gateway) put('gateway', 'gateway', value)
  return subnets
}

function holds(subnet: string, text: string): boolean {
  const outer = parseIpRange(subnet)
  const inner = parseIpRange(text)
  if (outer === undefined || inner === undefined) return false
  return rangeHolds(outer, parseIp(text) === undefined ? inner : { ...inner, prefix: inner.bits })
}
