import t from 'tap'
import {
  closeFirewall,
  inspectFirewall,
  openFirewall,
} from '../../../../worker/network/host-firewall.ts'
import { SimulatedKernel } from '../../../support/simulated-kernel.ts'

const ok = (stdout = ''): { code: number; stdout: string; stderr: string } => ({
  ...{ code: 0, stdout, stderr: '' },
})
const failed = { code: 1, stdout: '', stderr: 'no' }

function aKernel(chains: readonly object[]): SimulatedKernel {
  const kernel = new SimulatedKernel()
  const nftables = chains.map((chain) => ({ chain: { type: 'filter', hook: 'forward', ...chain } }))
  kernel.answers.set('nft -j list chains', ok(JSON.stringify({ nftables })))
  return kernel
}

const commands = (kernel: SimulatedKernel): readonly string[] =>
  kernel.written
    .map((line) => line.replace('host: run ', ''))
    .filter((line) => !/list|grep |-S|--query/.test(line))

const iptables = { family: 'ip', table: 'filter', name: 'FORWARD', policy: 'drop' }
const accepts = [
  '-i dp0 -m comment --comment tsswarm -j ACCEPT',
  '-d 169.254.77.0/25 -o dp0 -m conntrack --ctstate DNAT,ESTABLISHED,RELATED -m comment --comment tsswarm -j ACCEPT',
]

t.test('a host without a firewall is left alone', async (t) => {
  const kernel = aKernel([])
  t.same(await openFirewall(kernel), [])
  t.same(await closeFirewall(kernel), [])
  t.same(commands(kernel), [])
})

t.test('chains that do not drop are left alone', async (t) => {
  const kernel = aKernel([{ ...iptables, policy: 'accept' }])
  kernel.answers.set('iptables -w -S FORWARD', ok('-P FORWARD ACCEPT\n'))
  t.same(await openFirewall(kernel), [])
  t.same(commands(kernel), [])
})

t.test('iptables gets both accepts, and what is half there is renewed', async (t) => {
  const kernel = aKernel([iptables])
  kernel.answers.set('iptables -w -S FORWARD', ok(`-P FORWARD DROP\n-A FORWARD ${accepts[0]}\n`))
  const [note] = await openFirewall(kernel)
  t.match(note, /iptables chain FORWARD drops forwarded packets: it is open/)
  t.same(commands(kernel), [
    `iptables -w -D FORWARD ${accepts[0]}`,
    `iptables -w -I FORWARD ${accepts[0]}`,
    `iptables -w -I FORWARD ${accepts[1]}`,
  ])
})

t.test('an open chain is not touched, and closing it removes both accepts', async (t) => {
  const kernel = aKernel([iptables])
  const saved = accepts.map((accept) => `-A FORWARD ${accept}\n`).join('')
  kernel.answers.set('iptables -w -S FORWARD', ok(`-P FORWARD DROP\n${saved}`))
  t.same(await openFirewall(kernel), [])
  t.same(await closeFirewall(kernel), [])
  t.same(
    commands(kernel),
    accepts.map((accept) => `iptables -w -D FORWARD ${accept}`),
  )
})

t.test('rules of the legacy tool are found by the table being there', async (t) => {
  const kernel = aKernel([])
  kernel.answers.set('grep -slxF filter', ok('/proc/net/ip_tables_names\n'))
  kernel.answers.set('iptables-legacy -w -S FORWARD', ok('-P FORWARD DROP\n'))
  await openFirewall(kernel)
  t.same(
    commands(kernel),
    accepts.map((accept) => `iptables-legacy -w -I FORWARD ${accept}`),
  )
})

t.test('IPv6 has chains of its own, which get the same accepts', async (t) => {
  const kernel = aKernel([{ ...iptables, family: 'ip6' }])
  kernel.answers.set('ip6tables -w -S FORWARD', ok('-P FORWARD DROP\n'))
  kernel.answers.set('grep -slxF filter', ok('/proc/net/ip6_tables_names\n'))
  kernel.answers.set('ip6tables-legacy -w -S FORWARD', ok('-P FORWARD DROP\n'))
  t.match(await openFirewall(kernel), [
    /^ip6tables chain FORWARD/,
    /^ip6tables-legacy chain FORWARD/,
  ])
  t.same(
    commands(kernel),
    ['ip6tables', 'ip6tables-legacy'].flatMap((tool) =>
      accepts.map(
        (accept) => `${tool} -w -I FORWARD ${accept.replace('169.254.77.0/25', 'fd77::/111')}`,
      ),
    ),
  )
})

