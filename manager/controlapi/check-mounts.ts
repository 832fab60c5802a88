// What the mounts of a service must keep to beyond the schema. Source: Docker's checks of mounts, their words where they are good.
import type { MountSpec } from '../../proto/spec/service-spec.ts'
import { duplicates, type Problem } from './check-problem.ts'

const driverOptions = ['type', 'o', 'device']

export function checkMounts(mounts: readonly MountSpec[]): readonly Problem[] {
  const problems: Problem[] = []
  mounts.forEach((mount, i) => {
    const reason = mountReason(mount)
    if (reason !== undefined) problems.push({ field: `task.container.mounts[${i}]`, reason })
  })
  for (const target of duplicates(mounts.map((mount) => cleanPath(mount.target)))) {
    problems.push({
      field: 'task.container.mounts',
      reason: `mount two things on "${target}": every target may be used once`,
    })
  }
  return problems
}

function mountReason(mount: MountSpec): string | undefined {
  if (cleanPath(mount.target) === '/') return 'has the target "/": mount below the root'
  switch (mount.kind) {
    case 'bind':
      if (!mount.source.startsWith('/')) {
        return `of type bind has the source "${mount.source}": give an absolute path of the host`
      }
      return recursionReason(mount)
    case 'tmpfs':
      return mount.source === '' ? undefined : 'of type tmpfs has a source: remove it'
    case 'volume':
      return (
        nameReason(mount) ?? driverReason(mount) ?? subpathReason(mount) ?? affinityReason(mount)
      )
  }
}

/** Source: Docker's ReadOnlyNonRecursive and ReadOnlyForceRecursive. */
function recursionReason(mount: MountSpec): string | undefined {
  const { readOnlyNonRecursive, readOnlyForceRecursive, readOnly, bindPropagation } = mount
  if (!readOnlyNonRecursive && !readOnlyForceRecursive) return undefined
  if (readOnlyNonRecursive && readOnlyForceRecursive) {
    return 'asks for bind-recursive=writable and =readonly: choose one'
  }
  const word = readOnlyNonRecursive ? 'writable' : 'readonly'
  if (!readOnly) return `has bind-recursive=${word}, which needs readonly: add it`
  if (mount.bindNonRecursive) {
    return `has bind-recursive=${word}, but leaves out what is mounted below: choose one`
  }
  if (readOnlyForceRecursive && bindPropagation !== '' && bindPropagation !== 'rprivate') {
    return 'has bind-recursive=readonly, which needs bind-propagation=rprivate'
  }
  return undefined
}

function nameReason({ source }: MountSpec): string | undefined {
  // Placeholders are filled in by the node.
  const name = source.replace(/\{\{[^}]*\}\}/g, 'x')
  if (source === '' || /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(name)) return undefined
  return source.startsWith('/')
    ? `of type volume has a path ("${source}") for a name: write type=bind to mount a path of the host`
    : `has the volume name "${source}": use letters, digits, "_", "." and "-" only`
}

function driverReason({ volumeDriver, volumeOptions }: MountSpec): string | undefined {
  if (volumeDriver !== '' && volumeDriver !== 'local') {
    return `has the volume driver "${volumeDriver}": there is "local" only, which mounts NFS and other file systems by its options`
  }
  const unknown = Object.keys(volumeOptions).find((key) => !driverOptions.includes(key))
  if (unknown !== undefined) {
    return `has the volume option "${unknown}": those of driver local are ${driverOptions.join(', ')}`
  }
  return undefined
}

function subpathReason({ volumeSubpath }: MountSpec): string | undefined {
  if (volumeSubpath === '') return undefined
  const isInside = !volumeSubpath.startsWith('/') && !volumeSubpath.split('/').includes('..')
  return isInside
    ? undefined
    : `has the volume subpath "${volumeSubpath}": it must stay inside the volume`
}

function affinityReason({ volumeAffinity, source }: MountSpec): string | undefined {
  if (volumeAffinity === '') return undefined
  if (source === '')
    return 'has a volume affinity, but no name: a volume without one goes with its task'
  if (volumeAffinity === 'slot' && /\{\{[^}]*\.(Node\.|Task\.(ID|Name))[^}]*\}\}/.test(source)) {
    return `has volume affinity slot, but "${source}" is another volume for each node or task: use .Task.Slot and .Service only`
  }
  return undefined
}

/** Without doubled and trailing slashes. */
function cleanPath(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`
}
