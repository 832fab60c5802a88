// A real registry on loopback for tests, plain HTTP, with its own folder.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand } from '../../proto/lib/command.ts'
import { freeAddress } from './free-ports.ts'
import { eventually } from './netns.ts'

export interface TestRegistry {
  /** `127.0.0.1:port` */
  readonly address: string
  /** Puts a docker-archive there under `name:tag`. */
  push(archive: Uint8Array, name: string): Promise<void>
  close(): Promise<void>
}

export interface RegistryOptions {
  /** Asks for these credentials. */
  readonly login?: { readonly username: string; readonly bcrypt: string; readonly password: string }
}

export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const dir = await mkdtemp('/var/tmp/tsswarm-registry-')
  const address = await freeAddress()
  const { login } = options
  if (login !== undefined) await writeFile(`${dir}/htpasswd`, `${login.username}:${login.bcrypt}\n`)
  await writeFile(`${dir}/config.yml`, config(dir, address, login !== undefined))
  const child = spawn('docker-registry', ['serve', `${dir}/config.yml`], { stdio: 'ignore' })
  await eventually(async () => {
    const answer = await fetch(`http://${address}/v2/`)
    return answer.status === 200 || answer.status === 401
  }, 'the registry answers')
  return {
    address,
    push: async (archive, name) => {
      const file = join(dir, `${createHash('sha256').update(archive).digest('hex')}.tar`)
      await writeFile(file, archive)
      const creds = login === undefined ? [] : [`--dest-creds=${login.username}:${login.password}`]
      const result = await runCommand([
        ...['skopeo', '--insecure-policy', 'copy', '--dest-tls-verify=false', ...creds],
        ...[`docker-archive:${file}`, `docker://${address}/${name}`],
      ])
      if (result.code !== 0) throw new Error(`push of ${name}: ${result.stderr}`)
    },
    close: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function config(dir: string, address: string, withLogin: boolean): string {
  return `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: ${dir}/data}, delete: {enabled: true}}
http: {addr: "${address}"}
${withLogin ? `auth: {htpasswd: {realm: test, path: ${dir}/htpasswd}}` : ''}
`
}
