// Whether the clock of this host is kept right: certificates, cron and stamps of logs rest on it.
import { advised, type CheckResult, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'

const name = 'clock'
/** Beyond it a certificate that was just made is not valid yet on another node's clock. */
const offsetMsMax = 1_000

/** Asks chrony, then systemd, then looks for other programs that keep a clock. */
export async function checkClock(probes: HostProbes): Promise<CheckResult> {
  return (await fromChrony(probes)) ?? (await fromSystemd(probes)) ?? (await fromProcesses(probes))
}

async function fromChrony({ run, find }: HostProbes): Promise<CheckResult | undefined> {
  if ((await find('chronyc')) === undefined) return undefined
  const { code, stdout } = await run(['chronyc', '-n', 'tracking'])
  if (code !== 0) return undefined
  const seconds = Number(/^System time\s*:\s*([\d.]+) seconds/m.exec(stdout)?.[1])
  if (!/^Leap status\s*:\s*Normal/m.test(stdout) || Number.isNaN(seconds)) {
    return unsynchronised('chrony reaches no source', 'name servers in /etc/chrony/chrony.conf')
  }
  if (seconds * 1000 <= offsetMsMax) return passed(name, `synchronised by chrony, ${seconds} s off`)
  return unsynchronised(`${seconds} s off, says chrony`, 'chronyc makestep')
}

async function fromSystemd({ run, find }: HostProbes): Promise<CheckResult | undefined> {
  if ((await find('timedatectl')) === undefined) return undefined
  const { code, stdout } = await run(['timedatectl', 'show'])
  if (code !== 0) return undefined
  if (/^NTPSynchronized=yes$/m.test(stdout)) return passed(name, 'synchronised')
  return /^NTP=yes$/m.test(stdout)
    ? unsynchronised(
        'not synchronised yet',
        'check that time servers are reached: timedatectl timesync-status',
      )
    : unsynchronised('nothing synchronises it', 'timedatectl set-ntp true')
}

const keepers = ['chronyd', 'ntpd', 'systemd-timesyn', 'openntpd', 'ptp4l', 'phc2sys']

async function fromProcesses({ run }: HostProbes): Promise<CheckResult> {
  const { stdout } = await run(['ps', '-A', '-o', 'comm='])
  const running = stdout.split('\n').map((line) => line.trim())
  const keeper = keepers.find((one) => running.includes(one))
  if (keeper !== undefined) return passed(name, `${keeper} runs`)
  return {
    ...unsynchronised(
      'nothing is known to synchronise it',
      'apt-get install chrony, unless the machine around this one does it',
    ),
    packages: [],
  }
}

function unsynchronised(found: string, remedy: string): CheckResult {
  return advised({ name, found, remedy, packages: [] })
}
