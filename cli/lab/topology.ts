// The network of a lab: one namespace a host, joined by a bridge in a namespace of its own, and one veth to this machine.
// Names carry the lab's name, so that what a crash left behind is found again.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { SwarmError } from '../../proto/errors.ts'
import { runCommand } from '../../proto/lib/command.ts'

export interface LabNetwork {
  readonly lab: string
  /** Second and third byte of 10.A.B.0/24. */
  readonly subnet: readonly [number, number]
  /** In the order of their addresses. */
  readonly hosts: readonly string[]
}

/** What a cut takes from a host: all it says (`out`), all it hears (`in`), or both. */
export type CutDirection = 'both' | 'in' | 'out'

const timeoutMs = 20_000
const firstHost = 11
const registryHost = 'registry'

/** Address of a host (or "registry", or "machine") in the lab. */
export function hostAddress({ subnet, hosts }: LabNetwork, host: string): string {
  const prefix = `10.${subnet[0]}.${subnet[1]}`
  if (host === 'machine') return `${prefix}.1`
  if (host === registryHost) return `${prefix}.2`
  return `${prefix}.${firstHost + hosts.indexOf(host)}`
}

/** Name of a host's network namespace below /run/netns. */
export function hostNamespace(lab: string, host: string): string {
  return `tslab-${lab}-${host}`
}

/** argv run in the host's network namespace; everything else stays as it is (`ip netns exec` would hide the cgroups). */
export function inHost(lab: string, host: string, argv: readonly string[]): readonly string[] {
  return ['nsenter', `--net=/run/netns/${hostNamespace(lab, host)}`, ...argv]
}

/**
 * A 10.A.B.0/24 that no address or route of this machine touches. Labs of different names begin to look at different
 * ones, so that two made at once do not choose the same. Errors: RESOURCE_EXHAUSTED.
 */
export async function chooseSubnet(
  lab: string,
  taken: readonly (readonly [number, number])[],
): Promise<readonly [number, number]> {
  const routes = await ip(['-j', '-4', 'route', 'show', 'table', 'all'])
  const inUse = (JSON.parse(routes || '[]') as readonly { readonly dst?: string }[])
    .map(({ dst = '' }) => dst)
    .filter((dst) => dst !== 'default')
  const first = createHash('sha256').update(lab).digest()[0] ?? 0
  for (let step = 0; step < 256; step++) {
    const candidate = [213, (first + step) % 256] as const
    const overlaps = inUse.some((dst) => covers(dst, candidate))
    if (!overlaps && !taken.some(([a, b]) => a === candidate[0] && b === candidate[1])) {
      return candidate
    }
  }
  throw new SwarmError('RESOURCE_EXHAUSTED', 'no free subnet for a lab in 10.213.0.0/16')
}

/** Makes all namespaces, the bridge and the links. */
export async function createTopology(network: LabNetwork): Promise<void> {
  const { lab } = network
  const names = [...network.hosts, registryHost]
  await batch(undefined, [
    `netns add ${hostNamespace(lab, 'switch')}`,
    ...names.map((host) => `netns add ${hostNamespace(lab, host)}`),
    ...names.map((host) => link(network, host)),
    `link add ${machineLink(lab)} type veth peer name machine netns ${hostNamespace(lab, 'switch')}`,
    `addr add ${hostAddress(network, 'machine')}/24 dev ${machineLink(lab)}`,
    `link set ${machineLink(lab)} up`,
  ])
  await batch(hostNamespace(lab, 'switch'), [
    'link add br0 type bridge',
    'link set br0 up',
    ...[...names, 'machine'].flatMap((host) => [
      `link set ${host} master br0`,
      `link set ${host} up`,
    ]),
  ])
  for (const host of names) {
    await batch(hostNamespace(lab, host), [
      'link set lo up',
      `addr add ${hostAddress(network, host)}/24 dev eth0`,
      'link set eth0 up',
      `route add default via ${hostAddress(network, 'machine')}`,
    ])
  }
}

