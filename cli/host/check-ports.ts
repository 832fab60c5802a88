// Whether the ports of a manager, and that of overlay networks, are free or held by the daemon itself.
import { advised, type CheckResult, failed, passed } from './check-result.ts'
import { type ClusterPort, managerPorts, overlayPort, portText } from './cluster-ports.ts'
import type { HostProbes } from './probes.ts'

interface Listener {
  readonly port: number
  /** Name and process id; undefined when the caller may not see them. */
  readonly owner: { readonly program: string; readonly pid: string } | undefined
}

export async function checkPorts(
  { run, read }: HostProbes,
  ports: readonly ClusterPort[] = managerPorts,
): Promise<CheckResult> {
  const name = 'ports of a manager'
  const listed = await run(['ss', '-H', '-lntp'])
  if (listed.code !== 0) return untold(name, listed.stderr)
  const taken: string[] = []
  let owners = ''
  for (const at of ports) {
    const holder = parseListeners(listed.stdout).find(({ port }) => port === at.port)
    if (holder === undefined) continue
    if (await isDaemon(holder, read)) owners = ', in use by the daemon of this host'
    else taken.push(`${portText(at)} is in use by ${ownerText(holder)}`)
  }
  if (taken.length === 0) return passed(name, `${ports.map(portText).join(', ')}${owners}`)
  const byDocker = taken.some((text) => text.includes('dockerd'))
  const byNats = taken.some((text) => text.includes('nats-server'))
  return failed({
    name,
    found: taken.join('; '),
    remedy:
      `${stopText(byDocker, byNats)}, or choose another port with --listen-addr of \`tsswarm swarm init\` and ` +
      '`tsswarm swarm join` (Raft listens one above it, the bus 1845 and 3845)',
    packages: [],
  })
}

/** The kernel's own socket has no owner, and any number of VXLAN devices share it. */
export async function checkOverlayPort({ run }: HostProbes): Promise<CheckResult> {
  const name = 'port of overlays'
  const listed = await run(['ss', '-H', '-lnup'])
  if (listed.code !== 0) return untold(name, listed.stderr)
  const holder = parseListeners(listed.stdout).find(
    ({ port, owner }) => port === overlayPort.port && owner !== undefined,
  )
  if (holder === undefined) return passed(name, portText(overlayPort))
  return failed({
    name,
    found: `${portText(overlayPort)} is in use by ${ownerText(holder)}`,
    remedy: 'stop that program, or choose another port: --data-path-port of `tsswarm swarm init`',
    packages: [],
  })
}

/** A port that nobody was seen to hold is not a free one. */
function untold(name: string, stderr: string): CheckResult {
  return advised({
    name,
    found: `who holds them cannot be told: ${stderr.trim()}`,
    remedy: 'apt-get install iproute2, which has ss',
    packages: ['iproute2'],
  })
}

function stopText(byDocker: boolean, byNats: boolean): string {
  if (byDocker) return 'leave the other swarm (`docker swarm leave`)'
  return byNats
    ? 'stop the service of the package (`systemctl disable --now nats-server`)'
    : 'stop that program'
}

/** Lines of `ss -H -lntp` and `-lnup`: LISTEN 0 511 *:2377 *:* users:(("node",pid=12,fd=25)). */
function parseListeners(text: string): readonly Listener[] {
  return text.split('\n').flatMap((line) => {
    const [, , , local = ''] = line.trim().split(/\s+/)
    const port = Number(/:(\d+)$/.exec(local)?.[1])
    if (Number.isNaN(port)) return []
    const [, program, pid] = /\(\("([^"]*)",pid=(\d+)/.exec(line) ?? []
    const owner = program === undefined || pid === undefined ? undefined : { program, pid }
    return [{ port, owner }]
  })
}

/** Node's processes are all called node: the command line tells. */
async function isDaemon({ owner }: Listener, read: HostProbes['read']): Promise<boolean> {
  if (owner === undefined) return false
  const words = ((await read(`/proc/${owner.pid}/cmdline`)) ?? '').split('\0')
  // The bus: a child of the daemon with a configuration of its own.
  if (words.some((word) => word.endsWith('/bus/nats.conf'))) return true
  return words.includes('daemon') && words.some((word) => /(^|\/)tsswarm(\.js)?$/.test(word))
}

function ownerText({ owner }: Listener): string {
  return owner === undefined ? 'another program' : `${owner.program} (process ${owner.pid})`
}
