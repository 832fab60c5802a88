// Builds a container image as a docker-archive, byte for byte the same each time. No
// registry, no build tool: the lab's image and the tests' images are made of files of this host.
import { createHash } from 'node:crypto'
import { type TarEntry, writeTar } from '../../proto/lib/tar.ts'

export interface ImageRecipe {
  /** `name:tag` in full or familiar form. */
  readonly names: readonly string[]
  readonly files: readonly TarEntry[]
  /** Layers over the files, the last one on top; `.wh.NAME` takes NAME away. */
  readonly layersAbove?: readonly (readonly TarEntry[])[]
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
  readonly env?: readonly string[]
  readonly workdir?: string
  readonly user?: string
  readonly stopSignal?: string
  readonly volumes?: readonly string[]
  /** HEALTHCHECK as Docker's image configuration has it. */
  readonly healthcheck?: Readonly<Record<string, unknown>>
  readonly labels?: Readonly<Record<string, string>>
  /** EXPOSE: `80/tcp`. */
  readonly exposed?: readonly string[]
  /** Default: this host's. */
  readonly architecture?: string
}

/** A tar that `docker load` and `tsswarm image load` accept. */
export function buildImageArchive(recipe: ImageRecipe): Uint8Array {
  const layers = [recipe.files, ...(recipe.layersAbove ?? [])].map((files) => {
    const data = writeTar(files)
    return { data, digest: sha256(data) }
  })
  const digests = layers.map(({ digest }) => digest)
  const config = Buffer.from(JSON.stringify(imageConfig(recipe, digests)))
  const configName = `${sha256(config)}.json`
  const Layers = digests.map((digest) => `${digest}.tar`)
  const manifest = [{ Config: configName, RepoTags: recipe.names, Layers }]
  return writeTar([
    ...layers.map(({ data, digest }) => ({ kind: 'file' as const, path: `${digest}.tar`, data })),
    { kind: 'file', path: configName, data: config },
    { kind: 'file', path: 'manifest.json', data: Buffer.from(JSON.stringify(manifest)) },
  ])
}

function imageConfig(recipe: ImageRecipe, layerDigests: readonly string[]): object {
  const own = process.arch === 'x64' ? 'amd64' : process.arch
  return {
    architecture: recipe.architecture ?? own,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: {
      Env: recipe.env ?? ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      ...(recipe.entrypoint === undefined ? {} : { Entrypoint: recipe.entrypoint }),
      ...(recipe.command === undefined ? {} : { Cmd: recipe.command }),
      WorkingDir: recipe.workdir ?? '/',
      ...(recipe.user === undefined ? {} : { User: recipe.user }),
      ...(recipe.stopSignal === undefined ? {} : { StopSignal: recipe.stopSignal }),
      ...(recipe.labels === undefined ? {} : { Labels: recipe.labels }),
      ...(recipe.healthcheck === undefined ? {} : { Healthcheck: recipe.healthcheck }),
      ...(recipe.exposed === undefined
        ? {}
        : { ExposedPorts: Object.fromEntries(recipe.exposed.map((port) => [port, {}])) }),
      ...(recipe.volumes === undefined
        ? {}
        : { Volumes: Object.fromEntries(recipe.volumes.map((path) => [path, {}])) }),
    },
    rootfs: { type: 'layers', diff_ids: layerDigests.map((digest) => `sha256:${digest}`) },
    history: layerDigests.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'tsswarm' })),
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
