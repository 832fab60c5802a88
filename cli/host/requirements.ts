// What the daemon needs of its host, as a table of checks: looked at when it starts, and by `tsswarm doctor`.
// Looks only; the programs it runs to try the kernel do so in namespaces that end with them.
import type { RuntimeName } from '../../proto/spec/runtime-names.ts'
import { checkInput } from './check-input.ts'
import { checkCgroups, checkKernel, checkOverlay, checkSeccomp } from './check-kernel.ts'
import { checkNetNamespace, checkNft, checkVxlan } from './check-network.ts'
import { checkPorts } from './check-ports.ts'
import { checkProgram, type Program } from './check-program.ts'
import type { CheckResult } from './check-result.ts'
import { failed, passed } from './check-result.ts'
import { type ClusterPort, managerPorts } from './cluster-ports.ts'
import { type HostProbes, systemProbes } from './probes.ts'
import { isAtLeast } from './version.ts'

export type { CheckResult } from './check-result.ts'
export { type HostProbes, systemProbes } from './probes.ts'

/** One thing the host must have. */
export interface Requirement {
  readonly name: string
  readonly check: (probes: HostProbes) => Promise<CheckResult>
}

const nodeMinimum = '20.19.0'

/** Versions are those of Debian 12, the oldest the project is tested on. */
const programs: readonly Program[] = [
  { name: 'crun', package: 'crun', minimum: '1.8', what: 'runs containers' },
  { name: 'conmon', package: 'conmon', minimum: '2.1', what: 'watches over containers' },
  { name: 'skopeo', package: 'skopeo', minimum: '1.9', what: 'pulls images' },
  {
    name: 'containers-storage',
    package: 'containers-storage',
    what: 'keeps images',
  },
  { name: 'ip', package: 'iproute2', versionFlag: '-V', minimum: '6.1', what: 'sets up networks' },
  { name: 'nft', package: 'nftables', minimum: '1.0.6', what: 'publishes ports' },
  { name: 'conntrack', package: 'conntrack', what: 'forgets connections of removed containers' },
  { name: 'perl', package: 'perl-base', what: 'runs programs for the daemon' },
  { name: 'nsenter', package: 'util-linux', what: 'enters namespaces' },
  { name: 'unshare', package: 'util-linux', what: 'makes namespaces' },
  { name: 'setpriv', package: 'util-linux', what: 'ends helpers with the daemon' },
  { name: 'mount', package: 'mount', what: "mounts containers' file systems" },
]

const requirements: readonly Requirement[] = [
  { name: 'Linux', check: checkPlatform },
  { name: 'root', check: checkRoot },
  { name: 'Node.js', check: checkNode },
  { name: 'kernel', check: checkKernel },
  ...programs.map((program) => ({
    name: program.name,
    check: (probes: HostProbes) => checkProgram(program, probes),
  })),
  { name: 'seccomp profile', check: checkSeccomp },
  { name: 'image policy', check: checkImagePolicy },
  { name: 'overlay file system', check: checkOverlay },
  { name: 'control groups', check: checkCgroups },
  { name: 'network namespaces', check: checkNetNamespace },
  { name: 'nftables', check: checkNft },
]

/** A manager's; without it the cluster goes on, more slowly, so the daemon does not insist. */
const bus: Program = {
  name: 'nats-server',
  package: 'nats-server',
  minimum: '2.9',
  what: 'spreads changes of networks from a manager to all nodes; the package starts a service of its own, which a manager needs off: systemctl disable --now nats-server',
}

const reach: readonly Requirement[] = [
  { name: bus.name, check: (probes) => checkProgram(bus, probes) },
  { name: 'firewall', check: checkInput },
  { name: 'VXLAN', check: checkVxlan },
]

/** Every check with its outcome, in the order of the table. A check that fails in an unforeseen way is one not met. */
export async function checkHost(
  probes: HostProbes = systemProbes(),
): Promise<readonly CheckResult[]> {
  return await checkAll(requirements, probes)
}

/**
 * What a node needs beside that, so that other nodes reach it: for `tsswarm doctor`. The daemon does not ask: a worker
 * needs no port of its own, and `--listen-addr` may name others.
 */
export async function checkReach(
  probes: HostProbes = systemProbes(),
  ports: readonly ClusterPort[] = managerPorts,
): Promise<readonly CheckResult[]> {
  const portsFree: Requirement = {
    name: 'ports of a manager',
    check: (of) => checkPorts(of, ports),
  }
  return await checkAll([portsFree, ...reach], probes)
}

/** The runtime of the daemon's settings, where the table above does not have it. */
export async function checkRuntime(
  name: RuntimeName,
  probes: HostProbes,
): Promise<readonly CheckResult[]> {
  if (programs.some((one) => one.name === name)) return []
  const what = 'runs containers here, as the setting defaultRuntime says'
  return await checkAll(
    [{ name, check: (of) => checkProgram({ name, package: name, what }, of) }],
    probes,
  )
}

/** Each with its outcome, in order. */
export async function checkAll(
  wanted: readonly Requirement[],
  probes: HostProbes,
): Promise<readonly CheckResult[]> {
  return await Promise.all(
    wanted.map(async ({ name, check }) => {
      try {
        return asFarAsSeen(await check(probes), probes)
      } catch (err) {
        const found = err instanceof Error ? err.message : String(err)
        return failed({ name, found, remedy: 'report this as an error of tsswarm', packages: [] })
      }
    }),
  )
}

/** What somebody else than root is not let try tells nothing of the host: no module is missing, nothing is to be installed. */
const isKeptOut =
  /not permitted|permission denied|must be root|EACCES|kernel refuses|does not tell its version|in use by another program/i

function asFarAsSeen(result: CheckResult, { userId }: HostProbes): CheckResult {
  const isGood = result.ok && result.remedy === ''
  if (userId === 0 || isGood || !isKeptOut.test(result.found)) return result
  const remedy = 'only root can tell: `sudo tsswarm doctor`'
  return { ...result, remedy, packages: [] }
}

async function checkPlatform({ platform }: HostProbes): Promise<CheckResult> {
  const name = 'Linux'
  if (platform === 'linux') return passed(name, platform)
  const remedy = 'run the daemon on a Linux host; other systems can be clients only'
  return failed({ name, found: platform, remedy, packages: [] })
}

async function checkRoot({ userId }: HostProbes): Promise<CheckResult> {
  const name = 'root'
  const found = `user id ${userId}`
  if (userId === 0) return passed(name, found)
  const remedy = 'start it as root: `sudo tsswarm daemon`, or as a systemd service'
  return failed({ name, found, remedy, packages: [] })
}

async function checkNode({ nodeVersion }: HostProbes): Promise<CheckResult> {
  const name = 'Node.js'
  if (isAtLeast(nodeVersion, nodeMinimum)) return passed(name, nodeVersion)
  const remedy = `install Node.js ${nodeMinimum} or newer (https://nodejs.org/en/download)`
  return failed({ name, found: nodeVersion, remedy, packages: [] })
}

async function checkImagePolicy({ read }: HostProbes): Promise<CheckResult> {
  const name = 'image policy'
  const file = '/etc/containers/policy.json'
  if ((await read(file)) !== undefined) return passed(name, file)
  return failed({
    name,
    found: `${file} is missing: skopeo refuses every image`,
    remedy: 'apt-get install golang-github-containers-image',
    packages: ['golang-github-containers-image'],
  })
}
