// Whether there is an init that services with `--init` run under: one of those that the executor takes.
import { advised, type CheckResult, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'

const name = 'init'
const programs = ['catatonit', 'tini-static', 'docker-init']
/** Where packages put it that keep it out of PATH. */
const elsewhere = ['/usr/libexec/podman/catatonit', '/usr/libexec/catatonit/catatonit']

export async function checkInit({ find, read }: HostProbes): Promise<CheckResult> {
  for (const program of programs) {
    const file = await find(program)
    if (file !== undefined) return passed(name, file)
  }
  for (const file of elsewhere) if ((await read(file)) !== undefined) return passed(name, file)
  return advised({
    name,
    found: 'not installed: services with `--init` are rejected here',
    remedy: 'apt-get install catatonit',
    packages: ['catatonit'],
  })
}
