// What there is of a lab on this machine, found without the lab's own code.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { runCommand } from '../../proto/lib/command.ts'

export type Remains = Readonly<
  Record<'processes' | 'mounts' | 'cgroups' | 'namespaces' | 'links' | 'folders', readonly string[]>
>

/** Everything of the lab `name`, whose hosts have addresses that begin with `prefix` ("10.213.0."). */
export async function labRemains(name: string, prefix: string): Promise<Remains> {
  const folders = [`/run/tsswarm-labs/${name}`, `/var/lib/tsswarm-labs/${name}`]
  const isOfLab = (text: string): boolean =>
    folders.some((folder) => text.includes(`${folder}/`) || text.endsWith(folder))
  const mounts = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n')
  const addresses = (await runCommand(['ip', '-br', '-4', 'addr'])).stdout.split('\n')
  return {
    processes: processes().filter((text) => isOfLab(text) || text.includes(`tsswarm-lab-${name}/`)),
    mounts: mounts.map((line) => line.split(' ')[1] ?? '').filter(isOfLab),
    cgroups: mounts
      .map((line) => line.split(' '))
      .filter(([, , kind]) => kind === 'cgroup' || kind === 'cgroup2')
      .map(([, point = '']) => `${point}/tsswarm-lab-${name}`)
      .filter((folder) => existsSync(folder)),
    namespaces: namespaces().filter((entry) => entry.startsWith(`tslab-${name}-`)),
    links: addresses.filter((line) => line.includes(` ${prefix}`)),
    folders: folders.filter((folder) => existsSync(folder)),
  }
}

/** Command line and cgroups of every process, in one text each: containers carry the lab only in the latter. */
function processes(): readonly string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => {
      try {
        const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        return `${pid} ${readFileSync(`/proc/${pid}/cgroup`, 'utf8')} ${commandLine}`.trim()
      } catch {
        // It has ended since the list was read.
        return ''
      }
    })
}

function namespaces(): readonly string[] {
  return existsSync('/run/netns') ? readdirSync('/run/netns') : []
}
