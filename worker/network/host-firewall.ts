// The host's own firewall. Where it drops what is forwarded, an accept in our table does not help: two marked accepts go
// where the drop is, through the tool that owns it. Everything else of it stays untouched.

import type { Kernel } from './kernel.ts'
import { hostLink, openDoorSubnet, openDoorSubnet6 } from './network-state.ts'
import type { ForwardChain } from './parse-firewall.ts'
import { parseForwardChains, parseRules, parseSaved } from './parse-firewall.ts'

/** Runs commands in the host's namespace. */
type Runner = Pick<Kernel, 'run'>

/** The mark of our accepts: a comment on each. */
export const firewallMark = 'tsswarm'

type IptablesTool = 'iptables' | 'iptables-legacy' | 'ip6tables' | 'ip6tables-legacy'

export type FirewallTool = IptablesTool | 'ufw' | 'firewalld' | 'nft'

/** A chain of somebody else that all forwarded packets pass. */
export interface ForeignForward {
  readonly tool: FirewallTool
  /** As a user would look for it: `iptables chain FORWARD`. */
  readonly where: string
  readonly drops: boolean
  /** Both of our accepts are there. */
  readonly isOpen: boolean
  /** At least one of our accepts is there. */
  readonly isMarked: boolean
  readonly open: readonly (readonly string[])[]
  readonly close: readonly (readonly string[])[]
}

/** Every foreign chain forwarded packets pass, in no particular order. */
export async function inspectFirewall(kernel: Runner): Promise<readonly ForeignForward[]> {
  const listed = await kernel.run('host', ['nft', '-j', 'list', 'chains'])
  const found: ForeignForward[] = []
  for (const chain of parseForwardChains(listed.stdout)) {
    // Seen to with its IPv4 chain.
    if (chain.siblings.includes('ufw6-user-forward')) continue
    found.push(await inspectChain(kernel, chain))
  }
  const files = legacyTables.map(([file]) => file)
  const legacy = await kernel.run('host', ['grep', '-slxF', 'filter', ...files])
  const filtering = legacy.stdout.split('\n')
  for (const [file, tool] of legacyTables) {
    if (filtering.includes(file)) found.push(await inspectIptables(kernel, tool))
  }
  return found
}

const legacyTables = [
  ['/proc/net/ip_tables_names', 'iptables-legacy'],
  ['/proc/net/ip6_tables_names', 'ip6tables-legacy'],
] as const

/** Puts our accepts where something drops. Answers with what was done or failed, one sentence each. */
export async function openFirewall(kernel: Runner): Promise<readonly string[]> {
  const notes: string[] = []
  for (const chain of await inspectFirewall(kernel)) {
    if (!chain.drops || chain.isOpen) continue
    // What is half there goes first, so that nothing stands twice.
    const errors = await runAll(kernel, [...(chain.isMarked ? chain.close : []), ...chain.open])
    const outcome = errors.length === 0 ? 'is open for container traffic now' : errors.join('; ')
    notes.push(`${chain.where} drops forwarded packets: it ${outcome}`)
  }
  return notes
}

/** Takes our accepts away wherever they are. Answers with what failed. */
export async function closeFirewall(kernel: Runner): Promise<readonly string[]> {
  const errors: string[] = []
  for (const chain of await inspectFirewall(kernel)) {
    if (chain.isMarked) errors.push(...(await runAll(kernel, chain.close)))
  }
  return errors
}

async function runAll(
  kernel: Runner,
  commands: readonly (readonly string[])[],
): Promise<readonly string[]> {
  const errors: string[] = []
  for (const argv of commands) {
    const result = await kernel.run('host', argv)
    if (result.code !== 0) errors.push(`"${argv.join(' ')}" failed: ${result.stderr.trim()}`)
  }
  return errors
}

async function inspectChain(kernel: Runner, chain: ForwardChain): Promise<ForeignForward> {
  if (chain.family !== 'inet' && chain.table === 'filter' && chain.name === 'FORWARD') {
    if (chain.siblings.includes('ufw-user-forward')) return await inspectUfw(kernel)
    return await inspectIptables(kernel, chain.family === 'ip' ? 'iptables' : 'ip6tables')
  }
  const path = [chain.family, chain.table, chain.name]
  const listed = await kernel.run('host', ['nft', '-j', '-a', 'list', 'chain', ...path])
  const rules = parseRules(listed.stdout, firewallMark)
  const drops = chain.policy === 'drop' || rules.dropsAll
  if (chain.table === 'firewalld') return await inspectFirewalld(kernel, drops)
  const handles = rules.markedHandles
  const accepts = nftAccepts(chain.family)
  return {
    tool: 'nft',
    where: `nft chain ${path.join(' ')}`,
    drops,
    isOpen: handles.length === accepts.length,
    isMarked: handles.length > 0,
    open: accepts.map((rule) => ['nft', 'insert', 'rule', ...path, `${rule} ${nftComment}`]),
    close: handles.map((handle) => ['nft', 'delete', 'rule', ...path, 'handle', `${handle}`]),
  }
}

