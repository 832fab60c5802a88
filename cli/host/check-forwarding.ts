// Whether a firewall of the host drops what is forwarded. The daemon opens it for its containers with two marked accepts.
import { inspectFirewall } from '../../worker/network/host-firewall.ts'
import { advised, type CheckResult, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'

export async function checkForwarding(probes: HostProbes): Promise<CheckResult> {
  const name = 'forwarding'
  const chains = await inspectFirewall({ run: (_, argv) => probes.run(argv) })
  const dropping = chains.filter(({ drops }) => drops)
  if (dropping.length === 0) return passed(name, 'no firewall drops forwarded packets')
  const closed = dropping.filter(({ isOpen }) => !isOpen)
  const where = dropping.map((chain) => `${chain.where} drops forwarded packets`).join('; ')
  if (closed.length === 0) return passed(name, `${where}, and lets those of containers through`)
  // Without dp0 there is no data plane yet: the daemon opens it when it makes one.
  if ((await probes.read('/sys/class/net/dp0/mtu')) === undefined) {
    return passed(name, `${where}: the daemon adds accepts for its containers there`)
  }
  const opening = closed.flatMap(({ open }) => open.map((argv) => argv.map(quoted).join(' ')))
  return advised({
    name,
    found: `${where}, those of containers too`,
    remedy: `the daemon opens it within a minute; by hand: ${opening.join(' && ')}`,
    packages: [],
  })
}

function quoted(word: string): string {
  return /^[\w./:,@=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
