// Whether the host's own firewall lets other nodes in. Looks only: the daemon never touches INPUT.
import { type CheckResult, failed, passed } from './check-result.ts'
import { managerPorts, overlayPort } from './cluster-ports.ts'
import { type Admission, admission, type Packet, packetsText } from './firewall.ts'
import { parseIptables } from './parse-iptables.ts'
import { type NftTable, parseNft } from './parse-nft.ts'
import type { HostProbes } from './probes.ts'

type Tool = 'iptables' | 'iptables-legacy' | 'ufw' | 'firewalld' | 'nft'

/** A firewall of the host, and whom it lets in of each packet. */
interface Firewall {
  readonly tool: Tool
  /** As a user would look for it. */
  readonly where: string
  /** What `nft insert rule` needs; empty for other tools. */
  readonly path: string
  readonly lets: readonly (readonly [Packet, Admission])[]
}

const allPackets: readonly Packet[] = [...managerPorts, overlayPort]

/** Of all that a manager's host may be asked for. */
export function checkInput(probes: HostProbes): Promise<CheckResult> {
  return checkPackets(probes, allPackets)
}

export async function checkPackets(
  probes: HostProbes,
  packets: readonly Packet[],
): Promise<CheckResult> {
  const name = 'firewall'
  const ruleset = await probes.run(['nft', '-j', 'list', 'ruleset'])
  if (ruleset.code !== 0) {
    const why = ruleset.stderr.trim().split('\n')[0] ?? ''
    const remedy = 'run it as root, with nftables installed'
    return failed({ name, found: `its rules cannot be read: ${why}`, remedy, packages: [] })
  }
  const firewalls = await inspect(probes, ruleset.stdout, packets)
  const closed = firewalls.filter((firewall) => kept(firewall, 'none').length > 0)
  if (closed.length > 0) {
    const found = closed.map(
      (firewall) =>
        `${firewall.where} keeps other nodes from ${packetsText(kept(firewall, 'none'))}`,
    )
    const remedy = closed.map(remedyOf).join('; ')
    return failed({ name, found: found.join('; '), remedy, packages: [] })
  }
  const partly = firewalls.flatMap((firewall) => kept(firewall, 'some'))
  const all = packetsText(packets)
  return passed(
    name,
    partly.length === 0
      ? `lets other nodes in to ${all}`
      : `lets in to ${all}, to ${packetsText(partly)} only some addresses or interfaces`,
  )
}

function kept({ lets }: Firewall, how: Admission): readonly Packet[] {
  return lets.filter(([, admitted]) => admitted === how).map(([packet]) => packet)
}

async function inspect(
  probes: HostProbes,
  ruleset: string,
  packets: readonly Packet[],
): Promise<readonly Firewall[]> {
  const found: Firewall[] = []
  const tables = packets.map((packet) => parseNft(ruleset, packet))
  for (const [at, table] of (tables[0] ?? []).entries()) {
    const isIptables =
      table.family === 'ip' && table.name === 'filter' && table.base.name === 'INPUT'
    const own = isIptables ? await iptablesFirewall(probes, 'iptables', packets) : undefined
    found.push(
      own ??
        nftFirewall(
          table,
          packets.map((packet, i) => [packet, tables[i]?.[at]] as const),
        ),
    )
  }
  const legacy = (await probes.read('/proc/net/ip_tables_names')) ?? ''
  if (legacy.split('\n').includes('filter')) {
    const firewall = await iptablesFirewall(probes, 'iptables-legacy', packets)
    if (firewall !== undefined) found.push(firewall)
  }
  return found
}

function nftFirewall(
  table: NftTable,
  seen: readonly (readonly [Packet, NftTable | undefined])[],
): Firewall {
  const path = `${table.family} ${table.name} ${table.base.name}`
  const isFirewalld = table.name === 'firewalld'
  const lets = seen.map(([packet, same]): readonly [Packet, Admission] => [
    packet,
    same === undefined ? 'all' : admission(same.chains, same.base),
  ])
  return {
    tool: isFirewalld ? 'firewalld' : 'nft',
    where: isFirewalld ? 'firewalld' : `nft chain ${path}`,
    path,
    lets,
  }
}

/** iptables reads its own tables best. Undefined when it cannot. */
async function iptablesFirewall(
  { run, find }: HostProbes,
  tool: 'iptables' | 'iptables-legacy',
  packets: readonly Packet[],
): Promise<Firewall | undefined> {
  if ((await find(tool)) === undefined) return undefined
  const listed = await run([tool, '-w', '-S'])
  if (listed.code !== 0) return undefined
  const lets = packets.map((packet): readonly [Packet, Admission] => {
    const { chains, base } = parseIptables(listed.stdout, packet)
    return [packet, admission(chains, base)]
  })
  const isUfw = listed.stdout.includes('-N ufw-user-input')
  return isUfw
    ? { tool: 'ufw', where: 'ufw', path: '', lets }
    : { tool, where: `${tool} chain INPUT`, path: '', lets }
}

function remedyOf(firewall: Firewall): string {
  const closed = kept(firewall, 'none')
  const each = (text: (packet: Packet) => string, joint: string): string =>
    closed.map(text).join(joint)
  switch (firewall.tool) {
    case 'ufw':
      return each(({ port, protocol }) => `ufw allow ${port}/${protocol}`, ' && ')
    case 'firewalld': {
      const add = each(({ port, protocol }) => `--add-port=${port}/${protocol}`, ' ')
      return `firewall-cmd --permanent ${add} && firewall-cmd --reload`
    }
    case 'nft':
      return each(
        ({ port, protocol }) => `nft insert rule ${firewall.path} ${protocol} dport ${port} accept`,
        ' && ',
      )
    case 'iptables':
    case 'iptables-legacy':
      return each(
        ({ port, protocol }) =>
          `${firewall.tool} -I INPUT -p ${protocol} --dport ${port} -j ACCEPT`,
        ' && ',
      )
  }
}
