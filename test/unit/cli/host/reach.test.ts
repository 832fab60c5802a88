// Whether other nodes reach a host: its ports and its firewall.
import { execFileSync } from 'node:child_process'
import t from 'tap'
import type { CheckResult } from '../../../../cli/host/check-result.ts'
import { checkReach, type HostProbes } from '../../../../cli/host/requirements.ts'
import type { CommandResult } from '../../../../proto/lib/command.ts'

interface Host {
  /** Answers by the start of the command line. */
  readonly commands?: Readonly<Record<string, string>>
  readonly files?: Readonly<Record<string, string>>
  readonly ruleset?: readonly object[]
  readonly missing?: readonly string[]
}

function aHost({ commands = {}, files = {}, ruleset = [], missing = [] }: Host): HostProbes {
  const all: Readonly<Record<string, string>> = {
    'nft -j list ruleset': JSON.stringify({ nftables: ruleset }),
    ...commands,
  }
  return {
    platform: 'linux',
    nodeVersion: '20.19.0',
    userId: 0,
    read: async (file) => files[file],
    find: async (name) => (missing.includes(name) ? undefined : `/usr/sbin/${name}`),
    run: async (argv): Promise<CommandResult> => {
      const text = argv.join(' ')
      const found = Object.entries(all).find(([start]) => text.startsWith(start))
      return { code: 0, stdout: found?.[1] ?? '', stderr: '' }
    },
  }
}

async function check(name: string, host: Host): Promise<CheckResult | undefined> {
  return (await checkReach(aHost(host))).find((result) => result.name === name)
}

const ports = (ss: string, files: Record<string, string> = {}) =>
  check('ports of a manager', { commands: { 'ss ': ss }, files })

t.test('ports that nobody holds, or the daemon itself, are as they should be', async (t) => {
  t.match(await ports(''), { ok: true, found: '2377/tcp, 2378/tcp, 4222/tcp, 6222/tcp' })
  t.match(await ports('LISTEN 0 511 0.0.0.0:23770 0.0.0.0:* users:(("x",pid=1,fd=2))'), {
    ok: true,
  })
  const ss = 'LISTEN 0 511 *:2377 *:* users:(("node",pid=12,fd=25))\n'
  const cmdline = '/usr/bin/node\0--\0/opt/tsswarm/dist/tsswarm.js\0daemon\0'
  t.match(await ports(ss, { '/proc/12/cmdline': cmdline }), {
    ok: true,
    found: '2377/tcp, 2378/tcp, 4222/tcp, 6222/tcp, in use by the daemon of this host',
  })
  t.match(await ports(ss, { '/proc/12/cmdline': '/usr/bin/node\0/opt/other.js\0daemon\0' }), {
    ok: false,
  })
})

t.test('a port that another program holds names it and the remedy', async (t) => {
  const ss = [
    'LISTEN 0 511 [::1]:2378 [::]:* users:(("node",pid=12,fd=25))',
    'LISTEN 0 511 *:2377 *:* users:(("dockerd",pid=7,fd=25))',
  ].join('\n')
  t.match(await ports(ss), {
    ok: false,
    found: '2377/tcp is in use by dockerd (process 7); 2378/tcp is in use by node (process 12)',
    remedy:
      /^leave the other swarm \(`docker swarm leave`\), or choose another port with --listen-addr/,
  })
  t.match(await ports('LISTEN 0 511 127.0.0.1:2377 0.0.0.0:*'), {
    found: '2377/tcp is in use by another program',
    remedy: /^stop that program, or choose/,
  })
})

t.test('the bus is the daemon, and the service of its package is not', async (t) => {
  const ss = 'LISTEN 0 511 *:4222 *:* users:(("nats-server",pid=12,fd=25))\n'
  const ours = '/usr/sbin/nats-server\0-c\0/run/tsswarm/bus/nats.conf\0'
  t.match(await ports(ss, { '/proc/12/cmdline': ours }), { ok: true })
  const packaged = '/usr/sbin/nats-server\0-c\0/etc/nats-server.conf\0'
  t.match(await ports(ss, { '/proc/12/cmdline': packaged }), {
    ok: false,
    found: '4222/tcp is in use by nats-server (process 12)',
    remedy: /^stop the service of the package \(`systemctl disable --now nats-server`\), or/,
  })
})

t.test('nats-server is missed by whom wants to be a manager', async (t) => {
  t.match(await check('nats-server', { missing: ['nats-server'] }), {
    ok: false,
    found: /^not installed: spreads changes .* systemctl disable --now nats-server/,
    remedy: 'apt-get install nats-server',
  })
})

const table = { family: 'inet', table: 'filter' }
const input = (fields: object = {}): object => ({
  chain: { ...table, name: 'input', type: 'filter', hook: 'input', policy: 'drop', ...fields },
})
const rule = (chain: string, ...expr: readonly object[]): object => ({
  rule: { ...table, chain, expr },
})
const match = (left: object, right: unknown, op = '=='): object => ({ match: { op, left, right } })
const dport = (protocol: string): object => ({ payload: { protocol, field: 'dport' } })
const meta = (key: string): object => ({ meta: { key } })
const accept = { accept: null }
const jump = (target: string): object => ({ jump: { target } })

