// Where mounts go: checks of what a user wrote, Docker's own mounts, and the order that lets one
// lie in another. Pure: sources are resolved by others.
import { SwarmError } from '../../../proto/errors.ts'
import type { ImageConfig } from '../../image/store-index.ts'
import type { BindMount, ContainerConfig, Mount, TmpfsMount } from '../executor.ts'
import type { VolumePart } from './volume-parts.ts'

/** An entry of an OCI configuration's `mounts`. */
export interface OciMount {
  readonly destination: string
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}

/** A mount whose source on this host is known. */
export type ResolvedMount =
  | { readonly kind: 'bind'; readonly mount: BindMount; readonly isFolder: boolean }
  | {
      readonly kind: 'volume'
      readonly target: string
      readonly path: string
      readonly readOnly: boolean
      /** Where a part of the volume is mounted. */
      readonly part?: VolumePart
    }
  | { readonly kind: 'tmpfs'; readonly mount: TmpfsMount }

const pathMax = 4096

/**
 * The mounts with clean targets, the image's volumes added where nothing else lies.
 * Errors: INVALID_ARGUMENT for a relative or duplicate target, `/`, or an impossible propagation.
 */
export function plannedMounts(config: ContainerConfig, image: ImageConfig): readonly Mount[] {
  const own = config.mounts.map((mount) => checked(mount, config.name))
  const targets = new Set<string>()
  for (const { target } of own) {
    if (targets.has(target)) throw invalid(config.name, `duplicate mount point: ${target}`)
    targets.add(target)
  }
  const fromImage = image.volumes
    .map(cleanPath)
    .filter((target) => target !== '/' && !targets.has(target))
    .map((target): Mount => ({ kind: 'volume', target }))
  return [...own, ...fromImage]
}

function checked(mount: Mount, name: string): Mount {
  const { target } = mount
  if (!target.startsWith('/') || target.length > pathMax || target.includes('\0')) {
    throw invalid(name, `mount target ${JSON.stringify(target)} must be an absolute path`)
  }
  const clean = cleanPath(target)
  if (clean === '/') throw invalid(name, "mount target can't be '/'")
  if (mount.kind === 'bind') checkBind(mount, name)
  return { ...mount, target: clean }
}

function checkBind(mount: BindMount, name: string): void {
  if (!mount.source.startsWith('/')) {
    throw invalid(
      name,
      `invalid bind mount source ${JSON.stringify(mount.source)}: must be an absolute path`,
    )
  }
  // A container's mounts are made in a namespace that only receives, so that the host never sees
  // them.
  if (mount.propagation === 'shared' || mount.propagation === 'rshared') {
    throw invalid(
      name,
      `bind propagation ${mount.propagation} of ${mount.target} is not possible here: use rslave`,
    )
  }
}

/** Volumes as they appear with shifted owners in that folder, numbered, and where each of them is. */
export function placedMounts(
  mounts: readonly ResolvedMount[],
  placeDir: string,
): { readonly mounts: readonly ResolvedMount[]; readonly volumes: readonly string[] } {
  const volumes: string[] = []
  const placed = mounts.map((mount): ResolvedMount => {
    if (mount.kind !== 'volume') return mount
    volumes.push(mount.path)
    return { ...mount, path: `${placeDir}/${volumes.length - 1}` }
  })
  return { mounts: placed, volumes }
}

/** `/a//b/../c/` -> `/a/c`; never above `/`. */
export function cleanPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

/** User's mounts in OCI form, and ours, parents before what lies in them. */
export function ociMounts(
  mounts: readonly ResolvedMount[],
  ours: readonly OciMount[] = [],
): readonly OciMount[] {
  const depth = (mount: OciMount): number => mount.destination.split('/').length
  return [...ours, ...mounts.map(toOci)].sort((a, b) => depth(a) - depth(b))
}

function toOci(resolved: ResolvedMount): OciMount {
  switch (resolved.kind) {
    case 'bind': {
      const { mount } = resolved
      // crun takes a file for neither: nothing can be mounted below it.
      const recursive = resolved.isFolder && mount.nonRecursive !== true
      return {
        destination: mount.target,
        type: 'bind',
        source: mount.source,
        options: [
          recursive ? 'rbind' : 'bind',
          propagationOf(mount, recursive),
          ...(mount.readOnly === true ? [isAllReadOnly(mount, recursive) ? 'rro' : 'ro'] : []),
        ],
      }
    }
    case 'volume':
      return {
        destination: resolved.target,
        type: 'bind',
        source: resolved.path,
        options: ['rbind', 'rprivate', ...(resolved.readOnly ? ['ro'] : [])],
      }
    case 'tmpfs':
      return tmpfs(resolved.mount)
  }
}

/** Nothing lies below one that is not recursive; crun (1.8) would take the r of its propagation for rbind's. */
function propagationOf({ propagation = 'rprivate' }: BindMount, recursive: boolean): string {
  return recursive ? propagation : propagation.replace(/^r/, '')
}

function isAllReadOnly({ readOnlyRecursion }: BindMount, recursive: boolean): boolean {
  return recursive && readOnlyRecursion !== 'none'
}

function tmpfs({ target, readOnly, sizeBytes, mode }: TmpfsMount): OciMount {
  return {
    destination: target,
    type: 'tmpfs',
    source: 'tmpfs',
    options: [
      'noexec',
      'nosuid',
      'nodev',
      'rprivate',
      `mode=${(mode ?? 0o1777).toString(8)}`,
      ...(sizeBytes === undefined || sizeBytes === 0 ? [] : [`size=${sizeBytes}`]),
      ...(readOnly === true ? ['ro'] : []),
    ],
  }
}

/** The mounts every container has. Source: Docker. */
export const standardMounts: readonly OciMount[] = [
  {
    destination: '/proc',
    type: 'proc',
    source: 'proc',
    options: ['nosuid', 'noexec', 'nodev'],
  },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=67108864'],
  },
  {
    destination: '/dev/mqueue',
    type: 'mqueue',
    source: 'mqueue',
    options: ['nosuid', 'noexec', 'nodev'],
  },
  {
    destination: '/sys',
    type: 'sysfs',
    source: 'sysfs',
    options: ['nosuid', 'noexec', 'nodev', 'ro'],
  },
  {
    destination: '/sys/fs/cgroup',
    type: 'cgroup',
    source: 'cgroup',
    options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'],
  },
]

function invalid(name: string, why: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `${name}: ${why}`)
}
