// The MTU of the way out: packets of overlay networks are 50 bytes larger than their content (70 over IPv6).
import { advised, type CheckResult, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'

/** What containers' interfaces have, with its wrapping. */
const wished = 1500
const name = 'MTU'

export async function checkMtu({ run, read }: HostProbes): Promise<CheckResult> {
  const routes = await Promise.all(
    ['-4', '-6'].map((family) => run(['ip', family, '-o', 'route', 'show', 'default'])),
  )
  const devices = new Set(
    routes.flatMap(({ stdout }) => [...stdout.matchAll(/\bdev (\S+)/g)].map(([, dev = '']) => dev)),
  )
  if (devices.size === 0) {
    return advised({
      name,
      found: 'no default route',
      remedy:
        'add one, or name the interface of the cluster: --advertise-addr and --data-path-addr',
      packages: [],
    })
  }
  const sizes = await Promise.all(
    [...devices].map(async (dev) => ({
      dev,
      mtu: Number(await read(`/sys/class/net/${dev}/mtu`)),
    })),
  )
  const found = sizes.map(({ dev, mtu }) => `${mtu} on ${dev}`).join(', ')
  const small = sizes.filter(({ mtu }) => mtu < wished)
  if (small.length === 0) return passed(name, found)
  return advised({
    name,
    found: `${found}: packets of overlay networks are split until their path is measured`,
    remedy: `if the network carries them: ${small.map(({ dev }) => `ip link set ${dev} mtu ${wished}`).join(' && ')}`,
    packages: [],
  })
}