t.test('ufw is asked once for both families', async (t) => {
  const chain = (family: string, name: string): object => ({
    ...{ family, table: 'filter', name, hook: undefined },
  })
  const kernel = aKernel([
    ...[iptables, chain('ip', 'ufw-user-forward')],
    ...[{ ...iptables, family: 'ip6' }, chain('ip6', 'ufw6-user-forward')],
  ])
  const open = (name: string, doors: string): string =>
    `-N ${name}\n-A ${name} -i dp0 -j ACCEPT\n-A ${name} -d ${doors} -o dp0 -j ACCEPT\n`
  kernel.answers.set('iptables -w -S FORWARD', ok('-P FORWARD DROP\n'))
  kernel.answers.set(
    'iptables -w -S ufw-user-forward',
    ok(open('ufw-user-forward', '169.254.77.0/25')),
  )
  kernel.answers.set('ip6tables -w -S FORWARD', ok('-P FORWARD DROP\n'))
  kernel.answers.set('ip6tables -w -S ufw6-user-forward', ok('-N ufw6-user-forward\n'))
  t.match(await openFirewall(kernel), [/^ufw \(routed traffic\) drops/])
  const doors = ['169.254.77.0/25', 'fd77::/111']
  const rules = ['in on dp0', ...doors.map((to) => `out on dp0 to ${to}`)]
  t.same(commands(kernel), [
    ...rules.map((rule) => `ufw route delete allow ${rule}`),
    ...rules.map((rule) => `ufw route allow ${rule} comment tsswarm`),
  ])
  kernel.answers.set(
    'ip6tables -w -S ufw6-user-forward',
    ok(open('ufw6-user-forward', 'fd77::/111')),
  )
  t.match(await inspectFirewall(kernel), [{ tool: 'ufw', isOpen: true, drops: true }])
  t.equal((await inspectFirewall(kernel)).length, 1)
})

t.test('ufw is asked through its own command', async (t) => {
  const user = { family: 'ip', table: 'filter', name: 'ufw-user-forward', hook: undefined }
  const kernel = aKernel([iptables, user])
  kernel.answers.set('iptables -w -S FORWARD', ok('-P FORWARD DROP\n'))
  kernel.answers.set('ip6tables -w -S ufw6-user-forward', failed)
  await openFirewall(kernel)
  t.same(commands(kernel), [
    'ufw route allow in on dp0 comment tsswarm',
    'ufw route allow out on dp0 to 169.254.77.0/25 comment tsswarm',
  ])
  const open =
    '-N ufw-user-forward\n-A ufw-user-forward -i dp0 -j ACCEPT\n-A ufw-user-forward -d 169.254.77.0/25 -o dp0 -j ACCEPT\n'
  kernel.answers.set('iptables -w -S ufw-user-forward', ok(open))
  t.match(await inspectFirewall(kernel), [{ tool: 'ufw', isOpen: true, drops: true }])
})

t.test('firewalld is asked for its trusted zone, for now and for good', async (t) => {
  const kernel = aKernel([
    { family: 'inet', table: 'firewalld', name: 'filter_FORWARD', policy: 'drop' },
  ])
  kernel.answers.set('firewall-cmd --zone=trusted --query-interface', failed)
  await openFirewall(kernel)
  t.same(commands(kernel), [
    'firewall-cmd --zone=trusted --change-interface=dp0',
    'firewall-cmd --zone=trusted --permanent --change-interface=dp0',
  ])
  kernel.answers.delete('firewall-cmd --zone=trusted --query-interface')
  t.same(await openFirewall(kernel), [])
})

t.test('any other nft chain gets rules with a comment, removed by handle', async (t) => {
  const kernel = aKernel([{ family: 'inet', table: 'fw', name: 'fw1', policy: 'drop' }])
  await openFirewall(kernel)
  t.same(commands(kernel), [
    'nft insert rule inet fw fw1 iifname "dp0" counter accept comment "tsswarm"',
    ...['ip daddr 169.254.77.0/25', 'ip6 daddr fd77::/111'].flatMap((to) => [
      `nft insert rule inet fw fw1 oifname "dp0" ${to} ct state established,related counter accept comment "tsswarm"`,
      `nft insert rule inet fw fw1 oifname "dp0" ${to} ct status dnat counter accept comment "tsswarm"`,
    ]),
  ])
  const handles = [7, 8, 9, 10, 11]
  const rules = handles.map((handle) => ({ rule: { handle, comment: 'tsswarm', expr: [] } }))
  kernel.answers.set('nft -j -a list chain inet fw fw1', ok(JSON.stringify({ nftables: rules })))
  kernel.written.length = 0
  t.same(await openFirewall(kernel), [])
  await closeFirewall(kernel)
  t.same(
    commands(kernel),
    handles.map((handle) => `nft delete rule inet fw fw1 handle ${handle}`),
  )
})

t.test('a tool that fails is named', async (t) => {
  const kernel = aKernel([iptables])
  kernel.answers.set('iptables -w -S FORWARD', ok('-P FORWARD DROP\n'))
  kernel.answers.set('iptables -w -I', failed)
  t.match(await openFirewall(kernel), [/"iptables -w -I FORWARD -i dp0 .*" failed: no/])
})
