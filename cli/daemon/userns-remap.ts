// Which numbers of this host its containers' users have: the setting usernsRemap held against the host's own users.
import { chmod, readFile, stat } from 'node:fs/promises'
import type { Logger } from '../../proto/lib/log.ts'
import {
  type IdMapping,
  parseUsernsRemap,
  resolveRemap,
} from '../../worker/executor/container/id-mapping.ts'
import type { DaemonConfig } from './config.ts'

/** Undefined: they are the host's. Errors: HOST_UNFIT for a range that somebody has. */
export async function remapOf(
  { usernsRemap, runDir }: Pick<DaemonConfig, 'usernsRemap' | 'runDir'>,
  log: Logger,
): Promise<IdMapping | undefined> {
  const remap = resolveRemap(parseUsernsRemap(usernsRemap), {
    passwd: await textOf('/etc/passwd'),
    group: await textOf('/etc/group'),
    subuid: await textOf('/etc/subuid'),
    subgid: await textOf('/etc/subgid'),
  })
  // Roots of containers lie below, and runc walks there as the container's user. Who may use the socket stays as it was.
  const mode = (await stat(runDir)).mode & 0o7777
  if (remap === undefined) {
    // What a daemon with the setting left. Containers that run need it no more: they are in their roots.
    if ((mode & 0o007) === 0o001) await chmod(runDir, mode & ~0o001)
    return undefined
  }
  await chmod(runDir, mode | 0o001)
  log.info(remap, 'containers have user namespaces')
  return remap
}

function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}
