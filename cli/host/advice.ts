// What `tsswarm doctor` looks at beside what the daemon insists on: limits, clock, disk, firewall, programs that single
// commands need. The daemon does not ask for it when it starts.
import { checkClock } from './check-clock.ts'
import { checkDisk } from './check-disk.ts'
import { checkForwarding } from './check-forwarding.ts'
import { checkInit } from './check-init.ts'
import { checkJournal } from './check-journal.ts'
import {
  checkConntrackSize,
  checkEntropy,
  checkInotify,
  checkMoreControllers,
  checkOpenFiles,
} from './check-limits.ts'
import { checkMtu } from './check-mtu.ts'
import {
  checkConnections,
  checkNamespaces,
  checkOverlayMount,
  checkShiftedLayers,
  checkUserNamespaces,
} from './check-namespaces.ts'
import { checkOverlayPort } from './check-ports.ts'
import { checkProgram, type Program } from './check-program.ts'
import { advised, type CheckResult } from './check-result.ts'
import { type DiskTrial, nearestFolder } from './disk-trial.ts'
import type { HostProbes } from './probes.ts'
import { checkAll, type Requirement } from './requirements.ts'

/** What they are for; without one everything else goes on. */
const helpful: readonly Program[] = [
  {
    name: 'socat',
    package: 'socat',
    what: '`port-forward` and `attach` to containers here need it',
  },
  { name: 'buildah', package: 'buildah', minimum: '1.28', what: '`image build` here needs it' },
  { name: 'script', package: 'bsdutils', what: '`exec --tty` in containers here needs it' },
  { name: 'ss', package: 'iproute2', what: 'who holds a port cannot be told' },
  { name: 'modprobe', package: 'kmod', what: 'modules of the kernel cannot be loaded when needed' },
]

/** `stateDir`: the daemon's state folder, which need not be there. */
const adviceFor = (stateDir: string): readonly Requirement[] => [
  ...helpful.map((program) => ({
    name: program.name,
    check: async (probes: HostProbes) => asAdvice(await checkProgram(program, probes)),
  })),
  { name: 'init', check: checkInit },
  { name: 'namespaces', check: checkNamespaces },
  { name: 'user namespaces', check: checkUserNamespaces },
  {
    name: 'users of containers',
    check: (probes) => checkShiftedLayers(probes, nearestFolder(stateDir)),
  },
  { name: 'overlay mounts', check: checkOverlayMount },
  { name: 'connection tracking', check: checkConnections },
  { name: 'more controllers', check: checkMoreControllers },
  { name: 'port of overlays', check: checkOverlayPort },
  { name: 'forwarding', check: checkForwarding },
  { name: 'journal', check: checkJournal },
  { name: 'MTU', check: checkMtu },
  { name: 'clock', check: checkClock },
  { name: 'open files', check: checkOpenFiles },
  { name: 'inotify', check: checkInotify },
  { name: 'connections', check: checkConntrackSize },
  { name: 'entropy', check: checkEntropy },
]

/** A trial of the disk of this folder of the daemon's. */
export interface Disk {
  readonly trial: DiskTrial
  readonly folder: string
}

/** Every piece of advice with its outcome, in the order of the table, the disk last. */
export async function checkAdvice(
  probes: HostProbes,
  { trial, folder }: Disk,
): Promise<readonly CheckResult[]> {
  const found = await checkAll(adviceFor(folder), probes)
  // By itself: what runs beside it would be measured with it.
  return [...found, ...(await checkDisk(trial, folder))]
}

function asAdvice(result: CheckResult): CheckResult {
  return result.ok ? result : advised(result)
}
