// The processes of a container, by its control group and /proc.
import { readFile } from 'node:fs/promises'
import type { ContainerProcess } from '../../../proto/gen/tsswarm/v1/streams.ts'
import { type CgroupVersion, processesInCgroup } from './cgroups.ts'
import { type IdMapping, insideId } from './id-mapping.ts'
import type { AccountFiles } from './users.ts'

/** Of the kernel's interface on every architecture that Node runs on. */
const ticksPerSecond = 100
const pageBytes = 4_096
const processesMax = 10_000

/** In order of their start; numbers are the host's. What ends meanwhile is left out. */
export async function containerProcesses(
  version: CgroupVersion,
  cgroupPath: string,
  { passwd, mapping }: Pick<AccountFiles, 'passwd'> & { readonly mapping?: IdMapping | undefined },
): Promise<readonly ContainerProcess[]> {
  const pids = [...new Set(await processesInCgroup(version, cgroupPath))]
  const bootMs = bootTimeMs(await readFile('/proc/stat', 'utf8'))
  const users = userNames(passwd)
  const userName = (number: string): string => {
    const own =
      mapping === undefined ? number : `${insideId(mapping.uid, mapping.size, Number(number))}`
    return users.get(own) ?? own
  }
  const found = await Promise.all(
    pids.slice(0, processesMax).map(async (pid) => {
      const files = ['stat', 'status', 'cmdline'].map((name) =>
        readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => ''),
      )
      const [stat = '', status = '', cmdline = ''] = await Promise.all(files)
      return parseProcess(pid, { stat, status, cmdline }, bootMs)
    }),
  )
  return found
    .flatMap((one) => (one === undefined ? [] : [{ ...one, user: userName(one.user) }]))
    .sort((a, b) => a.startedAtMs - b.startedAtMs || a.pid - b.pid)
}

/** `user` is the number still. Undefined when the process has ended. */
export function parseProcess(
  pid: number,
  files: { readonly stat: string; readonly status: string; readonly cmdline: string },
  bootMs: number,
): ContainerProcess | undefined {
  const { stat, status, cmdline } = files
  const end = stat.lastIndexOf(')')
  if (end < 0) return undefined
  const name = stat.slice(stat.indexOf('(') + 1, end)
  const fields = stat.slice(end + 2).split(' ')
  // Numbered as in proc(5), where the state is field 3.
  const field = (number: number): number => Number(fields[number - 3]) || 0
  const words = cmdline.split('\0').join(' ').trim()
  return {
    pid,
    ppid: field(4),
    user: /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? '',
    cpuMs: Math.round(((field(14) + field(15)) * 1_000) / ticksPerSecond),
    startedAtMs: Math.round(bootMs + (field(22) * 1_000) / ticksPerSecond),
    tty: ttyName(field(7)),
    memoryBytes: field(24) * pageBytes,
    // Kernel threads and remains have no command line.
    command: words === '' ? `[${name}]` : words,
    state: fields[0] ?? '',
    name,
    virtualBytes: field(23),
  }
}

function bootTimeMs(stat: string): number {
  return Number(/^btime (\d+)$/m.exec(stat)?.[1] ?? 0) * 1_000
}

/** Major numbers 136 to 143 are pseudoterminals. */
function ttyName(device: number): string {
  const major = (device >> 8) & 0xfff
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00)
  return major >= 136 && major <= 143 ? `pts/${minor + (major - 136) * 256}` : '?'
}

function userNames(passwd: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  for (const line of passwd.split('\n')) {
    const [name, , uid] = line.split(':')
    if (name !== undefined && uid !== undefined && !names.has(uid)) names.set(uid, name)
  }
  return names
}
