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

const listType = 'application/vnd.docker.distribution.manifest.list.v2+json'
const imageType = 'application/vnd.docker.distribution.manifest.v2+json'

/** Makes `tag` a list of images that are there under other tags, one a platform (`linux/arm64`). Its digest. */
export async function pushList(
  address: string,
  repository: string,
  {
    tag,
    platforms,
  }: { readonly tag: string; readonly platforms: Readonly<Record<string, string>> },
): Promise<string> {
  const url = (name: string): string => `http://${address}/v2/${repository}/manifests/${name}`
  const manifests = await Promise.all(
    Object.entries(platforms).map(async ([platform, name]) => {
      const answer = await fetch(url(name), { headers: { accept: imageType } })
      const raw = Buffer.from(await answer.arrayBuffer())
      const [os = '', architecture = '', variant] = platform.split('/')
      return {
        ...{ mediaType: imageType, size: raw.length, digest: digestOf(raw) },
        platform: { os, architecture, ...(variant === undefined ? {} : { variant }) },
      }
    }),
  )
  const body = JSON.stringify({ schemaVersion: 2, mediaType: listType, manifests })
  const headers = { 'content-type': listType }
  const { status } = await fetch(url(tag), { method: 'PUT', headers, body })
  if (status !== 201) throw new Error(`list ${tag} of ${repository}: status ${status}`)
  return digestOf(Buffer.from(body))
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function config(dir: string, address: string, withLogin: boolean): string {
  return `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: ${dir}/data}, delete: {enabled: true}}
http: {addr: "${address}"}
${withLogin ? `auth: {htpasswd: {realm: test, path: ${dir}/htpasswd}}` : ''}
`
}