const all = '2377/tcp, 2378/tcp, 4222/tcp, 6222/tcp, 4789/udp'
const firewall = (...ruleset: readonly object[]) => check('firewall', { ruleset })
const open = { ok: true, found: `lets other nodes in to ${all}` }
const closed = (which: string) => ({
  ok: false,
  found: `nft chain inet filter input keeps other nodes from ${which}`,
})

t.test('without rules, or with a chain that accepts, other nodes get in', async (t) => {
  t.match(await firewall(), open)
  t.match(await firewall(input({ policy: 'accept' })), open)
  t.match(await firewall(input({ hook: 'forward' }), input({ family: 'ip6' })), open)
  t.match(await firewall(input({ type: 'nat' }), input({ table: 'tsswarm' })), open)
})

t.test('a chain that drops by policy or by a rule keeps them out', async (t) => {
  t.match(await firewall(input()), {
    ...closed(all),
    remedy:
      'nft insert rule inet filter input tcp dport 2377 accept && ' +
      'nft insert rule inet filter input tcp dport 2378 accept && ' +
      'nft insert rule inet filter input tcp dport 4222 accept && ' +
      'nft insert rule inet filter input tcp dport 6222 accept && ' +
      'nft insert rule inet filter input udp dport 4789 accept',
  })
  t.match(
    await firewall(input({ policy: 'accept' }), rule('input', { counter: null }, { reject: null })),
    closed(all),
  )
  const others = [
    rule('input', match(meta('iifname'), 'lo'), accept),
    rule('input', match({ ct: { key: 'state' } }, ['established', 'related'], 'in'), accept),
    rule('input', match({ ct: { key: 'status' } }, 'dnat', 'in'), accept),
    rule('input', match(dport('tcp'), 22), accept),
    rule('input', match(meta('l4proto'), 'icmp'), accept),
    rule('input', match(dport('udp'), 2377), accept),
  ]
  t.match(await firewall(input(), ...others), closed(all), 'rules for others help nobody')
  t.match(await firewall(input({ policy: 'accept' }), rule('input', { drop: null }), ...others), {
    ok: false,
  })
})

t.test('rules for the ports let them in, however they are written', async (t) => {
  const udp = rule('input', match(dport('udp'), 4789), accept)
  const tcp = (right: unknown) =>
    firewall(input(), rule('input', match(dport('tcp'), right), accept), udp)
  t.match(await tcp({ range: [2000, 7000] }), open)
  t.match(await tcp({ set: [22, { range: [2377, 2378] }, 4222, 6222] }), open)
  t.match(await tcp(2377), closed('2378/tcp, 4222/tcp, 6222/tcp'))
  const set = {
    set: { ...table, name: 'swarm', elem: [2377, { elem: { val: 2378 } }, 4222, 6222] },
  }
  t.match(
    await firewall(input(), set, rule('input', match(dport('th'), '@swarm'), accept), udp),
    open,
  )
  t.match(
    await firewall(input(), rule('input', match(meta('l4proto'), { set: ['tcp', 'udp'] }), accept)),
    open,
  )
  t.match(await firewall(input(), rule('input', match(meta('iifname'), 'lo', '!='), accept)), open)
})

t.test('chains are followed, and verdict maps read', async (t) => {
  const zone = rule(
    'zone',
    match(dport('tcp'), { set: [{ range: [2377, 2378] }, 4222, 6222] }),
    accept,
  )
  const back = rule('zone', match(dport('udp'), 4789), { return: null })
  const rest = rule('zone', { drop: null })
  t.match(await firewall(input(), rule('input', jump('zone')), zone), closed('4789/udp'))
  t.match(
    await firewall(input({ policy: 'accept' }), rule('input', jump('zone')), zone, back, rest),
    open,
    'what returns is left to the policy',
  )
  t.match(
    await firewall(input({ policy: 'accept' }), rule('input', { goto: { target: 'zone' } }), rest),
    closed(all),
  )
  const state = { key: { ct: { key: 'state' } } }
  const entries = [
    ['established', accept],
    ['new', { drop: null }],
  ]
  t.match(
    await firewall(
      input({ policy: 'accept' }),
      rule('input', { vmap: { ...state, data: { set: entries } } }),
    ),
    closed(all),
  )
})

t.test('what depends on the sender is said, and no failure', async (t) => {
  const from = match({ payload: { protocol: 'ip', field: 'saddr' } }, '10.0.0.0')
  t.match(await firewall(input(), rule('input', from, accept)), { ok: true, found: /only some/ })
  t.match(await firewall(input(), rule('input', from, jump('zone')), rule('zone', accept)), {
    ok: true,
    found: /only some/,
  })
  const limited = rule('input', { limit: { rate: 1 } }, { drop: null })
  t.match(await firewall(input({ policy: 'accept' }), limited), open)
})