const nftComment = `counter accept comment "${firewallMark}"`

function nftAccepts(family: string): readonly string[] {
  const doors = [
    ...(family === 'ip6' ? [] : [`ip daddr ${openDoorSubnet}`]),
    ...(family === 'ip' ? [] : [`ip6 daddr ${openDoorSubnet6}`]),
  ]
  return [
    `iifname "${hostLink}"`,
    ...doors.flatMap((to) => [
      `oifname "${hostLink}" ${to} ct state established,related`,
      `oifname "${hostLink}" ${to} ct status dnat`,
    ]),
  ]
}

/** Ports left to the host's firewall go to other doors. */
function doorsOf(tool: IptablesTool): string {
  return tool.startsWith('ip6') ? openDoorSubnet6 : openDoorSubnet
}

function iptablesAccepts(tool: IptablesTool): readonly (readonly string[])[] {
  const states = ['-m', 'conntrack', '--ctstate', 'DNAT,ESTABLISHED,RELATED']
  return [
    ['-i', hostLink],
    ['-d', doorsOf(tool), '-o', hostLink, ...states],
  ].map((match) => [...match, '-m', 'comment', '--comment', firewallMark, '-j', 'ACCEPT'])
}

async function inspectIptables(kernel: Runner, tool: IptablesTool): Promise<ForeignForward> {
  const chain = 'FORWARD'
  const saved = parseSaved((await kernel.run('host', [tool, '-w', '-S', chain])).stdout)
  const accepts = iptablesAccepts(tool)
  const marked = saved.rules.filter((rule) => rule.join(' ').includes(`--comment ${firewallMark} `))
  return {
    tool,
    where: `${tool} chain ${chain}`,
    drops: saved.dropsAll,
    isOpen: marked.length === accepts.length && marked.some((rule) => rule.includes(doorsOf(tool))),
    isMarked: marked.length > 0,
    open: accepts.map((rule) => [tool, '-w', '-I', chain, ...rule]),
    close: marked.map((rule) => [tool, '-w', '-D', chain, ...rule]),
  }
}

/**
 * ufw cannot name connection states; that only answers and published ports come in is seen to by our own table. One
 * command of it is for both families, where it looks after both.
 */
async function inspectUfw(kernel: Runner): Promise<ForeignForward> {
  const ways = [['in', 'on', hostLink]]
  const missing: string[] = []
  let [drops, isMarked] = [false, false]
  for (const [tool, chain] of ufwChains) {
    const user = await kernel.run('host', [tool, '-w', '-S', chain])
    if (user.code !== 0) continue
    const policy = await kernel.run('host', [tool, '-w', '-S', 'FORWARD'])
    drops ||= parseSaved(policy.stdout).dropsAll
    const rules = parseSaved(user.stdout).rules.map((rule) => rule.join(' '))
    ways.push(['out', 'on', hostLink, 'to', doorsOf(tool)])
    const matches = [`-i ${hostLink}`, `-d ${doorsOf(tool)} -o ${hostLink}`]
    const absent = matches.filter((match) => !rules.includes(`${match} -j ACCEPT`))
    missing.push(...absent)
    isMarked ||= absent.length < matches.length
  }
  return {
    tool: 'ufw',
    where: 'ufw (routed traffic)',
    drops,
    isOpen: missing.length === 0,
    isMarked,
    open: ways.map((way) => ['ufw', 'route', 'allow', ...way, 'comment', firewallMark]),
    close: ways.map((way) => ['ufw', 'route', 'delete', 'allow', ...way]),
  }
}

const ufwChains = [
  ['iptables', 'ufw-user-forward'],
  ['ip6tables', 'ufw6-user-forward'],
] as const

/** firewalld owns its table and rewrites it: our link joins its zone for interfaces that are trusted, as Docker's does. */
async function inspectFirewalld(kernel: Runner, drops: boolean): Promise<ForeignForward> {
  const zone = ['firewall-cmd', '--zone=trusted']
  const query = await kernel.run('host', [...zone, `--query-interface=${hostLink}`])
  const isOpen = query.code === 0
  const both = (option: string): readonly (readonly string[])[] => [
    [...zone, option],
    [...zone, '--permanent', option],
  ]
  return {
    tool: 'firewalld',
    where: 'firewalld (zone trusted)',
    drops,
    isOpen,
    isMarked: isOpen,
    open: both(`--change-interface=${hostLink}`),
    close: both(`--remove-interface=${hostLink}`),
  }
}