/** Removes every namespace and link of the lab, also after a crash. */
export async function removeTopology(lab: string): Promise<void> {
  for (const name of namespacesOf(lab)) {
    await runCommand(['ip', 'netns', 'del', name], { timeoutMs })
  }
  // Its peer went with the namespace of the bridge, and mostly took it along already.
  await runCommand(['ip', 'link', 'del', machineLink(lab)], { timeoutMs })
}

/** Whether any namespace of the lab exists. */
export function topologyExists(lab: string): boolean {
  return namespacesOf(lab).length > 0
}

/**
 * The host neither sends nor receives any more, or only one of the two; its link stays up, as with a cable cut further
 * away. Cuts of both directions add up.
 */
export async function cutHost(
  lab: string,
  host: string,
  direction: CutDirection = 'both',
): Promise<void> {
  if (direction === 'both') return await setPort(lab, host, '0')
  // On the port of the bridge, where the host sees nothing of it: what it says comes in there.
  const hook = direction === 'out' ? 'ingress' : 'egress'
  const chain = `type filter hook ${hook} device "${host}" priority -500; policy drop;`
  await inSwitch(
    lab,
    ['nft', '-f', '-'],
    `table netdev ${cutTable(host)} { chain ${hook} { ${chain} }; }\n`,
  )
}

/** Ends every cut of the host. */
export async function healHost(lab: string, host: string): Promise<void> {
  // Adding first makes the removal succeed when there is none.
  const table = `table netdev ${cutTable(host)}`
  await inSwitch(lab, ['nft', '-f', '-'], `add ${table}\ndelete ${table}\n`)
  await setPort(lab, host, '3')
}

async function setPort(lab: string, host: string, state: string): Promise<void> {
  await inSwitch(lab, ['bridge', 'link', 'set', 'dev', host, 'state', state])
}

async function inSwitch(lab: string, argv: readonly string[], input?: string): Promise<void> {
  await must(inHost(lab, 'switch', argv), input)
}

function cutTable(host: string): string {
  return `cut-${host}`
}

function namespacesOf(lab: string): readonly string[] {
  if (!existsSync('/run/netns')) return []
  const form = new RegExp(`^tslab-${lab}-(m\\d+|w\\d+|switch|registry)$`)
  return readdirSync('/run/netns').filter((name) => form.test(name))
}

/** 15 characters at most; the hash keeps labs apart. */
function machineLink(lab: string): string {
  return `tsl${createHash('sha256').update(lab).digest('hex').slice(0, 10)}`
}

/** Both ends are made in their namespaces in one step, so that no name meets one of this machine. */
function link(network: LabNetwork, host: string): string {
  const side = hostNamespace(network.lab, host)
  const bridge = hostNamespace(network.lab, 'switch')
  return `link add name ${host} netns ${bridge} type veth peer name eth0 netns ${side}`
}

function covers(dst: string, [second, third]: readonly [number, number]): boolean {
  const [address = '', bits = '32'] = dst.split('/')
  const length = Math.min(Number(bits), 24)
  if (length === 0) return false
  const number = (text: string): number =>
    text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  const shift = 2 ** (32 - length)
  const subnet = number(`10.${second}.${third}.0`)
  return Math.floor(number(address) / shift) === Math.floor(subnet / shift)
}

async function batch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const argv = ['ip', ...(namespace === undefined ? [] : ['-n', namespace]), '-batch', '-']
  await must(argv, `${lines.join('\n')}\n`)
}

async function ip(args: readonly string[]): Promise<string> {
  return await must(['ip', ...args])
}

async function must(argv: readonly string[], input?: string): Promise<string> {
  const result = await runCommand(argv, { timeoutMs, ...(input === undefined ? {} : { input }) })
  if (result.code === 0) return result.stdout
  throw new SwarmError('INTERNAL', `${argv.join(' ')} failed: ${result.stderr.trim()}`)
}
