// The name servers the benchmark measures: ours, and dnsmasq and unbound where they are installed, with the same names.
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../../proto/lib/clock.ts'
import { runCommand } from '../../../proto/lib/command.ts'
import { silentLogger } from '../../../proto/lib/log.ts'
import { systemRandom } from '../../../proto/lib/random.ts'
import { serviceId, taskId } from '../../../proto/objects/ids.ts'
import type { NetworkView, ServiceEndpoint, TaskEndpoint } from '../../../proto/objects/overlay.ts'
import {
  createResolverProcess,
  type ResolverProcess,
} from '../../../worker/network/dns/resolver-process.ts'
import { aClient, anEndpoint, anOverlay, aTaskEndpoint, aView } from '../../support/dns.ts'
import { untilSeen } from '../../support/until.ts'

export interface MeasuredServer {
  readonly name: string
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

/** Every name has so many addresses. */
export interface Names {
  readonly services: number
  readonly addresses: number
}

export const serviceName = (n: number): string => `service-${n}`
const addressOf = (service: number, n: number): string =>
  `10.${n + 1}.${service >> 8}.${service & 255}`

/** All askers are members: 127.0.0.0/8 is the network. */
export function viewOf({ services, addresses }: Names): NetworkView {
  const network = anOverlay({ subnets: ['127.0.0.0/8'] })
  const endpoints: ServiceEndpoint[] = []
  const tasks: TaskEndpoint[] = []
  for (let service = 0; service < services; service++) {
    const id = serviceId(`svc${service}`)
    endpoints.push(
      anEndpoint({ serviceId: id, name: serviceName(service), mode: 'dnsrr', vips: [] }),
    )
    for (let n = 0; n < addresses; n++) {
      const address = addressOf(service, n)
      const task = { taskId: taskId(`t${service}x${n}`), serviceId: id, slot: n + 1 }
      tasks.push(aTaskEndpoint({ ...task, addresses: [address] }))
    }
  }
  return aView(tasks, endpoints, network)
}

export async function startOurs(
  dir: string,
  port: number,
): Promise<MeasuredServer & { readonly resolver: ResolverProcess }> {
  const resolvConfFile = join(dir, 'resolv.conf')
  writeFileSync(resolvConfFile, '')
  const resolver = createResolverProcess({
    ...{ dir: join(dir, 'ours'), port, address: '127.0.0.1', resolvConfFile },
    ...{ run: runCommand, clock: systemClock, random: systemRandom, log: silentLogger },
  })
  await resolver.start()
  const pid = Number(readFileSync(join(dir, 'ours', 'resolver.pid'), 'utf8'))
  return { name: 'ours', pid, port, resolver, stop: () => resolver.purge() }
}

/** What makes each tell its version and end; of dnsmasq, `-h` would start it. */
const versionFlags = { dnsmasq: '--version', unbound: '-V' } as const

type Peer = keyof typeof versionFlags

/** Those that are installed. */
export function installedPeers(): readonly Peer[] {
  const peers: readonly Peer[] = ['dnsmasq', 'unbound']
  return peers.filter((peer) => spawnSync(peer, [versionFlags[peer]]).error === undefined)
}

export async function startPeer(
  peer: Peer,
  dir: string,
  at: Names & { readonly port: number },
): Promise<MeasuredServer> {
  const argv = peer === 'dnsmasq' ? dnsmasqArgv(dir, at) : unboundArgv(dir, at)
  const [file = '', ...args] = argv
  const child = spawn(file, args, { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await untilSeen(`${peer} answers`, async () => {
    const found = await aClient(at.port).resolve4(serviceName(0))
    return found.length === at.addresses
  })
  return {
    ...{ name: peer, pid: child.pid ?? 0, port: at.port },
    stop: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

function dnsmasqArgv(dir: string, { port, ...names }: Names & { readonly port: number }) {
  const hosts = join(dir, 'hosts')
  writeFileSync(
    hosts,
    linesOf(names, (name, address) => `${address} ${name}`),
  )
  return [
    ...['dnsmasq', '--keep-in-foreground', '--no-resolv', '--no-hosts', '--conf-file=/dev/null'],
    ...[`--port=${port}`, '--listen-address=127.0.0.1', '--bind-interfaces', '--user=root'],
    ...[`--addn-hosts=${hosts}`, '--local-ttl=2', `--pid-file=${join(dir, 'dnsmasq.pid')}`],
  ]
}

function unboundArgv(dir: string, { port, ...names }: Names & { readonly port: number }) {
  const file = join(dir, 'unbound.conf')
  const data = linesOf(names, (name, address) => `  local-data: "${name}. 2 IN A ${address}"`)
  const options = [
    ...[`interface: 127.0.0.1@${port}`, 'num-threads: 1', 'do-daemonize: no', 'chroot: ""'],
    ...['username: ""', `pidfile: "${join(dir, 'unbound.pid')}"`, `directory: "${dir}"`],
    ...['use-syslog: no', 'logfile: "/dev/null"', 'verbosity: 0', 'rrset-roundrobin: yes'],
    ...['module-config: "iterator"', 'access-control: 127.0.0.0/8 allow'],
  ]
  writeFileSync(file, `server:\n${options.map((line) => `  ${line}\n`).join('')}${data}`)
  return ['unbound', '-d', '-c', file]
}

function linesOf(
  { services, addresses }: Names,
  line: (name: string, address: string) => string,
): string {
  let text = ''
  for (let service = 0; service < services; service++) {
    for (let n = 0; n < addresses; n++) {
      text += `${line(serviceName(service), addressOf(service, n))}\n`
    }
  }
  return text
}
