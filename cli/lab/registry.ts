// The registry of a lab: Debian's docker-registry on the host "registry", plain HTTP on port 5000.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SwarmError } from '../../proto/errors.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { type ProcessFiles, startDetached } from './processes.ts'
import { inHost } from './topology.ts'

export const registryPort = 5000

export interface RegistryPlace {
  readonly lab: string
  /** Without port. */
  readonly address: string
  readonly stateDir: string
  readonly runDir: string
}

export function registryFiles(place: RegistryPlace): ProcessFiles {
  return {
    pidFile: join(place.runDir, 'registry.pid'),
    logFile: join(place.stateDir, 'registry.log'),
  }
}

/** Starts it; it serves within a moment. */
export function startRegistry(place: RegistryPlace): void {
  mkdirSync(place.stateDir, { recursive: true, mode: 0o700 })
  const config = join(place.stateDir, 'registry.yml')
  const lines = [
    'version: 0.1',
    'log: {level: warn}',
    `storage: {filesystem: {rootdirectory: ${JSON.stringify(join(place.stateDir, 'registry'))}}}`,
    `http: {addr: "${place.address}:${registryPort}"}`,
  ]
  writeFileSync(config, `${lines.join('\n')}\n`)
  const argv = inHost(place.lab, 'registry', ['docker-registry', 'serve', config])
  startDetached(argv, registryFiles(place), process.env)
}

/** Copies an image archive into the registry as `name`. Fails while the registry does not serve yet. */
export async function pushArchive(
  place: RegistryPlace,
  archive: string,
  name: string,
): Promise<void> {
  const to = `docker://${place.address}:${registryPort}/${name}`
  const argv = ['skopeo', 'copy', '--dest-tls-verify=false', `docker-archive:${archive}`, to]
  const result = await runCommand(inHost(place.lab, 'registry', argv), { timeoutMs: 60_000 })
  if (result.code === 0) return
  throw new SwarmError('UNAVAILABLE', `${argv.join(' ')} failed: ${result.stderr.trim()}`)
}