t.test('firewalld is named, and asked in its own words', async (t) => {
  const chain = input({ table: 'firewalld', name: 'filter_INPUT', policy: 'accept' })
  const reject = {
    rule: { family: 'inet', table: 'firewalld', chain: 'filter_INPUT', expr: [{ reject: {} }] },
  }
  t.match(await firewall(chain, reject), {
    found: `firewalld keeps other nodes from ${all}`,
    remedy:
      'firewall-cmd --permanent --add-port=2377/tcp --add-port=2378/tcp --add-port=4222/tcp --add-port=6222/tcp --add-port=4789/udp && firewall-cmd --reload',
  })
})

const iptablesChain = input({ family: 'ip', name: 'INPUT' })
const iptables = (...lines: readonly string[]) =>
  check('firewall', {
    ruleset: [iptablesChain],
    commands: { 'iptables -w -S': `${lines.join('\n')}\n` },
  })

t.test('tables of iptables are read with iptables', async (t) => {
  t.match(await iptables('-P INPUT ACCEPT'), open)
  t.match(await iptables('-P INPUT DROP', '-A INPUT -i lo -j ACCEPT'), {
    found: `iptables chain INPUT keeps other nodes from ${all}`,
    remedy: /^iptables -I INPUT -p tcp --dport 2377 -j ACCEPT && /,
  })
  t.match(
    await iptables(
      '-P INPUT DROP',
      '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A INPUT -p tcp -m multiport --dports 80,2377:2378,4222,6222 -m comment --comment "a -j DROP" -j ACCEPT',
      '-A INPUT -p udp -m state --state NEW -m udp --dport 4789 -j ACCEPT',
      '-A INPUT -j REJECT --reject-with icmp-port-unreachable',
    ),
    open,
  )
  t.match(await iptables('-P INPUT DROP', '-A INPUT -s 10.0.0.0/8 -j ACCEPT'), { found: /some/ })
  t.match(await iptables('-P INPUT DROP', '-A INPUT ! -i lo -g IN', '-A IN -j ACCEPT'), open)
  t.match(await iptables('-P INPUT ACCEPT', '-A INPUT ! -p icmp -j DROP'), { ok: false })
})

const ufw = [
  '-P INPUT DROP',
  '-N ufw-before-input',
  '-N ufw-not-local',
  '-N ufw-user-input',
  '-A INPUT -j ufw-before-input',
  '-A INPUT -j ufw-after-input',
  '-A ufw-before-input -i lo -j ACCEPT',
  '-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-A ufw-before-input -m conntrack --ctstate INVALID -j DROP',
  '-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT',
  '-A ufw-before-input -j ufw-not-local',
  '-A ufw-before-input -j ufw-user-input',
  '-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN',
  '-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN',
  '-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j LOG',
  '-A ufw-not-local -j DROP',
]

t.test('ufw is known by its chains', async (t) => {
  t.match(await iptables(...ufw), {
    found: `ufw keeps other nodes from ${all}`,
    remedy:
      'ufw allow 2377/tcp && ufw allow 2378/tcp && ufw allow 4222/tcp && ufw allow 6222/tcp && ufw allow 4789/udp',
  })
  const allowed = [
    '-A ufw-user-input -p tcp -m tcp --dport 2377 -j ACCEPT',
    '-A ufw-user-input -p tcp -m tcp --dport 2378 -j ACCEPT',
    '-A ufw-user-input -p tcp -m tcp --dport 4222 -j ACCEPT',
    '-A ufw-user-input -p tcp -m tcp --dport 6222 -j ACCEPT',
    '-A ufw-user-input -p udp -m udp --dport 4789 -j ACCEPT',
  ]
  t.match(await iptables(...ufw, ...allowed), open)
})

t.test('legacy tables count too, and rules that cannot be read are a failure', async (t) => {
  const files = { '/proc/net/ip_tables_names': 'nat\nfilter\n' }
  const commands = { 'iptables-legacy -w -S': '-P INPUT DROP\n' }
  t.match(await check('firewall', { files, commands }), {
    found: /^iptables-legacy chain INPUT keeps/,
  })
  const probes = aHost({})
  const run = async (): Promise<CommandResult> => ({
    code: 1,
    stdout: '',
    stderr: 'not permitted\n',
  })
  const [, , result] = await checkReach({ ...probes, run })
  t.match(result, { ok: false, found: 'its rules cannot be read: not permitted', remedy: /root/ })
})

t.test('what nft itself lists is understood', { skip: process.getuid?.() !== 0 }, async (t) => {
  const script = [
    'add table inet filter',
    'add chain inet filter input { type filter hook input priority 0; policy drop; }',
    'add rule inet filter input ct state vmap { established : accept, invalid : drop }',
    'add rule inet filter input tcp dport { 22, 2377-2378, 4222, 6222 } accept',
  ].join('; ')
  const listing = `nft '${script}' && nft -j list ruleset`
  const text = execFileSync('unshare', ['--net', 'sh', '-c', listing], { encoding: 'utf8' })
  const result = await check('firewall', { commands: { 'nft -j list ruleset': text } })
  t.match(result, closed('4789/udp'))
})
