// What may be asked about, and done with, the volumes of this host: over its own socket, and by managers. What a volume is on
// disk is in worker/volume.
import { SwarmError } from '../../proto/errors.ts'
import type {
  CreateVolume,
  PruneVolumes,
  RemoveVolume,
  VolumeInfo,
  VolumeReply,
  VolumeRequest,
} from '../../proto/gen/tsswarm/v1/volume.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { VolumeStore, VolumeSummary } from '../volume/volume-store.ts'

export interface VolumesEngine {
  /** Errors: INVALID_ARGUMENT, UNSUPPORTED (another driver), NOT_FOUND, ALREADY_EXISTS, IN_USE, INTERNAL. */
  handle(request: VolumeRequest): Promise<VolumeReply>
  /** The same with the refusal in the answer. */
  answer(request: VolumeRequest): Promise<VolumeReply>
}

/** As Docker marks those without a name. */
const anonymousLabel = 'com.docker.volume.anonymous'

export function createVolumesEngine(store: VolumeStore, random: Random): VolumesEngine {
  const engine: VolumesEngine = {
    handle: async ({ kind }) => {
      switch (kind?.$case) {
        case 'create':
          return reply([infoOf(store, await create(store, random, kind.value))])
        case 'list':
          return reply((await store.list()).map((one) => infoOf(store, one)))
        case 'inspect': {
          const found = await Promise.all(kind.value.names.map((name) => store.find(name)))
          return reply(found.map((one) => infoOf(store, one)))
        }
        case 'remove':
          return reply(await remove(store, kind.value))
        case 'prune':
          return await prune(store, kind.value)
        case undefined:
          throw new SwarmError(
            'UNSUPPORTED',
            'this node does not know what it was asked: upgrade it',
          )
      }
    },
    answer: async (request) => {
      try {
        return await engine.handle(request)
      } catch (err) {
        if (!(err instanceof SwarmError)) throw err
        return { ...reply([]), error: err.message, errorCode: err.code }
      }
    },
  }
  return engine
}

async function create(
  store: VolumeStore,
  random: Random,
  { name, driver, options, labels }: CreateVolume,
): Promise<VolumeSummary> {
  if (driver !== '' && driver !== 'local') {
    throw new SwarmError(
      'UNSUPPORTED',
      `volume driver "${driver}" is not there: use "local", which mounts NFS and other file systems by its options`,
    )
  }
  if (name !== '') return await store.create({ name, labels, options })
  const own = { ...labels, [anonymousLabel]: '' }
  return await store.create({ name: newId(random), labels: own, options })
}

async function remove(
  store: VolumeStore,
  { name, force }: RemoveVolume,
): Promise<readonly VolumeInfo[]> {
  try {
    const found = infoOf(store, await store.find(name))
    await store.removeUnused(name)
    return [found]
  } catch (err) {
    if (force && err instanceof SwarmError && err.code === 'NOT_FOUND') return []
    throw err
  }
}

/** What came to be used since is left. */
async function prune(store: VolumeStore, request: PruneVolumes): Promise<VolumeReply> {
  const removed: VolumeInfo[] = []
  let reclaimedBytes = 0
  for (const one of await store.list()) {
    const info = infoOf(store, one)
    if (info.usedBy.length > 0 || !isMeant(info, request)) continue
    const bytes = await store.size(one.name)
    try {
      await store.removeUnused(one.name)
    } catch (err) {
      if (err instanceof SwarmError && ['IN_USE', 'NOT_FOUND'].includes(err.code)) continue
      throw err
    }
    removed.push(info)
    reclaimedBytes += bytes
  }
  return { ...reply(removed), reclaimedBytes }
}

function isMeant(info: VolumeInfo, { all, labels, otherLabels }: PruneVolumes): boolean {
  if (!all && !info.anonymous) return false
  return (
    labels.every((label) => hasLabel(info, label)) &&
    !otherLabels.some((label) => hasLabel(info, label))
  )
}

function hasLabel({ labels }: VolumeInfo, label: string): boolean {
  const at = label.indexOf('=')
  if (at === -1) return Object.hasOwn(labels, label)
  return labels[label.slice(0, at)] === label.slice(at + 1)
}

function infoOf(store: VolumeStore, volume: VolumeSummary): VolumeInfo {
  const { name, labels, options, path, createdAtMs } = volume
  return {
    name,
    driver: 'local',
    options: { ...options },
    labels: { ...labels },
    mountpoint: path,
    createdAtMs,
    anonymous: Object.hasOwn(labels, anonymousLabel),
    usedBy: store.usersOf(name).map((user) => user.name),
  }
}

function reply(volumes: readonly VolumeInfo[]): VolumeReply {
  return { volumes, reclaimedBytes: 0, error: '', errorCode: '' }
}
